/** All sessions of a guard: who has been granted what, and whose turn it is. Nothing here knows of sockets or frames. */
import type { GuardRule, EpochHolder } from '../resources/guard-protocol.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import { decideCall, decideGrant, type CallKind, type Fence, type GrantVerdict, type HeldGrant } from './fence.ts';
import type { FenceStore } from './fence-log.ts';
import { Lane } from './lane.ts';
import { SpoiltStampError, type Stamps } from './stamps.ts';

/** For which server a guard stands. */
export interface GuardIdentity extends EpochHolder {
  /** `namespace/name`. */
  readonly tenant: string;
}

/** Why something is refused. */
export interface Refusal {
  readonly rule: GuardRule;
  readonly message: string;
  readonly epoch?: number | undefined;
  readonly holder?: EpochHolder | undefined;
}

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

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #fences: Map<string, Fence>;
  readonly #lanes = new Map<string, Lane>();
  #waiting = 0;
  #waitingBytes = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#fences = new Map(options.fences.all);
  }

  /** What this guard remembers of a session. */
  fenceOf(session: string): Fence | undefined {
    return this.#fences.get(session);
  }

  /** Takes a grant, whose signature was checked. Resolves to why it is refused; undefined: it counts, and is durable. */
  async grant(caller: Caller, grant: SessionGrant): Promise<Refusal | undefined> {
    const misdirected = this.#misdirected(grant);
    if (misdirected !== undefined) return misdirected;
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
      if (verdict.outcome === 'Refused') return { rule: verdict.reason, ...withoutReason(verdict) };
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
    if (this.#waiting >= MOST_WAITING.calls || this.#waitingBytes + bytes > MOST_WAITING.bytes)
      return call.refuse({ rule: 'Busy', message: 'too many calls wait in the guard; try again later' });
    this.#waiting += 1;
    this.#waitingBytes += bytes;
    this.#enter(call, lane ?? this.#laneOf(session));
  }

  #enter(call: GuardedCall, lane: Lane): void {
    const { session, kind, bytes } = call;
    const begin = (): boolean => {
      this.#waiting -= 1;
      this.#waitingBytes -= bytes;
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
    const message =
      rule === 'NoGrant'
        ? `the connection has no grant for this call about session ${session}`
        : `epoch ${held?.epoch} of session ${session} has ended: ${fence?.epoch} is known`;
    return { rule, message, ...(fence && { epoch: fence.epoch }) };
  }

  /** A close under its own grant, or a deletion, has ended: other servers may have the session once this is stamped. */
  async #stampEnd({ session, kind }: GuardedCall, held: HeldGrant | undefined): Promise<Refusal | undefined> {
    const isMove = kind === 'Close' && held?.intent === 'close';
    if (held === undefined || (!isMove && kind !== 'Delete')) return undefined;
    const { epoch } = held;
    try {
      if (kind === 'Delete' && this.#epochOf(session) <= epoch) await this.#keep(session, { epoch, state: 'Closed' });
      await this.#options.stamps.close(session, epoch);
      return undefined;
    } catch (error) {
      this.#options.failed(error, session);
      return storageFailed(session, error);
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
    const known = { fence: this.#fences.get(session), stamps, held: held.get(session) };
    return decideGrant(grant, this.#options.self.pod, known);
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

  #misdirected({ tenant, server, pod, session }: SessionGrant): Refusal | undefined {
    const { self } = this.#options;
    if (tenant === self.tenant && server === self.server && pod === self.pod) return undefined;
    return {
      rule: 'BadGrant',
      message: `the grant for session ${session} is for ${server}, pod ${pod}; this is ${self.server}, pod ${self.pod}`,
    };
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

function storageFailed(session: string, error: unknown): Refusal {
  // The words of a file system have paths of the pod in them. They are in the log.
  const what =
    error instanceof SpoiltStampError
      ? `session ${session}: ${error.message}`
      : `the epoch of session ${session} could not be read or stored; try again later`;
  return { rule: 'StorageFailed', message: what };
}

function withoutReason({
  message,
  epoch,
  holder,
}: Extract<GrantVerdict, { outcome: 'Refused' }>): Omit<Refusal, 'rule'> {
  return { message, epoch, holder };
}
