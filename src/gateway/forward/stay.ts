/** The stay of a client at one home, from when that is asked to take it until it is the home no more: the client, as the home sees it. */
import type { Message } from '../../copilot/index.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { ClientLink, CloseReason, Identity } from '../model.ts';
import type { ClientState, DeclaredSession } from '../relay/setup/client-state.ts';
import type { RelayLog } from '../relay/model.ts';
import type { Leg, LegClient, LegEnd } from './leg.ts';
import type { ForwardLimits } from './limits.ts';
import type { Holding } from './messages.ts';
import type { ForwardObserver } from './observer.ts';
import { OwnRequests } from './own-requests.ts';
import { NotNowError, restoreSession } from './restore.ts';
import { Restoring } from './restoring.ts';

/** The client, as its stay sees it. */
export interface Guest {
  /** A frame of the home for the client. */
  deliver(body: Buffer | string): void;
  /** Whether the home lets the client be read. */
  letRead(isRead: boolean): void;
  /** What is to wait from now on. */
  held(what: Holding): void;
  /** The home is none any more. */
  left(end: LegEnd): void;
  /** The home has the session, but not what the client was in the middle of. */
  cut(session: DeclaredSession): void;
  /** The home cannot have the session. */
  givenUp(session: DeclaredSession, why: string): void;
  /** What has waited for the session need not wait any more. */
  settled(sessionId: string): void;
}

export interface StayOptions {
  readonly link: ClientLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: () => string;
  readonly limits: ForwardLimits;
  readonly log: RelayLog;
  readonly observer: ForwardObserver;
}

/** It makes the client's sessions known to the home. */
export class Stay implements LegClient {
  readonly askedBefore: number;
  /** Resolves at its end. */
  readonly over: Promise<void>;
  readonly #options: StayOptions;
  readonly #guest: Guest;
  readonly #own: OwnRequests;
  readonly #resolveOver: () => void;
  #leg: Leg | undefined;
  #isOver = false;
  /** Of the sessions that this home does not have yet. */
  #restoring: Restoring | undefined;

  /** `askedBefore`: the last number of a request of a server at an earlier home. */
  constructor(options: StayOptions, guest: Guest, askedBefore: number) {
    this.#options = options;
    this.#guest = guest;
    this.askedBefore = askedBefore;
    this.#own = new OwnRequests(options.newId);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#resolveOver = resolve;
  }

  /** The way to the home; undefined: it has not taken the client yet. */
  get leg(): Leg | undefined {
    return this.#leg;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the home does not have a session yet. */
  get isRestoring(): boolean {
    return this.#restoring?.isWaiting === true;
  }

  isWaitedFor(sessionId: string | undefined): boolean {
    return this.#restoring?.isWaitedFor(sessionId) === true;
  }

  /** What the next home is to be told, without those calls that were made in the client's name; undefined: the home has not taken the client. */
  get state(): ClientState | undefined {
    return this.#leg && without(this.#own, this.#leg.state);
  }

  /** The home has taken the client. */
  begin(leg: Leg): void {
    this.#leg = leg;
  }

  /** Attaches the client to its sessions, all at the same time. What it does with one waits until that is there, and nothing else. */
  restore(leg: Leg, sessions: readonly DeclaredSession[]): void {
    const { observer, clock, random, limits } = this.#options;
    this.#restoring = new Restoring({
      clock,
      random,
      limits,
      restore: (session) => this.#restore(leg, session),
      isOver: () => this.#isOver,
      givenUp: (session, why) => {
        observer.sessionRestored('Lost');
        leg.forget(session.sessionId);
        this.#guest.givenUp(session, why);
      },
      settled: (sessionId) => {
        if (!this.#isOver) this.#guest.settled(sessionId);
      },
    });
    this.#restoring.begin(sessions);
  }

  /** The home is none any more, or the client is gone. */
  end(reason: CloseReason): void {
    this.#isOver = true;
    this.#leg?.closed(reason);
    this.#own.fail(new NotNowError('the home was lost'));
    this.#resolveOver();
  }

  get id(): ClientLink['id'] {
    return this.#options.link.id;
  }

  get identity(): Identity {
    return this.#options.link.identity;
  }

  get queuedBytes(): number {
    return this.#options.link.queuedBytes;
  }

  send(body: Buffer | string): void {
    if (this.#own.size > 0 && this.#own.take(typeof body === 'string' ? Buffer.from(body) : body)) return;
    this.#guest.deliver(body);
  }

  /** Pieces of events are always for the client. */
  sendFrames(frames: Buffer, count: number): void {
    this.#options.link.sendFrames(frames, count);
  }

  pause(): void {
    this.#guest.letRead(false);
  }

  resume(): void {
    this.#guest.letRead(true);
  }

  close(reason: CloseReason): void {
    this.#options.link.close(reason);
  }

  hold(what: Holding): void {
    this.#guest.held(what);
  }

  ended(end: LegEnd): void {
    this.#guest.left(end);
  }

  async #restore(leg: Leg, session: DeclaredSession): Promise<boolean> {
    const { log, observer, link } = this.#options;
    const { takesOver } = leg;
    if (takesOver) leg.expect(session);
    const isRestored = await restoreSession(session, {
      call: (method, params) => this.#ask(leg, method, params),
      takesOver,
      onRefusal: (method, code) =>
        log.info(
          { tenant: keyOf(link.identity.tenant), client: link.id, method, code },
          'a session could not be restored',
        ),
    });
    if (!isRestored) return false;
    observer.sessionRestored('Restored');
    leg.restored(session.sessionId);
    if (!takesOver) this.#guest.cut(session);
    return true;
  }

  #ask(leg: Leg, method: string, params: object): Promise<Message> {
    if (this.#isOver) return Promise.reject(new NotNowError('the home was lost'));
    return this.#own.ask(leg, method, params);
  }
}

function without(own: OwnRequests, state: ClientState): ClientState {
  const { openCalls, repeatable } = state;
  return {
    ...state,
    openCalls: openCalls.filter((id) => !own.has(id)),
    repeatable: repeatable.filter(({ id }) => !own.has(id)),
  };
}
