/**
 * Who may have a session: pure decisions on what one guard remembers and what is stamped on the shared volume. That never two servers
 * write one session follows from these rules, whatever gateways and the store do (docs/adr/0061-guard.md; checked by a model in
 * test/unit/guard).
 */
import type { EpochHolder, GuardRule } from '../resources/guard-protocol.ts';
import type { GrantIntent, SessionGrant } from '../resources/session-grant.ts';

/** What a guard remembers of a session, in its own directory. `Closed`: it was closed here under the epoch, which never opens here. */
export interface Fence {
  readonly epoch: number;
  readonly state: 'Open' | 'Closed';
  /** What was granted last under the epoch. Undefined: not since this process started, and all connections of before have ended. */
  readonly intent?: GrantIntent | undefined;
}

/** That a pod took a session, by the shared volume. Mostly there is one; more if a guard died while it took the session, or is about to. */
export interface Stamp {
  /** The epoch under which it did. */
  readonly epoch: number;
  readonly holder: EpochHolder;
  /** It has closed the session under this epoch, which others may take it under; undefined: it has not. */
  readonly closedUnder?: number | undefined;
}

/** What of the session's state was read. */
export interface Known {
  readonly fence: Fence | undefined;
  /** The highest epoch first. */
  readonly stamps: readonly Stamp[];
  /** What the connection that asks was granted before. */
  readonly held?: HeldGrant | undefined;
}

/** What a grant is answered. With `claim` it is not so yet: the pod has to claim the epoch on the shared volume, and to decide again. */
export type GrantVerdict =
  | { readonly outcome: 'Granted'; readonly fence: Fence; readonly claim: boolean }
  | {
      readonly outcome: 'Refused';
      readonly reason: GuardRule;
      readonly message: string;
      readonly epoch: number;
      readonly holder?: EpochHolder | undefined;
    };

/** The highest epoch that is known; 0: none is. */
export function highestEpoch({ fence, stamps }: Known): number {
  return Math.max(fence?.epoch ?? 0, ...stamps.map(({ epoch, closedUnder = 0 }) => Math.max(epoch, closedUnder)));
}

/** Whether a guard in the pod `pod` may do what is granted. */
export function decideGrant(grant: SessionGrant, pod: string, known: Known): GrantVerdict {
  if (grant.epoch < highestEpoch(known)) return stale(grant, known);
  return grant.intent === 'close' ? decideClose(grant, pod, known) : decideLoad(grant, pod, known);
}

function decideLoad(grant: SessionGrant, pod: string, known: Known): GrantVerdict {
  const { epoch, intent, gone = [] } = grant;
  const { fence, stamps } = known;
  const isMine = ({ holder }: Stamp): boolean => holder.pod === pod;
  // What was closed here under an epoch is another's under the same one.
  const isClosedHere = stamps.some((stamp) => isMine(stamp) && (stamp.closedUnder ?? 0) >= epoch);
  if (isClosedHere || (fence?.epoch === epoch && fence.state === 'Closed')) return stale(grant, known);
  if (isOthers(grant, known)) return stale(grant, known);
  const same = stamps.find((stamp) => stamp.epoch === epoch);
  if (same !== undefined && !isMine(same)) return stale(grant, known);
  const open = stamps.find(
    (stamp) => !isMine(stamp) && stamp.closedUnder === undefined && !gone.includes(stamp.holder.pod),
  );
  if (open === undefined)
    return { outcome: 'Granted', fence: { epoch, state: 'Open', intent }, claim: same === undefined };
  return {
    outcome: 'Refused',
    reason: 'NotClosed',
    message: `session ${grant.session} is open at ${open.holder.server}, pod ${open.holder.pod}, under epoch ${open.epoch}`,
    epoch: highestEpoch(known),
    holder: open.holder,
  };
}

/**
 * Whether another one has taken the epoch for something else: the store gives it to the gateway, and the operator counts on from what guards
 * say, so both may have come to the same number. Who has the session under it may do either.
 */
function isOthers({ epoch, intent }: SessionGrant, { fence, held }: Known): boolean {
  return fence?.epoch === epoch && held?.epoch !== epoch && fence.intent !== undefined && fence.intent !== intent;
}

/** The epoch must be above the one under which it is open here, or its holder could not be told from who closes. */
function decideClose(grant: SessionGrant, pod: string, known: Known): GrantVerdict {
  const { epoch } = grant;
  const { fence, stamps } = known;
  const isOpenHere =
    (fence?.epoch === epoch && fence.state === 'Open') ||
    stamps.some((stamp) => stamp.epoch === epoch && stamp.holder.pod === pod);
  if (isOpenHere) return stale(grant, known);
  return { outcome: 'Granted', fence: { epoch, state: 'Closed' }, claim: false };
}

function stale({ session, epoch }: SessionGrant, known: Known): GrantVerdict {
  const highest = highestEpoch(known);
  const holder = known.stamps.find(({ closedUnder }) => closedUnder === undefined)?.holder;
  return {
    outcome: 'Refused',
    reason: 'StaleEpoch',
    message: `epoch ${epoch} of session ${session} is late: ${highest} is known`,
    epoch: highest,
    ...(holder && { holder }),
  };
}

/** What a connection was granted for a session. */
export type HeldGrant = Pick<SessionGrant, 'epoch' | 'intent'>;

/** What kind of call one about a session is: `Load` and `Delete` change which files a server has open, `Close` ends that. */
export type CallKind = 'Load' | 'Close' | 'Delete' | 'Other';

/** Whether a connection may make a call; undefined: it may. */
export function decideCall(
  kind: CallKind,
  held: HeldGrant | undefined,
  fence: Fence | undefined,
): Extract<GuardRule, 'NoGrant' | 'StaleEpoch'> | undefined {
  if (held === undefined) return 'NoGrant';
  if (fence === undefined || fence.epoch !== held.epoch) return 'StaleEpoch';
  if (held.intent === 'close') return kind === 'Close' ? undefined : 'NoGrant';
  if (fence.state === 'Closed') return 'StaleEpoch';
  if (held.intent === 'load') return undefined;
  return kind === 'Delete' || kind === 'Close' ? undefined : 'NoGrant';
}
