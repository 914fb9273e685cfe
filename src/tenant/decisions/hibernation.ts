/**
 * Decides whether a tenant sleeps: the one machine of a tenant's servers, Running, Draining, Stopping, Stopped, Waking. Its state stands in
 * the status, so that another operator process goes on with it. test/unit/tenant/decisions/hibernation-model.test.ts checks it together with
 * gateways in all orders.
 */
import type { HibernationPhase } from '../../api/names.ts';
import type { HibernationStatus } from '../../api/tenant.ts';
import { msLeft, timestamp } from '../../kube/types/time.ts';
import { truncate } from '../../kube/write/conditions.ts';

/** What the decision is made from. */
export interface HibernationInput {
  /** What the status states; undefined: the tenant never slept. */
  readonly stated: HibernationStatus | undefined;
  /** `spec.hibernation`; undefined: the tenant is not to sleep. */
  readonly wanted: { readonly afterIdleMs: number; readonly wakeTimeoutMs: number } | undefined;
  /** Clients come through a gateway that can ask for a wake. */
  readonly canWake: boolean;
  /** Servers are to run but for hibernation: the tenant is neither suspended nor scaled to zero. */
  readonly isExpected: boolean;
  /** Nobody starts or stops its servers. */
  readonly isPaused: boolean;
  /** For how long nobody has used it, in ms, as all replicas of the gateway say; undefined: they have not said it. */
  readonly idleMs: number | undefined;
  /** Since when its servers can serve, as the status states; undefined: it does not state that they can. */
  readonly servesSince: string | undefined;
  /** Clients wait for it, or have used it since. */
  readonly isAsked: boolean;
  /** Whether one more tenant may start now. It is only asked for one that would. */
  readonly hasPlace: () => boolean;
  /** For how long it is being woken, in ms. */
  readonly wakingMs: number;
  /** So much of that had passed when this process saw it first, in ms. */
  readonly foundAtMs: number;
  /** Every server runs as specified, and answers. */
  readonly areReady: boolean;
  /** The kubelet can connect to every server: then the gateway lets calls pass, whatever this process knows of its own pings. */
  readonly arePortsOpen: boolean;
  /** A server is replaced or scaled down, which goes first. */
  readonly isChanging: boolean;
  /** No server has a pod, nor is to have one. */
  readonly areStopped: boolean;
  /** The plan stops every server: each replica of the gateway has left their pods for this epoch. */
  readonly mayStop?: boolean | undefined;
  /** Why servers do not run, as a sentence. */
  readonly cause: string | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Why the tenant is in its phase. */
export type HibernationReason =
  | 'NotWanted'
  | 'NotExpected'
  | 'Paused'
  | 'Unknown'
  | 'InUse'
  | 'Changing'
  | 'Idle'
  | 'Draining'
  | 'Asked'
  | 'NotDrained'
  | 'Drained'
  | 'Stopping'
  | 'Stopped'
  | 'Asleep'
  | 'NoPlace'
  | 'Waking'
  | 'Awake'
  | 'WakeFailed';

/** What it is from now on. */
export interface HibernationDecision {
  readonly phase: HibernationPhase;
  readonly reason: HibernationReason;
  readonly message: string;
  /** What the status states from now on; undefined: nothing, as before. */
  readonly status: HibernationStatus | undefined;
  /** When it must be decided again though nothing changes, in ms. */
  readonly dueInMs?: number | undefined;
}

/**
 * How long the gateway may take to leave the servers of an idle tenant, in ms. It waits for no turns; whatever holds it up, such as a
 * replica that does not answer, is a reason not to sleep.
 */
export const SLEEP_DRAIN_MS = 30_000;
/** The drain that the gateway is told of ends later: by then it was taken back, and the gateway has cut nothing that still runs. */
export const STATED_DRAIN_MS = SLEEP_DRAIN_MS + 15_000;

/** What the gateway says is up to half a minute old, so it is looked at again after at least this time, in ms. */
const LOOK_AGAIN_MS = 5_000;
const MAX_FAILURE = 1024;
const DRAINED = 'Every replica of the gateway has left.';
const UNKNOWN = 'The gateway has not said since when it is unused.';

/** The next phase. One step: the steps that follow are decided when the cluster shows this one. */
export function hibernationDecision(input: HibernationInput): HibernationDecision {
  const { stated, wanted, canWake, isExpected } = input;
  const phase = stated?.phase ?? 'Running';
  if (input.isPaused && phase !== 'Waking') return paused(input, phase);
  // Nobody could wake it, or nobody is to: it is as if it had never slept.
  if (wanted === undefined || !canWake) return to(input, 'Running', 'NotWanted', 'The tenant is not to sleep.');
  if (!isExpected) return to(input, 'Running', 'NotExpected', 'The tenant is suspended or scaled to zero.');
  if (phase === 'Running') return running(input, wanted.afterIdleMs);
  if (phase === 'Draining') return draining(input, wanted.afterIdleMs);
  if (phase === 'Waking') return waking(input, wanted.wakeTimeoutMs);
  if (!input.isAsked) return asleep(input, phase);
  if (input.hasPlace()) return to(input, 'Waking', 'Asked', 'A client waits: servers are started.');
  return to(
    input,
    phase,
    'NoPlace',
    'A client waits, and so many other tenants are started that this one has to wait.',
  );
}

/** What has begun is not gone on with; a wake only ends, so that its clients are told. */
function paused(input: HibernationInput, phase: Exclude<HibernationPhase, 'Waking'>): HibernationDecision {
  if (phase === 'Stopping' || phase === 'Stopped') return asleep(input, phase);
  if (phase === 'Draining' && input.areStopped) return to(input, 'Stopping', 'Drained', DRAINED);
  return to(input, 'Running', 'Paused', 'The tenant is paused: its servers are not stopped.');
}

function running(input: HibernationInput, afterIdleMs: number): HibernationDecision {
  const { stated, idleMs, servesSince, isAsked, areReady, isChanging, now } = input;
  if (idleMs === undefined) return to(input, 'Running', 'Unknown', UNKNOWN);
  // Nobody could use it before. After a wake, and after a drain that was taken back, it stays as long as after a use.
  const since = [servesSince, stated?.since].map((at) => msLeft(Date.parse(at ?? ''), afterIdleMs, now));
  const leftMs = Math.max(afterIdleMs - idleMs, ...since);
  if (isAsked || leftMs > 0) {
    return to(input, 'Running', 'InUse', 'The tenant was used lately.', Math.max(leftMs, LOOK_AGAIN_MS));
  }
  // That they serve counts from when the status states it.
  if (servesSince === undefined) return to(input, 'Running', 'Changing', 'Servers have not served yet.');
  // A server that is being replaced, or does not answer, is not stopped in the middle of it.
  if (!areReady || isChanging) return to(input, 'Running', 'Changing', 'Servers are being changed.');
  return to(input, 'Draining', 'Idle', 'Nobody uses the tenant: its servers drain.', SLEEP_DRAIN_MS);
}

function draining(input: HibernationInput, afterIdleMs: number): HibernationDecision {
  const { stated, idleMs, isAsked, mayStop, areStopped, areReady, now } = input;
  // A client that waits, at any replica, keeps the servers.
  if (isAsked) return to(input, 'Running', 'Asked', 'A client uses the tenant: its servers go on.');
  if (mayStop === true || areStopped) return to(input, 'Stopping', 'Drained', DRAINED);
  // A replica that has ended counts as one that has left, and does not ask for the turns that it began.
  if (idleMs === undefined) return to(input, 'Running', 'Unknown', UNKNOWN);
  if (idleMs < afterIdleMs) return to(input, 'Running', 'InUse', 'The tenant was used lately.');
  const leftMs = Date.parse(stated?.since ?? '') + SLEEP_DRAIN_MS - now;
  // Also when the clock was set back.
  if (!areReady || !(leftMs > 0 && leftMs <= SLEEP_DRAIN_MS)) {
    return to(input, 'Running', 'NotDrained', 'Not all replicas of the gateway have left its servers in time.');
  }
  return to(input, 'Draining', 'Draining', 'Nobody uses the tenant: its servers drain.', leftMs);
}

function asleep(input: HibernationInput, phase: 'Stopping' | 'Stopped'): HibernationDecision {
  if (phase === 'Stopped') return to(input, 'Stopped', 'Asleep', 'The tenant sleeps.');
  if (input.areStopped) return to(input, 'Stopped', 'Stopped', 'Every server has stopped.');
  return to(input, 'Stopping', 'Stopping', 'Servers are being stopped.');
}

function waking(input: HibernationInput, timeoutMs: number): HibernationDecision {
  const { stated, wakingMs, foundAtMs, areReady, arePortsOpen, cause, now } = input;
  if (areReady) return to(input, 'Running', 'Awake', 'Every server runs and answers.');
  const leftMs = timeoutMs - wakingMs;
  if (leftMs > 0) return to(input, 'Waking', 'Waking', 'Servers are being started.', leftMs);
  // Clients may use them already: whether they answer is for their health to say.
  if (arePortsOpen) return to(input, 'Running', 'Awake', 'Every server runs.');
  // No operator was there, and clients may have used them until a moment ago. That is believed once: an operator may end again and again.
  if (stated !== undefined && foundAtMs >= timeoutMs && stated.countedAnew !== true) {
    const status = { ...stated, since: timestamp(now), countedAnew: true };
    return { phase: 'Waking', reason: 'Waking', message: 'Servers are being started.', status, dueInMs: timeoutMs };
  }
  const message = `The servers did not start within spec.hibernation.wakeTimeout: ${cause ?? 'they do not answer yet.'}`;
  return to(input, 'Stopping', 'WakeFailed', message);
}

function to(
  { stated, now }: HibernationInput,
  phase: HibernationPhase,
  reason: HibernationReason,
  message: string,
  dueInMs?: number,
): HibernationDecision {
  const due = dueInMs === undefined ? {} : { dueInMs };
  if ((stated?.phase ?? 'Running') === phase) return { phase, reason, message, status: stated, ...due };
  // While it sleeps, and is woken again, the last failure is still of interest.
  const epoch = (stated?.epoch ?? 0) + 1;
  const last = phase === 'Running' ? undefined : stated?.failure;
  const failure = reason === 'WakeFailed' ? { epoch, message: truncate(message, MAX_FAILURE) } : last;
  const status = {
    phase,
    epoch,
    since: timestamp(now),
    ...(failure !== undefined && { failure }),
  };
  return { phase, reason, message, status, ...due };
}
