/** Holds back what replaces or stops pods of servers until these are drained. */
import { ReconcilingReason } from '../api/conditions.ts';
import { durationMs } from '../api/duration.ts';
import type { DrainReason, ServerDrain } from '../api/tenant.ts';
import { serverName } from '../resources/names.ts';
import { isAsleep, type CopilotTenant } from '../resources/tenant.ts';
import { drainDecision, type DrainEnd, type DrainReport } from './decisions/drain.ts';
import { STATED_DRAIN_MS } from './decisions/hibernation.ts';
import type { RolloutBudget } from './decisions/rollout-budget.ts';
import { isRolloutComplete, replicasOf } from './deployments.ts';
import type { ServerObservation, ServerWorld, Wait } from './model.ts';
import { hasEnded, isPortOpen, servingPod } from './pods.ts';
import type { ServerPlan } from './server-plan.ts';
import { targetKey } from './targets.ts';

/** What the gateway says of drains. */
export interface DrainReports {
  /** `server`: its key. Undefined: the replicas were not asked yet, or have not answered as a whole. */
  get(server: string, epoch: number): DrainReport | undefined;
  /** For how long it has been asked for this drain, in ms; undefined: it is not. */
  openMs(server: string, epoch: number): number | undefined;
}

/** A drain that the status states. */
export interface PlannedDrain {
  readonly drain: ServerDrain;
  /** Why it is over; `Leaving`: its pod goes for it already. Undefined: its turns are waited for. */
  readonly end?: DrainEnd | 'Leaving' | undefined;
}

/** What drains are decided from. */
export interface DrainPlanInput {
  readonly tenant: CopilotTenant;
  readonly servers: readonly ServerPlan[];
  /** Servers beyond `spec.replicas`, highest index first. */
  readonly surplus: readonly ServerWorld[];
  /** Undefined: clients connect directly, or there is no gateway that can be asked. */
  readonly reports: DrainReports | undefined;
  readonly budget: Pick<RolloutBudget, 'hold'>;
  /** Indexes of the servers whose Deployment could not be written the last time. */
  readonly refused: ReadonlySet<number>;
  /** Wall clock, ms. */
  readonly now: number;
}

/** The plan after that. */
export interface DrainPlan {
  /** Those that drain are not changed. */
  readonly servers: readonly ServerPlan[];
  /** By the index of the server. */
  readonly drains: ReadonlyMap<number, PlannedDrain>;
  /** The epoch of the last drain; undefined: there was none. */
  readonly epoch: number | undefined;
  readonly waits: readonly Wait[];
  /** When the first deadline passes, in ms. */
  readonly dueInMs?: number | undefined;
}

/** Drains are stated until their pod is gone, so that no replica of the gateway connects to it again. */
export function planDrains(input: DrainPlanInput): DrainPlan {
  const { tenant, surplus, budget } = input;
  const drains = new Map<number, PlannedDrain>();
  const waits: Wait[] = [];
  const dues: number[] = [];
  let epoch = tenant.status?.drainEpoch;
  const mayStop = (live: ServerWorld, why: DrainReason | undefined, observed?: ServerObservation): boolean => {
    const stated = statedDrain(tenant, live.index);
    if (why === undefined) {
      if (stated !== undefined && isLeaving(live, stated)) drains.set(live.index, { drain: stated, end: 'Leaving' });
      return true;
    }
    const pod = servingPod(live);
    const key = targetKey(tenant, live.index);
    const nextEpoch = (epoch ?? 0) + 1;
    const decision = drainDecision({
      server: serverName(tenant.metadata.name, live.index),
      why,
      timeoutMs: why === 'Hibernating' ? STATED_DRAIN_MS : drainTimeoutMs(tenant),
      throughGateway: input.reports !== undefined,
      podUID: pod !== undefined && isPortOpen(pod) ? pod.metadata.uid : undefined,
      // Nobody needs it to be stopped.
      wasRefused: why !== 'Hibernating' && input.refused.has(live.index),
      responds: observed === undefined || responds(observed),
      stated,
      nextEpoch,
      report: stated && input.reports?.get(key, stated.epoch),
      openMs: input.reports?.openMs(key, nextEpoch),
      now: input.now,
    });
    if (decision.action === 'replace') {
      const { reason: end } = decision;
      if (stated !== undefined && end !== 'Refused') drains.set(live.index, { drain: { ...stated, reason: why }, end });
      return true;
    }
    const { drain, message, dueInMs } = decision;
    drains.set(live.index, { drain });
    epoch = Math.max(epoch ?? 0, drain.epoch);
    waits.push({ reason: ReconcilingReason.Draining, message });
    dues.push(dueInMs);
    return false;
  };
  const held = new Set(
    input.servers.filter((server) => !mayStop(server.live, whyItStops(tenant, server), server.observed)),
  );
  // Those of a tenant that falls asleep stop together: until the last one has drained, that may be taken back.
  const isTogether = tenant.status?.hibernation?.phase === 'Draining' && held.size > 0;
  const servers = input.servers.map((server) => {
    if (!held.has(server) && !(isTogether && whyItStops(tenant, server) === 'Hibernating')) return server;
    budget.hold(server.name);
    const { drain } = drains.get(server.index) ?? {};
    if (drain !== undefined) drains.set(server.index, { drain });
    return { ...server, deployment: undefined, restart: undefined };
  });
  for (const live of surplus) mayStop(live, isStopped(live) ? undefined : 'ScalingDown');
  return { servers, drains, epoch, waits, ...(dues.length > 0 && { dueInMs: Math.min(...dues) }) };
}

/** Nobody replaces or stops pods of a paused tenant: only the drains of those that go already are still stated. */
export function leavingDrains({ tenant, servers, surplus }: Omit<DrainPlanInput, 'budget'>): DrainPlan {
  const all = [...servers.map(({ live }) => live), ...surplus];
  const drains = all.flatMap((live) => {
    const drain = statedDrain(tenant, live.index);
    return drain !== undefined && isLeaving(live, drain) ? [[live.index, { drain, end: 'Leaving' }] as const] : [];
  });
  return { servers, drains: new Map(drains), epoch: tenant.status?.drainEpoch, waits: [] };
}

/**
 * The servers whose pod stays although the plan replaces or stops it: a policy has refused to change their Deployment, or it waits for
 * something else. `after`: the servers after the writes. Those of `before` that only wait for their next turn are still among them.
 */
export function notWritten(
  tenant: CopilotTenant,
  servers: readonly ServerPlan[],
  after: ReadonlyMap<number, ServerWorld>,
  before: ReadonlySet<number> = new Set(),
): Set<number> {
  const left = servers.filter((server) => {
    const { index, replaces, upgrade, live } = server;
    if (whyItStops(tenant, server) !== undefined) return after.get(index)?.deployment === live.deployment;
    return before.has(index) && (replaces || upgrade !== undefined);
  });
  return new Set(left.map(({ index }) => index));
}

/** Those of the servers `refused` whose pod the plan takes away without a drain, because that could not be done the last time. */
export function undrained(
  tenant: CopilotTenant,
  servers: readonly ServerPlan[],
  refused: ReadonlySet<number>,
): readonly ServerPlan[] {
  return servers.filter((server) => refused.has(server.index) && whyItStops(tenant, server) !== undefined);
}

/** The drains but those of these servers. */
export function withoutServers(
  drains: ReadonlyMap<number, PlannedDrain> = new Map(),
  indexes: ReadonlySet<number>,
): ReadonlyMap<number, PlannedDrain> {
  return new Map([...drains].filter(([index]) => !indexes.has(index)));
}

/** The drain that the status of the tenant states of a server. */
export function statedDrain({ metadata, status }: CopilotTenant, index: number): ServerDrain | undefined {
  return status?.servers?.find(({ name }) => name === serverName(metadata.name, index))?.drain;
}

/** Why applying the plan takes the pod away that runs; undefined: it does not. */
function whyItStops(
  tenant: CopilotTenant,
  { deployment, replaces, departs, recycles, live }: ServerPlan,
): DrainReason | undefined {
  if (deployment === undefined || replicasOf(live.deployment) === 0) return undefined;
  if (tenant.spec.suspend) return 'Suspending';
  if (isAsleep(tenant) || tenant.status?.hibernation?.phase === 'Draining') return 'Hibernating';
  if (!replaces || isPaused(live)) return undefined;
  if (departs === true) return 'NodeDraining';
  return recycles === undefined ? 'Updating' : 'Recycling';
}

// With the credentials from before a rotation it serves, and only refuses the operator.
function responds({ health }: ServerObservation): boolean {
  return health.state !== 'Unhealthy' || health.reason === 'AuthFailed';
}

function isStopped({ deployment }: ServerWorld): boolean {
  return replicasOf(deployment) === 0 || deployment?.metadata.deletionTimestamp !== undefined;
}

/** `kubectl rollout pause`: what is written to the Deployment replaces no pod. */
function isPaused({ deployment }: ServerWorld): boolean {
  return deployment?.spec?.paused === true;
}

/** Absent while the CRDs are those of an earlier version: their status has no drain either. */
export function drainTimeoutMs({ spec }: { readonly spec: Partial<Pick<CopilotTenant['spec'], 'drain'>> }): number {
  return spec.drain === undefined ? 0 : durationMs(spec.drain.timeout);
}

/** Whether the pod that was drained is still there, and is about to go. */
function isLeaving(live: ServerWorld, { podUID }: ServerDrain): boolean {
  const { deployment, pods } = live;
  const pod = pods.find(({ metadata }) => metadata.uid === podUID);
  if (pod === undefined || hasEnded(pod)) return false;
  const isStopping = isStopped(live) || (!isPaused(live) && !isRolloutComplete(deployment));
  return pod.metadata.deletionTimestamp !== undefined || isStopping;
}
