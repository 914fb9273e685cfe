/** Decides what to do with the Deployment of a server that should run. */
import { ReconcilingReason } from '../api/conditions.ts';
import { durationMs } from '../api/duration.ts';
import type { Deployment, Pod } from '../kube/types/builtins.ts';
import { msLeft, timestamp } from '../kube/types/time.ts';
import { differences } from '../kube/write/diff.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import { ipFamilyOf } from './builders/pod-template/listen-address.ts';
import type { PodTemplates } from './builders/pod-template/template.ts';
import { recycleDecision, type RecycleDecision } from './decisions/recycle.ts';
import { restartDecision } from './decisions/restart.ts';
import type { RolloutBudget } from './decisions/rollout-budget.ts';
import { serverImage } from './decisions/server-image.ts';
import { isDown } from './decisions/server-down.ts';
import { templateRevision } from './decisions/template-revision.ts';
import {
  guardImageOf,
  isObserved,
  isRolloutComplete,
  recordedTemplateOf,
  replacedAtOf,
  replacementsOf,
  replicasOf,
  restartOf,
  rolloutStartOf,
} from './deployments.ts';
import type { OperatorFacts, ServerObservation, ServerWorld, Wait } from './model.ts';
import { hasEnded, servingPod, startTime } from './pods.ts';
import { ServerTemplate, type ServerVersion, type WasApplied } from './server-template.ts';

/** What the plan of a running server is decided from. */
export interface RunningInput {
  readonly tenant: CopilotTenant;
  readonly facts: OperatorFacts;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** Whether applying the Deployment would change it. */
  readonly wouldWrite: (desired: Deployment, live: Deployment) => boolean;
  readonly wasApplied: WasApplied;
  readonly templates: PodTemplates;
  readonly budget: RolloutBudget;
  /** Evictions are refused, and the operator moves its pod from a node that it has to leave. */
  readonly leavesNodes: boolean;
  /** Wall clock, ms. */
  readonly now: number;
}

/** What a reconcile does with the Deployment of a server. */
export interface RunningPlan {
  /** The Deployment to apply; absent: it is neither changed nor created. */
  readonly deployment?: Deployment | undefined;
  /** Applying the Deployment replaces a running pod, which the rollout has to allow. */
  readonly replaces: boolean;
  /** The Deployment in the operator's current version, which the roll-out may apply instead. It replaces the pod. */
  readonly upgrade?: Deployment | undefined;
  /** Why the upgrade replaces a server that works and has the current version. */
  readonly recycles?: { readonly reason: string; readonly message: string } | undefined;
  /** Its pod has to leave its node, so it is replaced whatever the other servers of the tenant do. */
  readonly departs?: boolean | undefined;
  /** Its pod has to leave its node, and is replaced soon. */
  readonly departsSoon?: boolean | undefined;
  /** If it is Unhealthy: why, and what the operator does about it. */
  readonly healthMessage?: string | undefined;
  /** Why this reconcile restarts it. */
  readonly restart?: { readonly reason: string; readonly message: string } | undefined;
  readonly wait?: Wait | undefined;
  /** When something is due for it that no watch reports, in ms. */
  readonly dueInMs?: number | undefined;
}

/** How often a server that waits for its restart asks again, in ms. */
const RESTART_POLL_MS = 10_000;

/** Decides the plan of a server that should run; its volume and its credentials can be used. */
export function planRunning(input: RunningInput, credentialsHash: string): RunningPlan {
  const { live, templates, now } = input;
  const versions = serverVersions(input, credentialsHash);
  const { template, current, recorded } = versions;
  // A start from zero replicas begins a new series of restarts.
  if (live.deployment === undefined || recorded === undefined || replicasOf(live.deployment) === 0) {
    return { deployment: template.render(current), replaces: false };
  }
  const { observed, wouldWrite } = input;
  const before = replacementsOf(live.deployment);
  const responds = observed.ready && !observed.remembered;
  const kept = { ...before, rolloutAt: responds ? undefined : rolloutStartOf(live.deployment) };
  const change = (version: ServerVersion, from: Deployment): RunningPlan =>
    planChange(template.render(version, kept), template.render(version, { ...kept, running: false }), from, live.pods);
  const leavesInMs = departsInMs(input);
  const { takesCurrent } = templateRevision({ ...versions.input, restarts: false });
  const version = takesCurrent ? current : recorded;
  // One of a newer operator cannot be rendered, so the Deployment stays as it is.
  const desired = version.revision > templates.current ? undefined : template.render(version, kept);
  if (desired !== undefined && wouldWrite(desired, live.deployment) && replacesPod(desired, live.deployment)) {
    // On a node that it has to leave it waits for no other server of the tenant.
    return { ...change(version, live.deployment), ...(leavesInMs === 0 && { departs: true }) };
  }
  // Of a paused Deployment the pod would not be replaced.
  const isPaused = live.deployment.spec?.paused === true;
  const upgrades = desired !== undefined && !isPaused && template.differ(version, current);
  // It serves nobody, and the current version may be what it needs.
  if (upgrades && isDown(observed)) return change(current, live.deployment);
  const at = timestamp(now);
  if (desired !== undefined && !isPaused && leavesInMs === 0) {
    const { takesCurrent: isAllowed } = templateRevision({ ...versions.input, restarts: true });
    const render = (running: boolean): Deployment =>
      template.render(isAllowed ? current : recorded, { ...kept, replacedAt: at, running });
    return { ...planChange(render(true), render(false), live.deployment, live.pods), departs: true };
  }
  const recycle = isPaused || desired === undefined ? undefined : recycleOf(input);
  const recycles = !upgrades && recycle?.action === 'recycle' ? recycle : undefined;
  const replacedAt = recycles === undefined ? before.replacedAt : at;
  const upgrade =
    upgrades || recycles !== undefined ? template.render(current, { ...before, replacedAt, rolloutAt: at }) : undefined;
  // One that has to leave and cannot waits for a change, and not for a time.
  const movesInMs = leavesInMs === 0 || desired === undefined || isPaused ? undefined : leavesInMs;
  const dueInMs = movesInMs ?? (recycle?.action === 'wait' ? recycle.dueInMs : undefined);
  const soon = movesInMs === undefined ? {} : { departsSoon: true, wait: waitToLeave(input, now + movesInMs) };
  return { deployment: desired, replaces: false, upgrade, recycles, dueInMs, ...soon, ...planRestart(input, versions) };
}

function waitToLeave({ live, observed }: RunningInput, at: number): Wait {
  const why = live.departure?.message ?? '';
  const message = `${why} Server ${observed.name} was replaced a moment ago, and leaves it from ${timestamp(at)} on.`;
  return { reason: ReconcilingReason.ServersUpdating, message };
}

/**
 * A pod that was moved, and has to leave its node again, is moved again only after this time, in ms: it may have come back to the node, because
 * something has it tolerate the cordon. Until then it may not be evicted: nodes are drained one after the other, too.
 */
const MOVES_AGAIN_MS = 2 * 60_000;

/** In how many ms the pod has to leave its node; undefined: it has not. While one replaces the other, it does already. */
function departsInMs({ live, leavesNodes, now }: RunningInput): number | undefined {
  if (!leavesNodes || live.departure?.comesBack !== false || !isRolloutComplete(live.deployment)) return undefined;
  const { replacedAt } = replacementsOf(live.deployment);
  return replacedAt === undefined ? 0 : msLeft(Date.parse(replacedAt), MOVES_AGAIN_MS, now);
}

/** Undefined while one pod replaces the other. */
function recycleOf({ tenant, live, observed, now }: RunningInput): RecycleDecision | undefined {
  const { maxAge, maxPingLatency } = tenant.spec.server.recycle ?? {};
  if (!isRolloutComplete(live.deployment)) return undefined;
  return recycleDecision({
    server: observed.name,
    maxAge: maxAge === undefined ? undefined : { text: maxAge, ms: durationMs(maxAge) },
    maxPingLatency,
    health: observed.health,
    begun: isRecycling(tenant, observed.name, live),
    startedAt: startTime(servingPod(live)),
    now,
  });
}

/** Whether the status says that the pod which serves drains to be recycled. */
function isRecycling({ status }: CopilotTenant, server: string, live: ServerWorld): boolean {
  const drain = status?.servers?.find(({ name }) => name === server)?.drain;
  return drain?.reason === 'Recycling' && drain.podUID === servingPod(live)?.metadata.uid;
}

/** The restart of a server that does not respond; nothing if its pod is being created, or has failed. */
function planRestart(
  { live, observed, budget, now }: RunningInput,
  { template, current, recorded = current, input }: ServerVersions,
): Partial<RunningPlan> {
  const { health, portOpen: podReady, cause, name } = observed;
  // A crash is handled by the kubelet, an incomplete rollout by the Deployment controller.
  if (cause !== undefined || !isRolloutComplete(live.deployment)) return {};
  const last = restartOf(live.deployment);
  const decision = restartDecision({ server: name, health, podReady, last, now });
  const { reason, message } = decision;
  const healthMessage = health.state === 'Unhealthy' ? message : undefined;
  if (decision.action === 'wait') return { healthMessage, dueInMs: decision.afterMs };
  if (decision.action === 'none') return { healthMessage };
  const place = budget.restart(name);
  if (!place.allowed) return { healthMessage: `${message}. ${place.message}`, dueInMs: RESTART_POLL_MS };
  const { takesCurrent } = templateRevision({ ...input, restarts: true });
  const deployment = template.render(takesCurrent ? current : recorded, {
    replacedAt: replacedAtOf(live.deployment),
    restart: { at: timestamp(now), attempt: decision.attempt },
    rolloutAt: rolloutStartOf(live.deployment),
  });
  return { deployment, replaces: true, upgrade: undefined, healthMessage, restart: { reason, message } };
}

/** The versions that a server may run with. */
interface ServerVersions {
  readonly template: ServerTemplate;
  /** That of a server that starts now. */
  readonly current: ServerVersion;
  /** That of the live Deployment. */
  readonly recorded: ServerVersion | undefined;
  readonly input: Omit<Parameters<typeof templateRevision>[0], 'restarts'>;
}

/** The versions of a server, and whether its tenant has changed since the live Deployment was written. */
export function serverVersions(
  {
    tenant,
    facts,
    live: { index, deployment: live, service },
    templates,
    wasApplied,
    budget: { paused },
  }: RunningInput,
  credentialsHash: string,
): ServerVersions {
  const ipFamily = ipFamilyOf(service, live);
  const template = new ServerTemplate({ tenant, index, credentialsHash, ipFamily, templates });
  const { image } = tenant.spec.server;
  // Where the operator does not know its image any more, the guard of a server that has one stays.
  const guard = isSharedStorage(tenant) ? (facts.operatorImage ?? guardImageOf(live)) : undefined;
  const desired = { image, default: facts.serverImage, guard };
  const current = { revision: templates.current, image: serverImage(desired, undefined) };
  const input = { current: templates.current, paused };
  if (live === undefined) {
    return { template, current, recorded: undefined, input: { ...input, recorded: undefined, changed: false } };
  }
  const recorded = { revision: recordedTemplateOf(live).revision, image: serverImage(desired, live) };
  // Of an unknown revision no drift can be repaired, but a second pod on the volume cannot stay.
  const twoPods = recorded.revision > templates.current && replicasOf(live) > 1;
  const changed = twoPods || template.hasChanged(live, recorded, wasApplied);
  return { template, current, recorded, input: { ...input, recorded: recorded.revision, changed } };
}

function replacesPod(desired: Deployment, live: Deployment): boolean {
  return differences(desired, live).some(({ path }) => path.startsWith('spec.'));
}

/**
 * Decides how a running Deployment is changed. Recreate never runs pods of two revisions at once, but it may run two of one
 * revision: when the template is reverted to a revision whose pod is still terminating, its ReplicaSet creates another. So an
 * incomplete rollout is scaled to zero first, and starts again when all pods have stopped.
 */
function planChange(desired: Deployment, stopped: Deployment, live: Deployment, pods: readonly Pod[]): RunningPlan {
  // A second pod, by another writer, would write to the same volume: that cannot wait for the rollout.
  if (replicasOf(live) > 1) return { deployment: desired, replaces: false };
  if (!isObserved(live)) {
    const message = `Waiting for the Deployment controller to observe the last change of Deployment ${live.metadata.name}.`;
    return { replaces: true, wait: { reason: ReconcilingReason.ServersUpdating, message } };
  }
  const remaining = pods.filter((pod) => !hasEnded(pod));
  const stops = remaining.some(({ metadata }) => metadata.deletionTimestamp !== undefined);
  const hasRolledOut = isRolloutComplete(live) && !stops;
  if (hasRolledOut || remaining.length === 0) return { deployment: desired, replaces: true };
  return { deployment: stopped, replaces: true };
}
