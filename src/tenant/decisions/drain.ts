/** Decides whether the pod of a server may be replaced or stopped now, or whether its turns are waited for. */
import type { DrainReason, ServerDrain } from '../../api/tenant.ts';
import { timestamp } from '../../kube/types/time.ts';
import { DRAIN_RETURN_MS } from '../../resources/gateway-internal.ts';

/** What the replicas of the gateway say of one drain. */
export interface DrainReport {
  /** Turns that they wait for. */
  readonly turns: number;
  /** Replicas that have not said yet that they left the pod alone; those that do not answer are among them. */
  readonly waiting: number;
}

/** What the decision is made from. */
export interface DrainInput {
  /** Name of the server. */
  readonly server: string;
  readonly why: DrainReason;
  /** `spec.drain.timeout`, in ms. */
  readonly timeoutMs: number;
  /** Clients come through a gateway that can be asked. */
  readonly throughGateway: boolean;
  /** UID of the pod that serves; undefined: none does. */
  readonly podUID: string | undefined;
  /** The last write that was to replace or stop the pod was not done. */
  readonly wasRefused: boolean;
  /** The server answers, as far as is known. */
  readonly responds: boolean;
  /** What the status states of the server. */
  readonly stated: ServerDrain | undefined;
  /** The epoch of a drain that begins now. */
  readonly nextEpoch: number;
  /** Undefined: no replica was asked yet. */
  readonly report: DrainReport | undefined;
  /** For how long this process has tried to state the drain, in ms; undefined: it has not. */
  readonly openMs: number | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Why it need not drain, or drains no longer. */
export type DrainEnd =
  'NotThroughGateway' | 'NothingServes' | 'Refused' | 'NotResponding' | 'NoTimeout' | 'Drained' | 'DeadlinePassed';

/** `replace`: at once. `drain`: the drain is stated, and waited for. */
export type DrainDecision =
  | { readonly action: 'replace'; readonly reason: DrainEnd; readonly message: string }
  | {
      readonly action: 'drain';
      readonly reason: 'Begun' | 'Draining';
      readonly message: string;
      readonly drain: ServerDrain;
      /** When it is over at the latest, in ms from now. */
      readonly dueInMs: number;
    };

/** How long after the deadline a replica of the gateway may still close its sessions, in ms. */
const MARGIN_MS = 10_000;

const WHAT: Readonly<Record<DrainReason, string>> = {
  Updating: 'replaced',
  Suspending: 'stopped',
  ScalingDown: 'stopped',
  Hibernating: 'stopped',
  NodeDraining: 'moved to another node',
  Recycling: 'recycled',
};

/** A drain counts from when it was written: before that, no replica of the gateway can know of it. */
export function drainDecision(input: DrainInput): DrainDecision {
  const { server, why, timeoutMs, podUID, stated, nextEpoch, report, now } = input;
  const replace = (reason: DrainEnd, message: string): DrainDecision => ({ action: 'replace', reason, message });
  if (!input.throughGateway) return replace('NotThroughGateway', 'Its clients are connected to it directly.');
  if (podUID === undefined) return replace('NothingServes', 'No pod of it serves.');
  if (input.wasRefused) return replace('Refused', 'Its Deployment could not be written after the last drain.');
  if (!input.responds) return replace('NotResponding', 'It does not answer, so no turn of it would end.');
  if (timeoutMs === 0) return replace('NoTimeout', 'spec.drain.timeout is 0s.');
  const isStated = stated?.podUID === podUID && !isAbandoned(stated, now);
  // The clock was set back, or is that of another machine: the timeout counts from now on.
  const since = isStated && Date.parse(stated.since) <= now ? stated.since : timestamp(now);
  const deadline = Date.parse(since) + timeoutMs;
  if (isStated && report?.waiting === 0) return replace('Drained', 'Its turns have ended.');
  // A status that does not take it, such as one of an earlier CRD, must not hold up an update for ever.
  const openMs = isStated ? 0 : (input.openMs ?? 0);
  const dueInMs = Math.min(deadline + MARGIN_MS - now, timeoutMs + MARGIN_MS - openMs);
  if (dueInMs <= 0) return replace('DeadlinePassed', `Not all turns of it have ended by ${timestamp(deadline)}.`);
  const drain = {
    epoch: isStated ? stated.epoch : nextEpoch,
    reason: why,
    podUID,
    since,
    deadline: timestamp(deadline),
    ...(isStated && report !== undefined && { turns: report.turns }),
  };
  const message = `Server ${server} drains before it is ${WHAT[why]}: ${leftOf(drain.turns)}, until ${drain.deadline} at the latest.`;
  return { action: 'drain', reason: isStated ? 'Draining' : 'Begun', message, drain, dueInMs };
}

/**
 * Nobody has replaced the pod for so long, because no operator ran or the clock was set, that the gateway uses it again: turns may run there
 * that know of no drain.
 */
function isAbandoned(stated: ServerDrain, now: number): boolean {
  return now >= Date.parse(stated.deadline) + DRAIN_RETURN_MS - MARGIN_MS;
}

function leftOf(turns: number | undefined): string {
  if (turns === undefined || turns === 0) return 'waiting for the gateway';
  return turns === 1 ? '1 turn still runs' : `${turns} turns still run`;
}
