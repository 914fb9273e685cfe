/** Calls about the sessions of one server: each when the session is loaded, and again when its server was lost. */
import { UnreachableError, formatAnswer } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { ForcedParams, SessionSettings } from '../../model.ts';
import type { CallPlace, CallStage } from '../session/call-order.ts';
import { forcedParams } from '../setup/declarations.ts';
import { startsTurn, type EnteringCall } from './drain.ts';
import type { Failover } from '../failover/failover.ts';
import { isTaken, questionOf } from '../asking/given-answers.ts';
import { HeldCalls, type HeldCall } from '../held-calls.ts';
import { withSettings } from '../injection/injected.ts';
import { sessionIdOf, type RelayLimits, type ServerAnswer, type Withdrawal } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Sender } from '../turns/prompts.ts';
import { turnQueued } from '../turns/turn-end.ts';
import { TurnSlots, type QueuedTurn } from '../limits/turn-slots.ts';
import {
  answerOf,
  asUnknown,
  clientGone,
  REPEATS,
  isResult,
  isUnloaded,
  loadFailure,
  lost,
  resultFields,
  resultIn,
} from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { Upstream } from '../server/upstream.ts';
import type { Unloading } from './unloading.ts';

/** A call of a client. */
export interface ClientCall {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** Whether it may be made once more if the server was lost before it answered. */
  readonly isRepeatable?: boolean | undefined;
  /** Whose it is, of a prompt. */
  readonly sender?: Sender | undefined;
  /** Of its frame. */
  readonly bytes?: number;
  /** Aborts when its client goes; undefined: it is the gateway's own. */
  readonly gone?: AbortSignal | undefined;
  /** Among those of its client; undefined: it waits for none of them. */
  readonly place?: CallPlace | undefined;
  /** Whether its client has left the session since, of a prompt; undefined: it was not attached. */
  readonly hasLeft?: (() => boolean) | undefined;
}

export interface SessionCallsOptions {
  readonly upstream: Upstream;
  readonly unloading: Unloading;
  readonly limits: RelayLimits;
  readonly failover: Failover;
  /** What every session has; undefined: nothing. */
  readonly forced: ForcedParams | undefined;
  /** What its CopilotSession sets; undefined: nothing. */
  readonly settings: (session: Session) => SessionSettings | undefined;
  readonly clock: Pick<Clock, 'now' | 'monotonic' | 'sleep'>;
  readonly newId: () => string;
  readonly observer: Pick<RelayObserver, 'turnQueued'>;
  readonly sessions: () => Iterable<Session>;
  /** `spec.sessions.maxConcurrentTurns` now; undefined: any number. */
  readonly maxTurns: () => number | undefined;
  /** Whether no turn is to be started now. */
  readonly holdsStarts: () => boolean;
  /** A server has taken a prompt of a session whose users share its turns. `result`: what it said. */
  readonly onPrompt: (session: Session, sender: Sender | undefined, result: Readonly<Record<string, unknown>>) => void;
  /** Lets a call go on when the server takes calls, or such that start something: one that drains does not in the end, and starts nothing. */
  readonly whenOpen: (kind: 'Start' | 'Any', call: EnteringCall) => void;
  readonly onFailure: (method: string, error: unknown) => void;
  /** The calls of the server where the session is by now; undefined: it is here. */
  readonly elsewhere?: ((session: Session) => SessionCalls | undefined) | undefined;
}

type Answered = (answer: ServerAnswer) => void;

/** As servers say that another answer counts. */
const NOT_TAKEN = answerOf(Buffer.from(formatAnswer(1, { success: false })), 1);

/** Ends the turn of a session. */
const ABORT = 'session.abort';

/** Calls of clients after which the server has the session in memory no more. */
const UNLOADS = new Set(['sessions.close', 'session.shutdown']);

export class SessionCalls {
  /** What prompts begin. */
  readonly turns: TurnSlots;
  readonly #options: SessionCallsOptions;
  /** Calls that wait until their session is loaded. */
  readonly #waiting: HeldCalls;

  constructor(options: SessionCallsOptions) {
    this.#options = options;
    this.#waiting = new HeldCalls(options.limits);
    this.turns = new TurnSlots({ ...options, max: options.maxTurns });
  }

  /**
   * Makes a call, if it is about a known session when that is loaded. A session that the server unloaded meanwhile is loaded again and the
   * call repeated, and so is a call of which the server was lost, which nobody notices. Of several answers to the same question one counts.
   */
  request(call: ClientCall, session: Session | undefined, answered: Answered): void {
    if (session === undefined) return this.#request(call, session, answered);
    const other = this.#options.elsewhere?.(session);
    if (other !== undefined) return other.request(call, session, answered);
    // Also what waits for a turn: the server does not know of it.
    if (call.method === ABORT) session.aborts += 1;
    const question = questionOf(call.method, call.params);
    if (question === undefined) return this.#request(call, session, answered);
    // The server may wait for it, and it for answers of others.
    call.place?.leave();
    const { waits } = session.questions;
    session.answersInTurn.give(question, {
      gone: call.gone,
      give: (given) => {
        waits.giving(question);
        this.#request(call, session, (answer) => {
          const isGiven = isResult(answer) && isTaken(resultFields(answer.body));
          answered(answer);
          if (!isGiven) waits.notTaken(question);
          given(isGiven);
        });
      },
      refuse: () => answered(NOT_TAKEN),
      forget: () => answered(clientGone()),
    });
  }

  #request(call: ClientCall, session: Session | undefined, answered: Answered, repeats = REPEATS): void {
    const { upstream } = this.#options;
    const done: Answered = (answer) => {
      const isCut = answer.kind === 'Lost' && answer.sent && !upstream.isOpen;
      if (!isCut || call.isRepeatable !== true || repeats === 0) return answered(answer);
      call.place?.again();
      this.#request(call, session, answered, repeats - 1);
    };
    if (session === undefined)
      return upstream.request(call.method, call.params, this.#unguarded(call, done), call.gone);
    const other = this.#options.elsewhere?.(session);
    if (other !== undefined) return other.#request(call, session, answered, repeats);
    session.used();
    if (session.isLoaded) return this.#requestLoaded(call, session, done);
    this.#afterLoad(call, session, done, (at) => at.#requestLoaded(call, session, done));
  }

  /** Where a guard lets no call about a session pass that this home has not loaded, clients hear what servers say of one that is unknown. */
  #unguarded({ params }: ClientCall, answered: Answered): Answered {
    const sessionId = sessionIdOf(params);
    if (this.#options.elsewhere === undefined || sessionId === undefined) return answered;
    return (answer) => answered(asUnknown(answer, sessionId));
  }

  /**
   * A call of the gateway's own that only reads, as if a client had made it. Resolves with its result.
   * @throws RpcError, CopilotError
   */
  async call(session: Session, method: string, params: object): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.request({ method, params: { ...params }, isRepeatable: true }, session, (answer) => {
      try {
        resolve(resultIn(`session ${session.id}`, method, answer));
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /** A call of the gateway's own has failed, which nobody waits for. */
  failed(method: string, error: unknown): void {
    this.#options.onFailure(method, error);
  }

  /** A prompt of a client that is attached, which may have to wait until its server has a turn for it. */
  prompt(call: ClientCall, session: Session, answered: Answered): void {
    const { maxTurns, elsewhere } = this.#options;
    const other = elsewhere?.(session);
    if (other !== undefined) return other.prompt(call, session, answered);
    const { generation } = session.turn;
    const { aborts } = session;
    const { bytes = 0, gone, sender } = call;
    // Also if its client leaves meanwhile: nobody hears of the turn, or the session is not its user's any more.
    const isAttached = () => sender !== undefined && session.attached.has(sender.client);
    // A session that has ended has no clients either.
    const leaves = () => session.turn.generation === generation && !isAttached();
    const hasLeft = call.hasLeft ?? (isAttached() ? leaves : undefined);
    const prompt: ClientCall = { ...call, hasLeft };
    const cut = (): ServerAnswer | undefined => {
      const why = withdrawal(prompt, session, aborts);
      if (why !== undefined) return { kind: 'Withdrawn', why, sent: false };
      if (session.turn.generation === generation) return undefined;
      return lost(new UnreachableError('the turn is cut that the prompt waited for'), false);
    };
    const turn: QueuedTurn = {
      session,
      user: sender?.client.user,
      bytes,
      gone,
      isCut: () => cut() !== undefined,
      forget: () => {
        session.calls -= 1;
        answered(clientGone());
      },
      go: () => {
        session.calls -= 1;
        const now = elsewhere?.(session);
        if (now !== undefined && cut() === undefined) return now.prompt(prompt, session, answered);
        this.#inOrder('Kept', call, answered, () => {
          const answer = cut();
          const other = elsewhere?.(session);
          if (answer !== undefined) answered(answer);
          else if (other === undefined) this.#prompt(prompt, session, answered);
          else other.prompt(prompt, session, answered);
        });
      },
      tell: (position, count) => {
        const { type, body } = turnQueued(session.id, { position, count, max: maxTurns() ?? count }, this.#options);
        sender?.client.deliver?.(body, type);
      },
    };
    const enter = () => {
      session.calls += 1;
      if (this.turns.enter(turn)) return;
      session.calls -= 1;
      answered({ kind: 'TurnsFull', max: maxTurns() ?? 0 });
    };
    // A session that waits for a place in memory must not have the turn that those which are there wait for.
    if (maxTurns() === undefined || session.load.hasPlace) enter();
    else
      this.#afterLoad(prompt, session, answered, (at) =>
        at === this ? enter() : at.prompt(prompt, session, answered),
      );
  }

  /** What becomes of it when its server is lost, the journal says. */
  #prompt(call: ClientCall, session: Session, given: Answered): void {
    const { prompts, trail } = session;
    const { upstream, onPrompt } = this.#options;
    const answered: Answered = (answer) => {
      if (session.turnRule !== undefined && isResult(answer)) onPrompt(session, call.sender, resultFields(answer.body));
      given(answer);
    };
    const prompt = prompts.sent(call.method, call.params, trail.position, session.now, call.sender);
    // Also who has sent it is done with it, though it is gone: the session must not wait for that.
    const give: Answered = (answer) => {
      answered(answer);
      prompt.heir?.(answer);
    };
    this.request(call, session, (answer) => {
      // The answer comes when it is known.
      if (answer.kind === 'Lost' && answer.sent && !upstream.isOpen && prompts.has(prompt)) {
        prompt.waiting = give;
        return;
      }
      if (isResult(answer)) prompts.acknowledged(prompt, resultFields(answer.body), session.now);
      else {
        prompts.drop(prompt);
        this.turns.ended(session);
      }
      give(answer);
    });
  }

  /**
   * Tells the server what is declared when its turn comes, and calls `taken` if it took it. A session that is not loaded is told when it
   * is: told before, the server would load it with nothing but this.
   */
  async redeclare(session: Session, params: () => object, taken?: () => void): Promise<void> {
    if (session.asking.isOpen) await session.asking.none();
    const isDone = await session.exclusively(async () => {
      if ((await this.#options.unloading.activity(session)) === 'NotLoaded') return true;
      if (session.asking.isOpen) return false;
      const { forced, settings } = this.#options;
      // The server may unload it in this very moment, and would load it for this.
      const kept = forced && forcedParams(session.attached.declarations, forced.declared, forced.defaults);
      const sessionId = session.id;
      const told = withSettings({ ...params(), ...kept, sessionId }, settings(session), true);
      const resumed = session.asking.resuming();
      const isTaken = await this.own('session.resume', { ...told, disableResume: true });
      resumed();
      if (forced) await this.own('session.options.update', { sessionId, ...forced.options });
      if (isTaken) taken?.();
      return true;
    });
    if (!isDone) await this.redeclare(session, params, taken);
  }

  /** A call of the gateway's own, whose failure nobody waits for. Returns whether it succeeded. */
  async own(method: string, params: object): Promise<boolean> {
    try {
      await this.#options.upstream.call(method, params);
      return true;
    } catch (error) {
      this.#options.onFailure(method, error);
      return false;
    }
  }

  /** Sends a call about a session that is loaded here. `mayRepeat`: if the server has unloaded it. */
  #requestLoaded(call: ClientCall, session: Session, answered: Answered, mayRepeat = true): void {
    if (call.method === ABORT) {
      // It must end what runs, whatever waits. A prompt behind it is not what it is to end.
      this.#send(call, session, answered, mayRepeat);
      return call.place?.leave();
    }
    if (session.asking.mustWait(call.method)) return this.#afterResume(call, session, answered, mayRepeat);
    let isLater = false;
    const { aborts } = session;
    this.#inOrder('Sent', call, answered, () => {
      if (!isLater) return this.#send(call, session, answered, mayRepeat);
      const why = withdrawal(call, session, aborts);
      if (why !== undefined) return answered({ kind: 'Withdrawn', why, sent: false });
      // Much may have happened while it waited.
      const at = this.#options.elsewhere?.(session) ?? this;
      call.place?.again();
      at.#afterMove(call, session, answered, (now) => now.#requestLoaded(call, session, answered, mayRepeat));
    });
    isLater = true;
  }

  /** A call that must not come beside a `session.resume` goes on when that is answered. */
  #afterResume(call: ClientCall, session: Session, answered: Answered, mayRepeat: boolean): void {
    const waiting = held(call, answered);
    if (!this.#waiting.hold(waiting)) return answered(full());
    void session.asking.resumed().then(() => {
      if (!this.#waiting.take(waiting)) return;
      const at = this.#options.elsewhere?.(session) ?? this;
      at.#afterMove(call, session, answered, (now) => now.#requestLoaded(call, session, answered, mayRepeat));
    });
  }

  /** Until it is answered, the session is in use. */
  #send(call: ClientCall, session: Session, answered: Answered, mayRepeat: boolean): void {
    const { upstream } = this.#options;
    const { loads } = session.load;
    const { method, params, gone, sender } = call;
    const isPrompt = startsTurn(method);
    if (isPrompt) session.sending += 1;
    if (isPrompt) session.turn.sent(sender?.client);
    session.calls += 1;
    session.asking.begin(method);
    const done: Answered = (answer) => {
      if (isPrompt) session.sending -= 1;
      session.calls -= 1;
      session.asking.end(method);
      session.used();
      // It may have been loaded again since, for another request.
      const isSame = session.load.loads === loads;
      if (isResult(answer)) session.questions.answered(method, params, () => resultFields(answer.body));
      if (isSame && method === ABORT && isResult(answer)) session.turn.aborted();
      if (isSame && UNLOADS.has(method) && isResult(answer)) {
        upstream.releaseEvents(session.id);
        this.#options.unloading.unloaded(session);
      }
      if (!mayRepeat || !isUnloaded(answer) || session.clientCount === 0) return answered(answer);
      // Unless it is being unloaded, as for a drain: then its turn goes on elsewhere.
      if (isSame && session.isLoaded) this.#options.unloading.missed(session);
      call.place?.again();
      this.#afterLoad(call, session, answered, (at) => at.#requestLoaded(call, session, answered, false));
    };
    upstream.request(method, params, done, gone);
  }

  /** `then` is told whose server has loaded it: sessions of a tenant with shared storage may have moved meanwhile. */
  #afterLoad(call: ClientCall, session: Session, answered: Answered, then: (at: SessionCalls) => void): void {
    const { failover, whenOpen, elsewhere } = this.#options;
    const { loads } = session.load;
    const waiting = held(call, answered);
    if (!this.#waiting.hold(waiting)) return answered(full());
    const load = (): void => {
      // Those that wait behind it in the same queue wait for a place at the same time.
      const since = session.now;
      void session
        .exclusively(() => failover.load(session, since), call.gone)
        .then(
          () => undefined,
          (error: unknown) => loadFailure(error),
        )
        .then((failure) => {
          if (!this.#waiting.take(waiting)) return;
          const other = elsewhere?.(session);
          if (other !== undefined) return other.#afterMove(call, session, answered, then);
          if (failure !== undefined) return answered(failure);
          const { aborts } = session;
          const goOn = (): void => {
            const why = withdrawal(call, session, aborts);
            if (why !== undefined) return answered({ kind: 'Withdrawn', why, sent: false });
            const now = elsewhere?.(session);
            if (now !== undefined) return now.#afterMove(call, session, answered, then);
            // What was to be done with it next may have been to unload it, such as for a drain.
            const isUnloadedAgain = !session.isLoaded && session.load.loads !== loads;
            if (isUnloadedAgain) this.#afterLoad(call, session, answered, then);
            else then(this);
          };
          // It may have got its place in memory because the server is drained.
          if (startsTurn(call.method)) whenOpen('Start', { ...waiting, go: goOn });
          else goOn();
        });
    };
    // A server whose sessions are being closed must not have one loaded again, and begin its turn.
    whenOpen('Any', { ...waiting, go: load, forget: () => undefined });
  }

  /** Goes on with a call when those of the same client before it have come as far. */
  #inOrder(stage: CallStage, call: ClientCall, answered: Answered, go: () => void): void {
    const { place } = call;
    if (place === undefined) return go();
    let isFree = false;
    const waiting = held(call, answered);
    place.reach(stage, () => {
      isFree = true;
      this.#waiting.take(waiting);
      go();
    });
    if (!isFree && !this.#waiting.hold(waiting)) answered(full());
  }

  /** Goes on with a call that waited at the server where its session was before. */
  #afterMove(call: ClientCall, session: Session, answered: Answered, then: (at: SessionCalls) => void): void {
    if (session.isLoaded) then(this);
    else this.#afterLoad(call, session, answered, then);
  }
}

/** Why a prompt is not wanted any more that came when its session had been aborted so often; undefined: it is, or the call is none. */
function withdrawal({ method, hasLeft }: ClientCall, session: Session, aborts: number): Withdrawal | undefined {
  if (!startsTurn(method)) return undefined;
  return session.withdrawal(aborts) ?? (hasLeft?.() === true ? 'Left' : undefined);
}

/** A call as it waits: it is forgotten when its client is gone. */
function held({ bytes = 0, gone }: ClientCall, answered: Answered): HeldCall {
  return { bytes, gone, forget: () => answered(clientGone()) };
}

function full(): ServerAnswer {
  const what = 'as many calls, or bytes of them, as are allowed wait for sessions of the server already';
  return lost(new UnreachableError(what), false);
}
