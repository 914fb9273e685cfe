/** One admitted client: its requests to servers, and the servers' requests to it. */
import {
  UnreachableError,
  formatAnswer,
  formatError,
  formatRequest,
  isObject,
  parseMessage,
  unquotedMessageOf,
  type EventRun,
  type Message,
  type RequestId,
} from '../../copilot/index.ts';
import type {
  ClientId,
  ClientLink,
  ClientWork,
  CloseReason,
  MethodMerge,
  MethodRewrite,
  MethodRule,
  MethodRules,
  ToldRules,
} from '../model.ts';
import { pong, serverStatus } from '../pong.ts';
import { attach, detach } from './attach.ts';
import { admission, pieceAdmission } from './events.ts';
import type { ClientState, DeclaredSession, MovableHandler } from './client-state.ts';
import { ClientAnswers } from './client-answers.ts';
import { stateOf } from './client-moves.ts';
import { answerOfAll } from './everywhere.ts';
import type { Home } from './home.ts';
import { withGitHubToken, withoutLogin } from './injected.ts';
import { IsolatedCalls } from './isolated.ts';
import { sessionIdOf, type ClientAnswer, type RelayLimits, type ServerAnswer, type SessionClient } from './model.ts';
import type { CallRefusal, RelayObserver } from './observer.ts';
import { CALL_BYTES, OpenRequests, type ClientRequest } from './open-requests.ts';
import type { OpenPrompt } from './prompts.ts';
import { invalid, refusedParam, tenantPaused, tooMany, unhandled } from './refusals.ts';
import { ClientGoneError, bytesOf, copied, isResult, lost, modelFailure, resultFields } from './server-answer.ts';
import type { Session } from './session.ts';
import type { TenantHomes } from './tenant-homes.ts';
import type { SendRefusal } from './turn.ts';
import { WaitingCalls } from './waiting-calls.ts';

export interface ClientRelayOptions {
  readonly link: ClientLink;
  readonly rules: MethodRules;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  readonly clock: { now(): number };
  readonly newId: () => string;
  /** The servers of the client's tenant. */
  readonly homes: TenantHomes;
  /** The tenant takes no prompts now. */
  readonly isPaused: () => boolean;
  /** The client uses the tenant, so that it is not idle. */
  readonly onUse: () => void;
  /** The users of the tenant are kept apart. Whoever states no user is not admitted to it. */
  readonly isIsolated: boolean;
}

/** Whether a call uses the tenant, so that it keeps it awake: those about one session do, and lists do not. */
function usesTenant(method: string, { merge }: MethodRule): boolean {
  return method.startsWith('session.') && merge === undefined;
}

/** Not an error made for each client, which has a stack: nobody looks at it. */
const GONE = new ClientGoneError();

interface RuledRequest {
  readonly rule: MethodRule;
  readonly request: ClientRequest;
}

/** Carries one client's frames. It parses every one: a method must be the one that the server will read, too. */
export class ClientRelay implements MovableHandler, SessionClient {
  readonly #options: ClientRelayOptions;
  readonly #open = new OpenRequests();
  readonly #answers: ClientAnswers;
  readonly #sessions = new Map<Session, Home>();
  /** Calls about sessions of which it is not known which server has them. */
  readonly #looking: WaitingCalls<RuledRequest>;
  /** Sessions in which it was in the middle of something at the home before. */
  readonly #expected = new Map<string, DeclaredSession>();
  /** Undefined: the clients of the tenant are one trust domain. */
  readonly #isolated: IsolatedCalls<ClientRequest> | undefined;
  /** Requests of servers, by their id on this leg. */
  readonly #asked = new Map<number, (answer: ClientAnswer) => void>();
  #lastAsked: number;
  #ended = false;
  /** Made when it is asked for: clients that come in crowds may only wait, and to make one and abort it is dear. */
  #gone: AbortController | undefined;
  #isPaused = false;

  constructor(options: ClientRelayOptions) {
    this.#options = options;
    this.#looking = new WaitingCalls(
      () => this.gone,
      ({ request }) => this.#settle(request.id),
    );
    const { link, rules, limits, observer, newId } = options;
    this.#answers = new ClientAnswers({ tenant: link.identity.tenant, limits, observer });
    this.#lastAsked = link.askedBefore ?? 0;
    const { user } = link.identity;
    this.#isolated =
      user === undefined || !options.isIsolated
        ? undefined
        : new IsolatedCalls({
            user,
            forced: rules.forced,
            newId,
            gone: () => this.gone,
            goOn: (request) => this.#goOn(rules.ruleOf(request.method), request),
            pass: (id, answer) => this.#pass(id, answer),
            reply: (id, body) => this.#reply(id, body),
          });
    // So that it is told of sessions from now on.
    options.homes.join(this);
  }

  get openBytes(): number {
    return this.#open.bytes;
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.#ended) this.#gone.abort(GONE);
    return this.#gone.signal;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  get id(): ClientId {
    return this.#options.link.id;
  }

  get user(): string | undefined {
    return this.#options.link.identity.user;
  }

  recheck(): void {
    const { user } = this;
    for (const [session, home] of this.#sessions) {
      if (user === undefined || home.owners?.mayStay(session.id, user) !== false) continue;
      this.#sessions.delete(session);
      void detach(home, this, session);
    }
  }

  get work(): ClientWork {
    // Others may have deleted some of its sessions.
    const attached = [...this.#sessions.keys()].filter((session) => session.isAttached(this));
    const waiting = attached.reduce((sum, { turn }) => sum + turn.heldBy(this), 0);
    return { calls: this.#open.size, waiting, sessions: attached.length };
  }

  get state(): ClientState {
    const { rules } = this.#options;
    return stateOf(this, this.#sessions.keys(), this.#open.all, (method) => rules.ruleOf(method).rewrite);
  }

  expect(session: DeclaredSession): void {
    this.#expected.set(session.sessionId, session);
  }

  get isBusy(): boolean {
    return this.#open.size > 0 || [...this.#sessions.keys()].some(({ turn }) => turn.isBusy || turn.isTaken);
  }

  frame(body: Buffer): void {
    if (this.#ended) return;
    let message: Message;
    try {
      message = parseMessage(body);
    } catch (error) {
      return this.#options.link.close({ reason: 'ProtocolError', message: unquotedMessageOf(error) });
    }
    if (message.kind === 'request') this.#request(message, body.length);
    else if (message.kind === 'answer') this.#answered(message.id, { result: message.result });
    else if (message.kind === 'error')
      this.#answered(message.id, { error: { code: message.code, message: message.message } });
    // Notifications of clients change nothing: the only one that SDKs send is a cancellation, which servers ignore.
  }

  drained(): void {
    // What a client could not be sent was dropped, or is queued in its connection.
  }

  closed(_reason: CloseReason): void {
    this.#ended = true;
    this.#gone?.abort(GONE);
    this.#asked.clear();
    if (this.#sessions.size > 0) this.#options.onUse();
    for (const [session, home] of this.#sessions) void detach(home, this, session);
    this.#sessions.clear();
    this.#options.homes.leave(this);
  }

  deliver(body: Buffer | string, type?: string): void {
    if (this.#ended) return;
    const { link, limits, observer } = this.#options;
    const verdict = admission(type, link.queuedBytes, limits);
    if (verdict === 'Send') link.send(body);
    if (verdict === 'Drop') observer.piecesDropped(1);
    if (verdict === 'Cut') this.#cut();
  }

  deliverPieces({ frames, count }: EventRun): void {
    if (this.#ended) return;
    const { link, limits, observer } = this.#options;
    const verdict = pieceAdmission(link.queuedBytes, limits);
    if (verdict === 'Send') link.sendFrames(frames, count);
    if (verdict === 'Drop') observer.piecesDropped(count);
    if (verdict === 'Cut') this.#cut();
  }

  #cut(): void {
    const { link, limits } = this.#options;
    // What is still on its way for it would find its queue as full.
    this.#ended = true;
    link.close({
      reason: 'SlowClient',
      message: `the client has ${link.queuedBytes} bytes to read, more than the ${limits.hardQueueBytes} allowed`,
    });
  }

  ask(method: string, params: unknown, answered: (answer: ClientAnswer) => void): () => void {
    this.#lastAsked += 1;
    const id = this.#lastAsked;
    this.#asked.set(id, answered);
    this.deliver(formatRequest(id, method, isObject(params) ? params : {}));
    return () => void this.#asked.delete(id);
  }

  /** An answer to a request that was never sent is ignored. */
  #answered(id: RequestId | null, answer: ClientAnswer): void {
    if (typeof id !== 'number') return;
    const answered = this.#asked.get(id);
    this.#asked.delete(id);
    answered?.(answer);
  }

  #request({ id, method, params = {} }: { id: RequestId; method: string; params?: unknown }, bytes: number): void {
    const { rules, limits } = this.#options;
    // Not by #reply: the id may be that of a request which goes on.
    const refuse = (reason: CallRefusal, body: string): void => this.deliver(this.#answers.refused(reason, body));
    if (this.#open.has(id)) return refuse('Invalid', invalid(id, 'the id of a request that is not answered yet'));
    if (!isObject(params)) return refuse('Invalid', invalid(id, '"params" that are not an object'));
    if (this.#open.size >= limits.openRequests) {
      return refuse('TooManyCalls', tooMany(id, `more than ${limits.openRequests} requests are not answered yet`));
    }
    // One may be as large as any frame.
    if (this.#open.size > 0 && this.#open.frameBytes + bytes > limits.openBytes) {
      return refuse(
        'TooManyCalls',
        tooMany(id, `requests of more than ${limits.openBytes} bytes are not answered yet`),
      );
    }
    const rule = rules.ruleOf(method);
    const { isOn: isInjected } = this.#home(sessionIdOf(params)).injection;
    const refusal = rule.action === 'deny' ? undefined : rules.checkParams(method, params, isInjected);
    // Before anything is kept of it: a session is never declared or replayed with what was refused.
    if (refusal !== undefined) return this.deliver(refusedParam(id, refusal));
    // What makes room is not refused for want of room.
    const frees = rule.action === 'answer' || rule.rewrite === 'detach' || rule.rewrite === 'delete';
    if (!frees && !this.#options.homes.mayKeep(bytes + CALL_BYTES)) {
      return refuse('MemoryLimit', tooMany(id, 'the gateway keeps as much of this tenant as it has room for'));
    }
    const request = { id, method, params, bytes, isRepeatable: rule.isRepeatable, gone: this.gone };
    this.#open.add(request);
    const goesOut = rule.action === 'relay' || rule.action === 'rewrite';
    if (goesOut) this.#wake({ rule, request });
    else this.#goOn(rule, request);
  }

  /** Has the tenant woken first if it sleeps. */
  #wake(call: RuledRequest): void {
    const { homes, onUse } = this.#options;
    const { id, method, bytes } = call.request;
    const isUse = usesTenant(method, call.rule);
    if (isUse) onUse();
    if (homes.gate.isOpen) return this.#passGate(call);
    // Applications ask for it as they start, and it is not worth to start a server.
    if (method === 'status.get') return this.#reply(id, serverStatus(id));
    homes.gate.hold(this, {
      bytes,
      // Who leaves a session does not need it.
      wakes: isUse && call.rule.rewrite !== 'detach',
      go: () => this.#passGate(call),
      refuse: (why, reason) => {
        if (this.#ended) this.#settle(id);
        else this.#reply(id, this.#answers.away(reason, id, why));
      },
    });
  }

  #passGate({ rule, request }: RuledRequest): void {
    if (this.#options.isIsolated) this.#isolate(request, rule.rewrite === 'own');
    else this.#route({ rule, request });
  }

  #isolate(request: ClientRequest, lists: boolean): void {
    const { homes } = this.#options;
    // Nobody is admitted without a user; if somebody were, nothing would be theirs.
    if (this.#isolated === undefined || homes.owners === undefined) {
      return this.#reply(request.id, unhandled(request.id, request.method));
    }
    this.#isolated.take(homes, homes.owners, request, lists);
  }

  /** Finds out first which server has the session that the call names, or will have it. */
  #route(call: RuledRequest): void {
    const { homes } = this.#options;
    const { rule, request } = call;
    const sessionId = sessionIdOf(request.params) ?? '';
    if (sessionId === '') return this.#goOn(rule, request);
    if (!this.#looking.has(sessionId) && homes.find(sessionId) !== undefined) return this.#found(call, sessionId);
    this.#looking.add(sessionId, call, async () => {
      const why = await homes.look(sessionId);
      return (each) => {
        if (this.#ended) return;
        if (homes.find(sessionId) === undefined) {
          if (why !== undefined) return this.#pass(each.request.id, { kind: 'Away', why });
          if (each.request.method === 'session.create') homes.place(sessionId);
        }
        this.#found(each, sessionId);
      };
    });
  }

  #found({ rule, request }: RuledRequest, sessionId: string): void {
    const why = this.#options.homes.removal(sessionId);
    if (why === undefined) this.#goOn(rule, request);
    else this.#pass(request.id, { kind: 'Away', why });
  }

  async #everywhere(merge: MethodMerge, { id, method, params }: ClientRequest): Promise<void> {
    const { homes } = this.#options;
    const answer = await answerOfAll(homes, merge, { method, params });
    if (this.#ended) return this.#settle(id);
    if ('failure' in answer) return this.#pass(id, answer.failure);
    if ('error' in answer) return this.#reply(id, formatError(id, answer.error.code, answer.error.serverMessage));
    this.#deleted(answer.result);
    this.#reply(id, formatAnswer(id, answer.result));
  }

  #goOn(rule: MethodRule, request: ClientRequest): void {
    const { id, method, params } = request;
    if (rule.merge !== undefined && this.#options.homes.current.length > 1) void this.#everywhere(rule.merge, request);
    else if (rule.action === 'relay') this.#forward(request);
    else if (rule.action === 'rewrite' && rule.rewrite !== undefined) this.#rewrite(rule.rewrite, request);
    else if (rule.action === 'answer' && rule.answer === 'ping')
      this.#reply(id, pong(id, params, this.#options.clock.now()));
    else this.#reply(id, unhandled(id, method));
  }

  #rewrite(rewrite: MethodRewrite, request: ClientRequest): void {
    switch (rewrite) {
      case 'attach':
        return this.#attach(request);
      case 'detach':
        return this.#detach(request);
      case 'send':
        return this.#send(request);
      case 'delete':
        return this.#delete(request);
      case 'keep':
        return this.#keep(request);
      case 'own':
        return this.#forward(request);
      case 'login':
        return this.#login(request);
    }
  }

  #attach(request: ClientRequest): void {
    const { id, params } = request;
    const { limits, newId } = this.#options;
    if (this.#sessions.size >= limits.attachedSessions) this.#forgetEnded();
    if (this.#sessions.size >= limits.attachedSessions) {
      const refusal = tooMany(id, `the client is attached to ${limits.attachedSessions} sessions already`);
      this.#dropClaim(sessionIdOf(params));
      return this.#reply(id, this.#answers.refused('TooManySessions', refusal));
    }
    const chosen = params['sessionId'];
    const isChosen = typeof chosen === 'string' && chosen !== '';
    const sessionId = isChosen ? chosen : newId();
    const home = isChosen ? this.#home(sessionId) : this.#options.homes.place(sessionId);
    const go = () => this.#attachTo(home, sessionId, isChosen, request);
    const refuse = () => {
      this.#dropClaim(sessionId);
      this.#pass(id, lost(new UnreachableError('too many calls wait for a server that drains'), false));
    };
    home.drain.enter('Start', { bytes: request.bytes, gone: this.gone, go, forget: refuse }, refuse);
  }

  #attachTo(home: Home, sessionId: string, isChosen: boolean, { id, method, params }: ClientRequest): void {
    const before = this.#expected.get(sessionId);
    this.#expected.delete(sessionId);
    let unsent: readonly OpenPrompt[] = [];
    void attach(home, this, {
      method: method === 'session.create' ? method : 'session.resume',
      sessionId,
      isChosen: isChosen && home.owners?.isNew(sessionId) !== true,
      declaration: this.#isolated?.declaration(params) ?? params,
      owned: home.owners && this.#isolated?.attach(home, home.owners, sessionId),
      begun: (session) => this.#sessions.set(session, home),
      saysNoBefore: this.#options.link.saysNoBefore === true,
      taken: before && {
        before,
        answered: (callId, prompt) => this.#pass(callId, prompt),
        unsent: (prompts) => void (unsent = prompts),
      },
      answered: (answer) => {
        // Before what the client sends as soon as it is attached.
        for (const prompt of unsent) this.#sendAgain(prompt);
        this.#pass(id, answer);
        this.#tellRules(home.session(sessionId));
      },
    }).then(() => {
      this.#dropClaim(sessionId);
      this.#forgetEnded();
    });
  }

  /** The session is made, or is not going to be: where users have a limit, it must not count as one that is being made. */
  #dropClaim(sessionId: string | undefined): void {
    if (this.user !== undefined && sessionId !== undefined) this.#options.homes.owners?.dropClaim(sessionId, this.user);
  }

  /** Sessions that it was not attached to, or that were deleted by somebody, are not its own any more. */
  #forgetEnded(): void {
    for (const session of this.#sessions.keys()) if (!session.isAttached(this)) this.#sessions.delete(session);
  }

  #detach(request: ClientRequest): void {
    const { id, params } = request;
    const home = this.#home(sessionIdOf(params));
    const session = home.session(sessionIdOf(params));
    // Without a client it is nobody's; with others it must stay theirs.
    if (session === undefined) return this.#forward(request);
    this.#sessions.delete(session);
    void detach(home, this, session);
    this.#reply(id, formatAnswer(id, { success: true }));
  }

  #send(request: ClientRequest): void {
    const { params, id, bytes } = request;
    const { link, isPaused } = this.#options;
    if (isPaused())
      return this.#reply(id, this.#answers.refused('TenantPaused', tenantPaused(id, link.identity.tenant)));
    const home = this.#home(sessionIdOf(params));
    const session = home.session(sessionIdOf(params));
    // Who is not attached hears nothing of turns.
    if (session?.isAttached(this) !== true) return this.#forward(request);
    if (!session.hasRoomFor(params)) return this.#reply(id, this.#answers.tooManyPrompts(id));
    // What is immediate goes into the turn that runs.
    const call = { ...request, sender: { client: this, id } };
    if (params['mode'] === 'immediate')
      return home.prompt(call, session, (answer) => this.#passInOrder(session, id, answer));
    const send = () => {
      const { generation } = session.turn;
      home.prompt(call, session, (answer) => {
        // The turns of its time may have been given up, and a newer prompt of this client not be answered yet.
        if (session.turn.generation === generation) session.turn.answered(this, !isResult(answer));
        session.watchTurn();
        this.#passInOrder(session, id, answer);
      });
      this.#feelBackPressure(home);
    };
    const refuse = (why: SendRefusal) =>
      why === 'Lost'
        ? this.#pass(id, lost(new UnreachableError('the turn is cut that the prompt waited for'), false))
        : this.#reply(id, this.#answers.tooManyPrompts(id));
    session.turn.request(this, bytes, send, refuse);
    session.watchTurn();
  }

  /** A prompt that the home before had, and no server has got. */
  #sendAgain({ callId: id, method, params }: OpenPrompt): void {
    if (id === undefined) return;
    if (params === undefined) return this.#reply(id, this.#answers.unavailable(id, true));
    const bytes = JSON.stringify(params).length;
    const request = { id, method, params, bytes, isRepeatable: undefined, gone: this.gone };
    this.#open.add(request);
    this.#send(request);
  }

  /** Whoever holds the client must know them all, for the next home. */
  #tellRules(session: Session | undefined): void {
    if (session?.isAttached(this) === true) this.told(session.told(session.replay.kept));
  }

  told(rules: ToldRules): void {
    this.#options.link.told?.(rules);
  }

  #delete({ id, method, params }: ClientRequest): void {
    // It need not be loaded for that.
    this.#home(sessionIdOf(params)).request({ method, params }, undefined, (answer) => {
      if (isResult(answer) && !this.#deleted(resultFields(answer.body)))
        this.#options.homes.forget(sessionIdOf(params) ?? '');
      this.#pass(id, answer);
    });
  }

  /** Of many sessions, those that the answer names were deleted. */
  #deleted(result: unknown): boolean {
    const freed = isObject(result) ? result['freedBytes'] : undefined;
    if (!isObject(freed)) return false;
    for (const each of Object.keys(freed)) this.#options.homes.forget(each);
    return true;
  }

  #keep(request: ClientRequest): void {
    const home = this.#home(sessionIdOf(request.params));
    const { method } = request;
    const params = home.injection.isOn ? withoutLogin(request.params) : request.params;
    const session = home.session(sessionIdOf(params));
    this.#forward({ ...request, params }, (answer) => {
      if (!isResult(answer) || session === undefined) return;
      const result = resultFields(answer.body);
      session.replay.keep(method, params, result);
      session.changes += 1;
      for (const client of session.clients) client.told?.(session.told([{ method, params, result }]));
    });
  }

  /** What asks GitHub for the tenant, such as for its models. */
  #login(request: ClientRequest): void {
    const { injection } = this.#home(undefined);
    if (!injection.isOn) return this.#forward(request);
    void injection.read().then(
      (model) => {
        if (this.#ended) return this.#settle(request.id);
        // Its home may be another one by now.
        this.#forward(model ? { ...request, params: withGitHubToken(request.params, model) } : request);
      },
      (error: unknown) => this.#pass(request.id, modelFailure(error)),
    );
  }

  #forward(request: ClientRequest, then?: (answer: ServerAnswer) => void): void {
    const sessionId = sessionIdOf(request.params);
    const home = this.#home(sessionId);
    home.request(request, home.session(sessionId), (answer) => {
      then?.(answer);
      this.#passInOrder(home.session(sessionId), request.id, answer);
    });
    this.#feelBackPressure(home);
  }

  /** The answer to a call about a session: not before the events that the client has missed of it. */
  #passInOrder(session: Session | undefined, id: RequestId, answer: ServerAnswer): void {
    if (session?.delivery.isBehind(this) !== true) return this.#pass(id, answer);
    const kept = copied(answer);
    session.delivery.answer(this, bytesOf(kept), () => this.#pass(id, kept));
  }

  #pass(id: RequestId, answer: ServerAnswer): void {
    if (this.#ended) this.#settle(id);
    else this.#reply(id, this.#answers.of(id, answer));
  }

  #reply(id: RequestId, body: Buffer | string): void {
    this.#settle(id);
    this.deliver(body);
  }

  /** A request is not open any more. */
  #settle(id: RequestId): void {
    this.#open.settle(id);
    if (this.#ended) this.#options.homes.settled(this);
  }

  #feelBackPressure(home: Home): void {
    if (home.upstream.isWritable || this.#isPaused || this.#ended) return;
    const { link } = this.#options;
    this.#isPaused = true;
    link.pause();
    home.whenDrained(this, () => {
      this.#isPaused = false;
      if (!this.#ended) link.resume();
    });
  }

  /** The server that has the session, else the one that answers calls about none. */
  #home(sessionId: string | undefined): Home {
    const { homes } = this.#options;
    return (sessionId === undefined ? undefined : homes.find(sessionId)) ?? homes.first;
  }
}
