/** All sessions of a guard: who has been granted what, and whose turn it is. Nothing here knows of sockets or frames. */
import type { SessionGrant } from '../resources/session-grant.ts';
import {
  decideCall,
  decideGrant,
  type CallKind,
  type Fence,
  type GrantVerdict,
  type HeldGrant,
  type Stamp,
} from './fence.ts';
import type { FenceStore } from './fence-log.ts';
import { Lane } from './lane.ts';
import { BUSY, misdirected, storageFailed, uncalled, ungranted, type GuardIdentity, type Refusal } from './refusals.ts';
import { Room } from './room.ts';
import type { Stamps } from './stamps.ts';

/** A connection, as far as sessions are concerned. */
export interface Caller {
  /** What it was granted, by session. */
  readonly held: Map<string, HeldGrant>;
  /** Nobody takes an answer any more: what waits is not begun. */
  readonly isGone: boolean;
}

/** An exclusive call that was passed on. */
export interface UnderWay {
  /**
   * Called once, before its answer is passed on, or when none will come. Resolves to what is to be answered instead; undefined: the
   * server's own answer.
   */
  ended(isDone: boolean): Promise<Refusal | undefined>;
}

/** A call about a session. */
export interface GuardedCall {
  readonly caller: Caller;
  readonly session: string;
  readonly kind: CallKind;
  /** Bytes that are kept while it waits. */
  readonly bytes: number;
  /** To be passed on now. `underWay`: of an exclusive call. */
  readonly pass: (underWay: UnderWay | undefined) => void;
  readonly refuse: (refusal: Refusal) => void;
}

export interface SessionsOptions {
  readonly self: GuardIdentity;
  readonly fences: FenceStore;
  readonly stamps: Stamps;
  /** A volume can't be used. */
  readonly failed: (error: unknown, session: string) => void;
}

/** What may wait, of all sessions together. */
const MOST_WAITING = { calls: 10_000, bytes: 64 * 1024 * 1024 };
/** Of so many sessions that are closed it is remembered here, and not only on disks. */
const MOST_CLOSED = 10_000;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #fences: Map<string, Fence>;
  readonly #lanes = new Map<string, Lane>();
  readonly #room = new Room(MOST_WAITING);
  /** Sessions that are closed, the oldest first. */
  readonly #closed = new Set<string>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#fences = new Map(options.fences.all);
    for (const [session, { state }] of this.#fences) if (state === 'Closed') this.#closed.add(session);
  }

  /** What this guard remembers of a session. */
  fenceOf(session: string): Fence | undefined {
    return this.#fences.get(session);
  }

  /** Takes a grant, whose signature was checked. Resolves to why it is refused; undefined: it counts, and is durable. */
  async grant(caller: Caller, grant: SessionGrant): Promise<Refusal | undefined> {
    const isElsewhere = misdirected(grant, this.#options.self);
    if (isElsewhere !== undefined) return isElsewhere;
    if (!this.#room.enter(0)) return BUSY;
    try {
      return await this.#grantInTurn(caller, grant);
    } finally {
      this.#room.leave(0);
    }
  }

  /** What the volume has of the session for which a grant is, which is not taken: nothing changes by it, so it waits for nothing. */
  async epochs(grant: SessionGrant): Promise<readonly Stamp[] | Refusal> {
    const isElsewhere = misdirected(grant, this.#options.self);
    if (isElsewhere !== undefined) return isElsewhere;
    if (!this.#room.enter(0)) return BUSY;
    try {
      return await this.#options.stamps.read(grant.session);
    } catch (error) {
      this.#options.failed(error, grant.session);
      return storageFailed(grant.session, error);
    } finally {
      this.#room.leave(0);
    }
  }

  async #grantInTurn(caller: Caller, grant: SessionGrant): Promise<Refusal | undefined> {
    const { session, epoch, intent } = grant;
    const { promise: turn, resolve: begin } = Promise.withResolvers<void>();
    const lane = this.#laneOf(session);
    lane.enter('Grant', () => {
      begin();
      return true;
    });
    await turn;
    try {
      const verdict = await this.#take(grant, caller);
      if (verdict.outcome === 'Refused') return ungranted(verdict);
      caller.held.set(session, { epoch, intent });
      return undefined;
    } catch (error) {
      this.#options.failed(error, session);
      return storageFailed(session, error);
    } finally {
      lane.left('Grant');
      this.#leave(session, lane);
    }
  }

  /** Passes a call on when it is its turn, or refuses it. */
  call(call: GuardedCall): void {
    const { session, kind, bytes } = call;
    const lane = this.#lanes.get(session);
    // What nothing stands in the way of waits for nothing.
    if (kind === 'Other' && lane === undefined) return this.#passOrRefuse(call);
    if (!this.#room.enter(bytes)) return call.refuse(BUSY);
    this.#enter(call, lane ?? this.#laneOf(session));
  }

  #enter(call: GuardedCall, lane: Lane): void {
    const { session, kind, bytes } = call;
    const begin = (): boolean => {
      this.#room.leave(bytes);
      if (call.caller.isGone) return false;
      if (kind !== 'Other') return this.#beginExclusive(call, lane);
      this.#passOrRefuse(call);
      return false;
    };
    lane.enter(kind === 'Other' ? 'Plain' : 'Exclusive', begin, kind === 'Close');
    this.#leave(session, lane);
  }

  #passOrRefuse(call: GuardedCall): void {
    const refusal = this.#refusalOf(call);
    if (refusal === undefined) call.pass(undefined);
    else call.refuse(refusal);
  }

  #beginExclusive(call: GuardedCall, lane: Lane): boolean {
    const refusal = this.#refusalOf(call);
    if (refusal !== undefined) {
      call.refuse(refusal);
      return false;
    }
    const held = call.caller.held.get(call.session);
    call.pass({
      ended: async (isDone) => {
        try {
          return isDone ? await this.#stampEnd(call, held) : undefined;
        } finally {
          lane.left('Exclusive');
          this.#leave(call.session, lane);
        }
      },
    });
    return true;
  }

  #refusalOf({ caller, session, kind }: GuardedCall): Refusal | undefined {
    const fence = this.#fences.get(session);
    const held = caller.held.get(session);
    const rule = decideCall(kind, held, fence);
    if (rule === undefined) return undefined;
    // It will not be current again.
    if (rule === 'StaleEpoch') caller.held.delete(session);
    return uncalled(rule, session, held, fence);
  }

  /** A close under its own grant, or a deletion, has ended: other servers may have the session once this is stamped. */
  async #stampEnd({ caller, session, kind }: GuardedCall, held: HeldGrant | undefined): Promise<Refusal | undefined> {
    const isMove = kind === 'Close' && held?.intent === 'close';
    if (held === undefined || (!isMove && kind !== 'Delete')) return undefined;
    const { epoch } = held;
    try {
      if (kind === 'Delete' && this.#epochOf(session) <= epoch) await this.#keep(session, { epoch, state: 'Closed' });
      await this.#options.stamps.close(session, epoch);
      if (caller.held.get(session) === held) caller.held.delete(session);
      this.#ended(session, epoch);
      return undefined;
    } catch (error) {
      this.#options.failed(error, session);
      return storageFailed(session, error);
    }
  }

  /** It is in the store of fences, where it is found if the session comes again. */
  #ended(session: string, epoch: number): void {
    const fence = this.#fences.get(session);
    if (fence?.epoch !== epoch || fence.state !== 'Closed') return;
    this.#closed.delete(session);
    this.#closed.add(session);
    for (const oldest of this.#closed) {
      if (this.#closed.size <= MOST_CLOSED) return;
      this.#closed.delete(oldest);
      // What came since is under way, or will be closed, too.
      if (!this.#lanes.has(oldest) && this.#fences.get(oldest)?.state === 'Closed') this.#fences.delete(oldest);
    }
  }

  async #take(grant: SessionGrant, caller: Caller): Promise<GrantVerdict> {
    const { session, epoch } = grant;
    const { stamps } = this.#options;
    let verdict = await this.#decide(grant, caller);
    if (verdict.outcome === 'Granted' && verdict.claim) {
      const isClaimed = await stamps.claim(session, epoch);
      // Another may have claimed another epoch in the same moment: both look again, and not both find themselves alone.
      verdict = await this.#decide(grant, caller);
      if (verdict.outcome === 'Granted' && verdict.claim)
        throw new Error(`the claim of session ${session} is not there`);
      if (verdict.outcome === 'Refused' && isClaimed) await stamps.unclaim(session, epoch);
    }
    if (verdict.outcome === 'Refused') return verdict;
    if (grant.intent !== 'close') await stamps.forgetBelow(session, epoch);
    await this.#keep(session, verdict.fence);
    return verdict;
  }

  async #decide(grant: SessionGrant, { held }: Caller): Promise<GrantVerdict> {
    const { session } = grant;
    const stamps = await this.#options.stamps.read(session);
    const fence = this.#fences.get(session) ?? (await this.#options.fences.find(session));
    return decideGrant(grant, this.#options.self.pod, { fence, stamps, held: held.get(session) });
  }

  /** A closed session is closed at once, and what is open is so only when that is durable. */
  async #keep(session: string, fence: Fence): Promise<void> {
    const before = this.#fences.get(session);
    if (before?.epoch === fence.epoch && before.state === fence.state) return void this.#fences.set(session, fence);
    if (fence.state === 'Closed') this.#fences.set(session, fence);
    await this.#options.fences.save(session, { epoch: fence.epoch, state: fence.state });
    // A deletion may end after the next grant.
    if (this.#epochOf(session) <= fence.epoch) this.#fences.set(session, fence);
  }

  #epochOf(session: string): number {
    return this.#fences.get(session)?.epoch ?? 0;
  }

  #laneOf(session: string): Lane {
    const lane = this.#lanes.get(session) ?? new Lane();
    this.#lanes.set(session, lane);
    return lane;
  }

  #leave(session: string, lane: Lane): void {
    if (lane.isFree && this.#lanes.get(session) === lane) this.#lanes.delete(session);
  }
}
