/** Computes the status of a tenant: a pure function of what was observed, decided and applied. */
import { ConditionType } from '../api/conditions.ts';
import { Annotation } from '../api/names.ts';
import type { LastCleanup, VolumeUsage } from '../api/tenant-status.ts';
import type { CopilotTenantStatus, ServerStatus } from '../api/tenant.ts';
import { msLeft } from '../kube/types/time.ts';
import type { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { Condition } from '../kube/types/types.ts';
import { findCondition, setConditions, truncate, type Verdict } from '../kube/write/conditions.ts';
import { childName, isClaimOf, serverName, tenantPods } from '../resources/names.ts';
import { isStopped, type CopilotTenant } from '../resources/tenant.ts';
import type { Outcome } from './apply.ts';
import { endpoint } from './builders/bindingsecret.ts';
import { cleanupVerdict } from './cleanup/cleanup-verdict.ts';
import { aggregateCauses } from './decisions/aggregate-causes.ts';
import { blocksServing } from './decisions/serving-impact.ts';
import {
  type Findings,
  healthyVerdict,
  NO_RESPONSE,
  readyVerdict,
  reconcilingVerdict,
  stalledVerdict,
} from './decisions/conditions.ts';
import { acceptedLosses } from './decisions/data-loss.ts';
import type { HibernationReason } from './decisions/hibernation.ts';
import { hibernatedVerdict } from './decisions/hibernated.ts';
import { injectedSecretRef, type ModelDecision } from './decisions/model-credential.ts';
import { isGrowing, minimumSize } from './decisions/volume-size.ts';
import { restartOf } from './deployments.ts';
import type { ServerObservation, ServerWorld, TenantCause } from './model.ts';
import type { Plan } from './plan.ts';
import { hasEnded } from './pods.ts';
import { redactor } from './redaction.ts';
import type { SessionsStatus } from './sessions/sessions-status.ts';

/** What a status is computed from. */
export interface StatusInput {
  readonly tenant: CopilotTenant;
  readonly plan: Plan;
  readonly outcome: Outcome;
  /** The desired servers after the writes, in the order of their index. */
  readonly observed: readonly ServerObservation[];
  readonly sessions: SessionsStatus;
  /** The last measured usage of the volumes, by index. */
  readonly usages: ReadonlyMap<number, VolumeUsage>;
  /** The last cleanup run that has ended. */
  readonly lastCleanup: LastCleanup | undefined;
  /** Why a cleanup run that has started cannot end. */
  readonly blockedCleanup?: string | undefined;
  /** Why it sleeps, or does not. */
  readonly sleepReason?: HibernationReason | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Longest message of a server, in characters; the CRD's hasBinding. */
const MAX_SERVER_MESSAGE = 1024;

/** For how long after its restart a server counts as restarting. */
const RESTART_MS = 5 * 60_000;

/** The status after a reconcile. */
export function computeStatus(input: StatusInput): CopilotTenantStatus {
  const { tenant, plan, observed, sessions, lastCleanup } = input;
  const redact = redactor(plan);
  const servers = [...observed.map((server) => serverStatus(input, server, redact)), ...drainingSurplus(input)];
  const ready = observed.filter((server) => server.ready).length;
  const version = lowestVersion(servers.flatMap((server) => server.version ?? []));
  const { name, generation } = tenant.metadata;
  // Of a paused tenant the generation that was applied last: kstatus then knows that a newer spec is still to come.
  const observedGeneration = plan.paused ? tenant.status?.observedGeneration : generation;
  return {
    ...(observedGeneration !== undefined && { observedGeneration }),
    conditions: conditions(input, findings(input, redact)),
    ...clientFields(input),
    ...(version !== undefined && { serverVersion: version }),
    replicas: runningServers(input).length,
    readyReplicas: ready,
    serversReady: `${ready}/${isStopped(tenant) ? 0 : observed.length}`,
    minimumStorageSize: minimumSize(ownClaims(input)),
    selector: Object.entries(tenantPods(name))
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    servers,
    ...(plan.volumeServer?.server && { volumeServer: plan.volumeServer.server.name }),
    ...(plan.drainEpoch !== undefined && { drainEpoch: plan.drainEpoch }),
    ...(tenant.status?.hibernation && { hibernation: tenant.status.hibernation }),
    ...sessions.fields,
    ...(lastCleanup !== undefined && { lastCleanup }),
  };
}

/** How clients connect. */
function clientFields({
  tenant,
  plan: { clients, model },
  outcome: { hasBinding, credentials },
  observed,
}: StatusInput): Pick<CopilotTenantStatus, 'access' | 'modelInjection' | 'modelSecret' | 'endpoint' | 'binding'> {
  const { access, gateway } = clients;
  const modelSecret = injectedSecretRef(tenant, clients.injection, model);
  const isKnown = access === 'Direct' || gateway !== undefined;
  const binding = {
    name: childName(tenant.metadata.name, 'binding'),
    ...(credentials.length > 0 && { credentials: [...credentials] }),
  };
  return {
    access,
    modelInjection: clients.injection.injection,
    ...(modelSecret !== undefined && { modelSecret }),
    ...(observed.length > 0 && isKnown && { endpoint: endpoint(tenant, gateway) }),
    ...(hasBinding && { binding }),
  };
}

function findings({ tenant, plan, outcome, observed, now }: StatusInput, redact: (text: string) => string): Findings {
  const causes = [
    ...plan.causes,
    ...outcome.refusals,
    ...outcome.conflicts,
    ...observed.flatMap(({ cause }) => cause ?? []),
  ].map((cause) => ({ ...cause, message: redact(cause.message) }));
  const restarting = observed.filter(
    ({ index, ready }) => !ready && isRecent(restartOf(outcome.servers.get(index)?.deployment)?.at, now),
  );
  const [error] = outcome.errors;
  return {
    tenant,
    servers: observed,
    cause: aggregateCauses(causes),
    servingCause: aggregateCauses(causes.filter(blocksServing)),
    waits: [...plan.waits, ...outcome.waits],
    rolling: plan.rolling,
    paused: plan.paused ?? false,
    pendingRollout: plan.pendingRollout?.message,
    healthMessages: new Map(
      observed
        .filter(({ state }) => state === 'Unhealthy')
        .map((server) => [server.name, redact(healthMessageOf(tenant, plan, server))]),
    ),
    restarting: restarting.map(({ name }) => name),
    draining: observed.filter(({ index }) => isDraining(plan, index)).map(({ name }) => name),
    surplus: plan.surplus.filter(isRunning).map(({ index }) => serverName(tenant.metadata.name, index)),
    resizing: [...outcome.servers.values()]
      .filter(({ claim }) => claim && isGrowing(claim, tenant.spec.storage.size))
      .map(({ index }) => serverName(tenant.metadata.name, index)),
    error: error === undefined ? undefined : redact(error.message),
  };
}

function conditions(
  { tenant, plan, sessions, lastCleanup, blockedCleanup, sleepReason, now }: StatusInput,
  found: Findings,
): Condition[] {
  const healthy = healthyVerdict(found) ?? findCondition(tenant.status?.conditions, ConditionType.Healthy);
  const verdicts: [string, Verdict | undefined][] = [
    [ConditionType.Ready, readyVerdict(found)],
    [ConditionType.Reconciling, reconcilingVerdict(found)],
    [ConditionType.Stalled, stalledVerdict(found)],
    [ConditionType.Healthy, healthy],
    [ConditionType.ModelConfigured, modelVerdict(plan.model)],
    [ConditionType.CleanupHealthy, cleanupVerdict(tenant, lastCleanup, blockedCleanup, plan.volumeServer)],
    [
      ConditionType.StoragePressure,
      sessions.pressure ?? findCondition(tenant.status?.conditions, ConditionType.StoragePressure),
    ],
    [ConditionType.Hibernated, hibernatedVerdict({ tenant, access: plan.clients.access, reason: sleepReason })],
  ];
  const before = tenant.status?.conditions;
  // It says nothing of a tenant that is not to sleep any more.
  const kept = tenant.spec.hibernation ? before : before?.filter(({ type }) => type !== ConditionType.Hibernated);
  return setConditions(kept, verdicts, tenant.metadata.generation, now);
}

function modelVerdict({ ok, reason, message }: ModelDecision): Verdict {
  return { status: ok ? 'True' : 'False', reason, message };
}

function serverStatus(
  { tenant, plan, outcome, usages }: StatusInput,
  observation: ServerObservation,
  redact: (text: string) => string,
): ServerStatus {
  const { index, name, version, cause } = observation;
  const drain = plan.drains?.get(index);
  const state = isDraining(plan, index) ? 'Draining' : observation.state;
  const last = tenant.status?.servers?.find((server) => server.name === name);
  const live = outcome.servers.get(index);
  const restart = restartOf(live?.deployment)?.at ?? last?.lastRestartTime;
  const planned = plan.servers.find((server) => server.index === index);
  const healthMessage = state === 'Unhealthy' ? healthMessageOf(tenant, plan, observation) : undefined;
  const message = cause?.message ?? planned?.cause?.message ?? healthMessage;
  const volumeUID = volumeUIDOf(tenant, live, last);
  const volumeUsage = usages.get(index);
  return {
    name,
    state,
    ...(version !== undefined && { version: redact(version) }),
    restarts: (last?.restarts ?? 0) + (restart === last?.lastRestartTime ? 0 : 1),
    ...(restart !== undefined && { lastRestartTime: restart }),
    ...(message !== undefined &&
      state !== 'Healthy' &&
      state !== 'Draining' && { message: truncate(redact(message), MAX_SERVER_MESSAGE) }),
    ...(volumeUID !== undefined && { volumeUID }),
    ...(volumeUsage !== undefined && { volumeUsage }),
    ...(drain !== undefined && { drain: drain.drain }),
  };
}

function isDraining({ drains }: Plan, index: number): boolean {
  const found = drains?.get(index);
  return found !== undefined && found.end === undefined;
}

/** Servers beyond `spec.replicas` are listed for their drain only, in the order of their index. */
function drainingSurplus({ tenant, plan }: StatusInput): ServerStatus[] {
  return plan.surplus.toReversed().flatMap(({ index }) => {
    const found = plan.drains?.get(index);
    if (found === undefined) return [];
    const state = found.end === undefined ? 'Draining' : 'Stopped';
    return { name: serverName(tenant.metadata.name, index), state, restarts: 0, drain: found.drain };
  });
}

/** Why a server is Unhealthy. Until the pinger has a result, that is the message of the last status. */
function healthMessageOf(
  tenant: CopilotTenant,
  plan: Plan,
  { index, name, health, remembered }: ServerObservation,
): string {
  const last = tenant.status?.servers?.find((server) => server.name === name)?.message;
  const planned = plan.servers.find((server) => server.index === index)?.healthMessage;
  return (remembered ? last : planned) ?? (health.state === 'Unhealthy' ? health.message : NO_RESPONSE);
}

// Recorded once the claim is hasBinding, and kept until a user accepts the loss: see decisions/data-loss.ts.
function volumeUIDOf(
  tenant: CopilotTenant,
  live: ServerWorld | undefined,
  last: ServerStatus | undefined,
): string | undefined {
  const { claim } = live ?? {};
  const kept = claim?.status?.phase === 'Bound' && claim.metadata.deletionTimestamp === undefined;
  // The claim of a previous tenant of this name holds none of this tenant's sessions.
  if (kept && isClaimOf(claim, tenant)) return claim.metadata.uid;
  const accepted = acceptedLosses(tenant.metadata.annotations?.[Annotation.acceptDataLoss]);
  return last?.volumeUID !== undefined && accepted.has(last.volumeUID) ? undefined : last?.volumeUID;
}

// After that time the server is reported like any other that is starting or failing.
function isRecent(restartedAt: string | undefined, now: number): boolean {
  return restartedAt !== undefined && msLeft(Date.parse(restartedAt), RESTART_MS, now) > 0;
}

function runningServers({ plan, outcome }: StatusInput): ServerWorld[] {
  return [...outcome.servers.values(), ...plan.surplus].filter(isRunning);
}

/** Includes retained claims of servers beyond `spec.replicas`, which are used again after scaling up. */
function ownClaims({ tenant, plan, outcome }: StatusInput): PersistentVolumeClaim[] {
  const claims = [...outcome.servers.values(), ...plan.surplus].flatMap(({ claim }) => claim ?? []);
  return claims.filter((claim) => isClaimOf(claim, tenant));
}

function isRunning({ deployment, pods }: ServerWorld): boolean {
  return (deployment?.spec?.replicas ?? 0) > 0 || pods.some((pod) => !hasEnded(pod));
}

function lowestVersion(versions: readonly string[]): string | undefined {
  return versions.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))[0];
}

/**
 * The status of a tenant whose children are not observed: it is being deleted, or `cause` keeps the operator from reading
 * them. Everything else in the status stays as it is.
 */
export function unobservedStatus(
  tenant: CopilotTenant,
  cause: TenantCause | undefined,
  now: number,
): CopilotTenantStatus {
  const found: Findings = {
    tenant,
    servers: [],
    cause,
    servingCause: cause,
    waits: [],
    rolling: false,
    paused: false,
    pendingRollout: undefined,
    healthMessages: new Map(),
    restarting: [],
    draining: [],
    surplus: [],
    resizing: [],
    error: undefined,
  };
  const verdicts: [string, Verdict | undefined][] = [
    [ConditionType.Ready, readyVerdict(found)],
    [ConditionType.Reconciling, reconcilingVerdict(found)],
    [ConditionType.Stalled, cause === undefined ? undefined : stalledVerdict(found)],
  ];
  return {
    ...tenant.status,
    conditions: setConditions(tenant.status?.conditions, verdicts, tenant.metadata.generation, now),
  };
}

/** Whether nothing is refused, waited for or in progress: all of that is retried, or reported by its duration, at each poll. */
export function isSteady({ tenant, plan, outcome, observed }: StatusInput): boolean {
  const { causes, waits, rolling, pendingRollout, drains } = plan;
  if (drains !== undefined && drains.size > 0) return false;
  // Whoever waits for the roll-out must go on asking for a place; without a roll-out there is none.
  if (rolling || (pendingRollout !== undefined && pendingRollout.reason !== 'Disabled')) return false;
  const open = [...causes, ...waits, ...outcome.refusals, ...outcome.conflicts, ...outcome.waits];
  return open.length === 0 && (isStopped(tenant) || observed.every(({ ready }) => ready));
}
