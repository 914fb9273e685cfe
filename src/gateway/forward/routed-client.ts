/** One client that is connected to this replica, wherever the home of its tenant is. When that moves or is lost, the client goes on at another one. */
import {
  formatRequest,
  isObject,
  parseMessage,
  scanEvent,
  unquotedMessageOf,
  type Message,
  type RequestId,
} from '../../copilot/index.ts';
import { Backoff } from '../../kube/clock/backoff.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { ClientHandler, ClientLink, ClientWork, CloseReason, MethodRules } from '../model.ts';
import { HomeUnavailableError, PeerUnreachableError } from '../peers/model.ts';
import { pong } from '../pong.ts';
import type { ClientState, DeclaredSession } from '../relay/setup/client-state.ts';
import type { RelayLog } from '../relay/model.ts';
import { sessionIdOf } from '../relay/model.ts';
import { unavailable } from '../relay/refusals.ts';
import { sessionEnd, turnEnd } from '../relay/turns/turn-end.ts';
import { BetweenHomes } from './between-homes.ts';
import { NotHomeError } from './forward-leg.ts';
import { HeldExpiry } from './held-expiry.ts';
import { HeldFrames, mustWait, type HeldFrame, type HeldMemory } from './held-frames.ts';
import type { Leg, LegClient, LegEnd } from './leg.ts';
import type { Holding } from './messages.ts';
import type { ForwardLimits } from './limits.ts';
import type { ForwardObserver } from './observer.ts';
import { hasCalls, type Resident } from './resident.ts';
import { NotNowError } from './restore.ts';
import { Stay } from './stay.ts';

/** Between two attempts to find the home, or to be taken by it. */
const RETRY = { baseMs: 100, maxMs: 2000 };
/** What a home asks a client is numbered apart from what an earlier one has asked. */
const ASKED_AT_A_HOME = 2 ** 32;
const ENDED: CloseReason = { reason: 'Ended', message: 'the client is gone' };

export interface RoutedClientOptions {
  readonly link: ClientLink;
  readonly rules: Pick<MethodRules, 'ruleOf'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: () => string;
  readonly limits: ForwardLimits;
  /** Of all clients. */
  readonly heldMemory: HeldMemory;
  readonly log: RelayLog;
  readonly observer: ForwardObserver;
  /**
   * Finds the home, which takes the client. `before`: what the client has declared so far. `resident`: for the case that the home is here.
   * Rejects with an error of `isTemporary` if there is none now.
   */
  readonly open: (client: LegClient, before: ClientState, resident: Resident) => Promise<Leg>;
  /** The home that was found is none any more, or the client is gone. */
  readonly left: (resident: Resident) => void;
}

/** Frames that come while there is no home wait, and the client is not read if they are many. */
export class RoutedClient implements ClientHandler, Resident {
  place: Resident['place'];
  readonly #options: RoutedClientOptions;
  readonly #held: HeldFrames;
  readonly #expiry: HeldExpiry;
  /** Why the client is not read. */
  readonly #paused = { byHome: false, byHeld: false };
  #stay: Stay | undefined;
  /** The way to the home. */
  #leg: Leg | undefined;
  /** What was at the last home, while there is none. */
  readonly #before: BetweenHomes;
  #holding: Holding = 'Nothing';
  #homes = 0;
  #isEnded = false;
  /** The tenant is gone, so that no home will be found any more. */
  #isDismissed = false;

  constructor(options: RoutedClientOptions) {
    this.#options = options;
    this.#held = new HeldFrames(options.heldMemory);
    const { clock, limits } = options;
    this.#expiry = new HeldExpiry({
      held: this.#held,
      clock,
      limits,
      isServed: () => this.#leg !== undefined,
      expired: (frame) => this.#refuse(frame),
      looked: () => this.#heldChanged(),
    });
    this.#before = new BetweenHomes({
      setTimer: (fn) => clock.setTimer(limits.goOnMs, fn),
      onOver: ({ sessions, repeatable }) => {
        for (const { id } of repeatable) this.#unavailable(id, true);
        for (const session of sessions) this.#cut(session);
      },
    });
    void this.#run();
  }

  get isBusy(): boolean {
    return this.#held.size > 0 || this.#stay?.isRestoring === true || this.#before.isBusy || this.#leg?.isBusy === true;
  }

  get work(): ClientWork {
    const { calls, sessions } = this.#leg?.work ?? { calls: 0, sessions: this.#before.state.sessions.length };
    return { calls: calls + this.#held.size, sessions };
  }

  get hasCalls(): boolean {
    return hasCalls(this.#leg?.work);
  }

  frame(body: Buffer): void {
    const leg = this.#leg;
    const isOpen = this.#holding === 'Nothing' && this.#stay?.isRestoring !== true;
    if (leg !== undefined && isOpen) leg.frame(body);
    else if (!this.#isEnded) this.#take(body, leg);
  }

  drained(): void {
    this.#stay?.leg?.drained();
  }

  dismissed(): void {
    this.#isDismissed = true;
    this.#before.abandon();
    for (const frame of this.#held.takeAll()) this.#refuse(frame);
  }

  closed(reason: CloseReason): void {
    this.#isEnded = true;
    this.#expiry.stop();
    this.#before.end();
    this.#held.clear();
    this.#leg = undefined;
    if (this.#stay !== undefined) this.#endStay(this.#stay, reason);
  }

  hold(what: Holding): Promise<void> {
    const before = this.#holding;
    this.#holding = what;
    // What has waited needlessly goes on: a turn may wait for it.
    if (before === 'All' && what === 'Starts') this.#sort();
    return Promise.resolve();
  }

  leave(end: LegEnd): void {
    if (this.#stay !== undefined) this.#left(this.#stay, end);
  }

  /** A frame that may have to wait. */
  #take(body: Buffer, leg: Leg | undefined): void {
    const { link, rules, clock } = this.#options;
    let message: Message;
    try {
      message = parseMessage(body);
    } catch (error) {
      return link.close({ reason: 'ProtocolError', message: unquotedMessageOf(error) });
    }
    // Also a home that restores sessions, or has closed them, may have asked. What an earlier one has asked has another number.
    if (message.kind !== 'request') return this.#stay?.leg?.frame(body);
    const rule = rules.ruleOf(message.method);
    const sessionId = isObject(message.params) ? sessionIdOf(message.params) : undefined;
    const isRestored = this.#stay?.isWaitedFor(sessionId) !== true;
    if (leg !== undefined && isRestored && !mustWait(message, rule, this.#holding, this.#held.hasOf(sessionId)))
      return leg.frame(body);
    if (rule.answer === 'ping') return link.send(pong(message.id, message.params, clock.now()));
    if (this.#isDismissed || !this.#held.push(body, message, rule.rewrite === 'send', clock.monotonic())) {
      return this.#unavailable(message.id, false);
    }
    this.#heldChanged();
    this.#expiry.begin();
  }

  /** A frame that waited does not go anywhere any more. */
  #refuse({ id, sessionId }: HeldFrame): void {
    if (id !== undefined) this.#unavailable(id, false);
    const end = this.#held.takeEnd(sessionId);
    if (end !== undefined) this.#options.link.send(end);
  }

  /** Sends what need not wait any more. */
  #sort(): void {
    for (const { body } of this.#held.takeAll()) this.frame(body);
    this.#heldChanged();
  }

  /** While it has a home it is read on: a turn may wait for what comes next. */
  #heldChanged(): void {
    this.#pause({ byHeld: this.#leg === undefined && this.#held.bytes > this.#options.limits.heldBytes });
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const backoff = new Backoff(RETRY, random);
    while (!this.#isEnded) {
      try {
        await this.#beServed(() => backoff.reset());
      } catch (error) {
        if (!isTemporary(error)) throw error;
        await clock.sleep(backoff.next());
      }
    }
  }

  /** Resolves when the home that was found is none any more. */
  async #beServed(found: () => void): Promise<void> {
    const stay = this.#newStay();
    this.#stay = stay;
    this.#holding = 'Nothing';
    const { open, left } = this.#options;
    const leg = await open(stay, this.#before.state, this);
    if (stay.isOver) {
      left(this);
      return leg.closed(ENDED);
    }
    stay.begin(leg);
    found();
    this.#leg = leg;
    const { sessions, repeatable } = this.#before.end();
    stay.restore(leg, sessions);
    const since = this.#held.takeAll();
    // Before what has come since.
    for (const { id, method, params } of repeatable) this.frame(Buffer.from(formatRequest(id, method, params)));
    for (const { body, sessionId } of since) {
      this.frame(body);
      this.#held.takeEnd(sessionId);
    }
    this.#heldChanged();
    await stay.over;
  }

  #newStay(): Stay {
    this.#homes += 1;
    const stay: Stay = new Stay(
      this.#options,
      {
        deliver: (body) => this.#deliver(body),
        letRead: (isRead) => this.#pause({ byHome: !isRead }),
        held: (what) => void this.hold(what),
        left: (end) => this.#left(stay, end),
        cut: (session) => this.#cut(session),
        givenUp: (session, why) => this.#giveUp(session, why),
        settled: (sessionId) => {
          for (const { body } of this.#held.takeOf(sessionId)) this.frame(body);
          this.#heldChanged();
        },
      },
      this.#homes * ASKED_AT_A_HOME,
    );
    return stay;
  }

  #deliver(body: Buffer | string): void {
    if (this.#held.size > 0 && this.#keepsEnd(typeof body === 'string' ? Buffer.from(body) : body)) return;
    this.#options.link.send(body);
  }

  /** Whether a frame is the end of a turn that a prompt waits for. */
  #keepsEnd(body: Buffer): boolean {
    const event = scanEvent(body);
    return event?.type === 'session.idle' && this.#held.keepsEnd(event.sessionId, body);
  }

  /** The home is none any more. What it has not answered is answered here, and turns that it cut are ended. */
  #left(stay: Stay, end: LegEnd): void {
    if (stay.isOver) return;
    const at = stay.state;
    this.#leg = undefined;
    if (at !== undefined) this.#expiry.left();
    this.#endStay(stay, { reason: end.reason, message: end.what });
    this.#heldChanged();
    if (this.#isEnded || at === undefined) return;
    this.#options.observer.clientMoved(end.reason);
    for (const id of at.openCalls) this.#unavailable(id, true);
    this.#before.begin(at, end.what);
  }

  /** What the client was in the middle of in the session does not go on. */
  #cut(session: DeclaredSession): void {
    const { link } = this.#options;
    for (const id of this.#before.cut(session)) this.#unavailable(id, true);
    if (!session.isRunning) return;
    // The end of the turn would be taken for theirs.
    for (const { id } of this.#held.takeOf(session.sessionId)) if (id !== undefined) this.#unavailable(id, false);
    for (const { body } of turnEnd(session.sessionId, this.#before.why, this.#options)) link.send(body);
  }

  /** The client cannot use the session any more. */
  #giveUp(session: DeclaredSession, why: string): void {
    const { link } = this.#options;
    const { sessionId } = session;
    for (const id of this.#before.cut(session)) this.#unavailable(id, true);
    for (const { id } of this.#held.takeOf(sessionId)) if (id !== undefined) this.#unavailable(id, false);
    for (const { body } of sessionEnd(sessionId, why, this.#options)) link.send(body);
  }

  #endStay(stay: Stay, reason: CloseReason): void {
    if (stay.isOver) return;
    this.#options.left(this);
    stay.end(reason);
    this.#pause({ byHome: false });
  }

  #pause(change: Partial<{ byHome: boolean; byHeld: boolean }>): void {
    const { link } = this.#options;
    const isPaused = () => this.#paused.byHome || this.#paused.byHeld;
    const before = isPaused();
    Object.assign(this.#paused, change);
    if (before === isPaused() || this.#isEnded) return;
    if (before) link.resume();
    else link.pause();
  }

  #unavailable(id: RequestId, sent: boolean): void {
    const { link } = this.#options;
    link.send(unavailable(id, keyOf(link.identity.tenant), sent, RETRY.baseMs));
  }
}

function isTemporary(error: unknown): boolean {
  return [HomeUnavailableError, PeerUnreachableError, NotHomeError, NotNowError].some((type) => error instanceof type);
}
