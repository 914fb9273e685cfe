/** One admitted client: its requests to servers, and the servers' requests to it. */
import {
  answerFor,
  formatAnswer,
  formatRequest,
  isObject,
  parseMessage,
  unquotedMessageOf,
  type Message,
  type RequestId,
} from '../../copilot/index.ts';
import { keyOf } from '../../kube/types/types.ts';
import type {
  ClientHandler,
  ClientLink,
  ClientWork,
  CloseReason,
  MethodRewrite,
  MethodRule,
  MethodRules,
} from '../model.ts';
import { pong } from '../pong.ts';
import { attach, detach } from './attach.ts';
import { admission } from './events.ts';
import type { Home } from './home.ts';
import { withGitHubToken, withoutLogin } from './injected.ts';
import { IsolatedCalls } from './isolated.ts';
import { sessionIdOf, type ClientAnswer, type RelayLimits, type ServerAnswer, type SessionClient } from './model.ts';
import type { CallRefusal, RelayObserver } from './observer.ts';
import { invalid, modelUnavailable, notRestored, refusedParam, tooMany, unavailable, unhandled } from './refusals.ts';
import { isResult, modelFailure, resultFields } from './server-answer.ts';
import type { Session } from './session.ts';
import type { SendRefusal } from './turn.ts';

export interface ClientRelayOptions {
  readonly link: ClientLink;
  readonly rules: MethodRules;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  readonly clock: { now(): number };
  readonly newId: () => string;
  /** Where a session is, or a new one is put. */
  readonly homeOf: (sessionId: string | undefined) => Home;
  /** The users of the tenant are kept apart. Whoever states no user is not admitted to it. */
  readonly isIsolated: boolean;
}

type Params = Readonly<Record<string, unknown>>;

interface ClientRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly params: Params;
  /** Of its frame. */
  readonly bytes: number;
}

/** Carries one client's frames. It parses every one: a method must be the one that the server will read, too. */
export class ClientRelay implements ClientHandler, SessionClient {
  readonly #options: ClientRelayOptions;
  /** Requests that have not been answered, with the bytes of their frames. */
  readonly #open = new Map<RequestId, number>();
  #openBytes = 0;
  readonly #sessions = new Map<Session, Home>();
  readonly #homes = new Set<Home>();
  /** Undefined: the clients of the tenant are one trust domain. */
  readonly #isolated: IsolatedCalls<ClientRequest> | undefined;
  /** Requests of servers, by their id on this leg. */
  readonly #asked = new Map<number, (answer: ClientAnswer) => void>();
  #lastAsked = 0;
  #ended = false;
  #isPaused = false;

  constructor(options: ClientRelayOptions) {
    this.#options = options;
    const { link, rules, newId } = options;
    const { user } = link.identity;
    this.#isolated =
      user === undefined || !options.isIsolated
        ? undefined
        : new IsolatedCalls({
            user,
            forced: rules.forced,
            newId,
            isEnded: () => this.#ended,
            goOn: (request) => this.#goOn(rules.ruleOf(request.method), request),
            pass: (id, answer) => this.#pass(id, answer),
            reply: (id, body) => this.#reply(id, body),
          });
    // So that it is told of sessions from now on.
    this.#home(undefined);
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  get id(): number {
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
    return { calls: this.#open.size, sessions: attached.length };
  }

  get isBusy(): boolean {
    return this.#open.size > 0 || [...this.#sessions.keys()].some((session) => session.turn.isBusy);
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
    this.#asked.clear();
    for (const [session, home] of this.#sessions) void detach(home, this, session);
    this.#sessions.clear();
    for (const home of this.#homes) home.leave(this);
  }

  deliver(body: Buffer | string, type?: string): void {
    if (this.#ended) return;
    const { link, limits, observer } = this.#options;
    const verdict = admission(type, link.queuedBytes, limits);
    if (verdict === 'Send') link.send(body);
    if (verdict === 'Drop') observer.pieceDropped();
    if (verdict !== 'Cut') return;
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
    const refuse = (reason: CallRefusal, body: string): void => this.deliver(this.#refused(reason, body));
    if (this.#open.has(id)) return refuse('Invalid', invalid(id, 'the id of a request that is not answered yet'));
    if (!isObject(params)) return refuse('Invalid', invalid(id, '"params" that are not an object'));
    if (this.#open.size >= limits.openRequests) {
      return refuse('TooManyCalls', tooMany(id, `more than ${limits.openRequests} requests are not answered yet`));
    }
    // One may be as large as any frame.
    if (this.#open.size > 0 && this.#openBytes + bytes > limits.openBytes) {
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
    this.#open.set(id, bytes);
    this.#openBytes += bytes;
    const request = { id, method, params, bytes };
    const goesOut = rule.action === 'relay' || rule.action === 'rewrite';
    if (goesOut && this.#options.isIsolated) this.#isolate(request, rule.rewrite === 'own');
    else this.#goOn(rule, request);
  }

  #isolate(request: ClientRequest, lists: boolean): void {
    const home = this.#home(sessionIdOf(request.params));
    // Nobody is admitted without a user; if somebody were, nothing would be theirs.
    if (this.#isolated === undefined || home.owners === undefined) {
      return this.#reply(request.id, unhandled(request.id, request.method));
    }
    this.#isolated.take(home, home.owners, request, lists);
  }

  #goOn(rule: MethodRule, request: ClientRequest): void {
    const { id, method, params } = request;
    if (rule.action === 'relay') this.#forward(request);
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

  #attach({ id, method, params }: ClientRequest): void {
    const { limits, newId } = this.#options;
    if (this.#sessions.size >= limits.attachedSessions) this.#forgetEnded();
    if (this.#sessions.size >= limits.attachedSessions) {
      const refusal = tooMany(id, `the client is attached to ${limits.attachedSessions} sessions already`);
      return this.#reply(id, this.#refused('TooManySessions', refusal));
    }
    const chosen = params['sessionId'];
    const isChosen = typeof chosen === 'string' && chosen !== '';
    const sessionId = isChosen ? chosen : newId();
    const home = this.#home(sessionId);
    void attach(home, this, {
      method: method === 'session.create' ? method : 'session.resume',
      sessionId,
      isChosen: isChosen && home.owners?.isNew(sessionId) !== true,
      declaration: this.#isolated?.declaration(params) ?? params,
      owned: home.owners && this.#isolated?.attach(home, home.owners, sessionId),
      begun: (session) => this.#sessions.set(session, home),
      answered: (answer) => this.#pass(id, answer),
    }).then(() => {
      if (this.user !== undefined) home.owners?.dropClaim(sessionId, this.user);
      this.#forgetEnded();
    });
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
    const session = this.#home(sessionIdOf(params)).session(sessionIdOf(params));
    // Who is not attached hears nothing of turns, and what is immediate goes into the turn that runs.
    if (session?.isAttached(this) !== true || params['mode'] === 'immediate') return this.#forward(request);
    const send = () => {
      const { generation } = session.turn;
      this.#forward(request, (answer) => this.#sent(session, generation, request, answer));
    };
    const refuse = (why: SendRefusal) =>
      this.#reply(id, why === 'Lost' ? this.#unavailable(id, false) : this.#tooManyPrompts(id));
    session.turn.request(this, bytes, send, refuse);
    session.watchTurn();
  }

  #sent(session: Session, generation: number, { method, params }: ClientRequest, answer: ServerAnswer): void {
    if (isResult(answer)) {
      const { messageId } = resultFields(answer.body);
      if (typeof messageId === 'string') session.replay.acknowledged({ messageId, method, params });
    }
    // The turns of its time may have been given up, and a newer prompt of this client not be answered yet.
    if (session.turn.generation === generation) session.turn.answered(this, !isResult(answer));
    session.watchTurn();
  }

  #delete({ id, method, params }: ClientRequest): void {
    const home = this.#home(sessionIdOf(params));
    const session = home.session(sessionIdOf(params));
    // It need not be loaded for that.
    home.request(method, params, undefined, (answer) => {
      if (isResult(answer)) {
        // Of many, those that the answer names were deleted.
        const { freedBytes } = resultFields(answer.body);
        const deleted = isObject(freedBytes) ? Object.keys(freedBytes).map((id) => home.session(id)) : [session];
        for (const each of deleted) if (each !== undefined) home.forget(each);
        home.owners?.forget(sessionIdOf(params) ?? '');
      }
      this.#pass(id, answer);
    });
  }

  #keep(request: ClientRequest): void {
    const home = this.#home(sessionIdOf(request.params));
    const { method } = request;
    const params = home.injection.isOn ? withoutLogin(request.params) : request.params;
    const session = home.session(sessionIdOf(params));
    this.#forward({ ...request, params }, (answer) => {
      if (isResult(answer)) session?.replay.keep(method, params, resultFields(answer.body));
    });
  }

  /** What asks GitHub for the tenant, such as for its models. */
  #login(request: ClientRequest): void {
    const { injection } = this.#home(undefined);
    if (!injection.isOn) return this.#forward(request);
    void injection.read().then(
      (model) => this.#forward(model ? { ...request, params: withGitHubToken(request.params, model) } : request),
      (error: unknown) => this.#pass(request.id, modelFailure(error)),
    );
  }

  #forward({ id, method, params }: ClientRequest, then?: (answer: ServerAnswer) => void): void {
    const home = this.#home(sessionIdOf(params));
    home.request(method, params, home.session(sessionIdOf(params)), (answer) => {
      then?.(answer);
      this.#pass(id, answer);
    });
    this.#feelBackPressure(home);
  }

  #pass(id: RequestId, answer: ServerAnswer): void {
    if (answer.kind === 'Answer') this.#reply(id, answerFor(id, answer.body, answer.head));
    else if (answer.kind === 'NotRestored') this.#reply(id, this.#refused('NotRestored', notRestored(id, answer.why)));
    else if (answer.kind === 'NoModel')
      this.#reply(id, this.#refused('ModelUnavailable', modelUnavailable(id, answer.why)));
    else if (answer.kind === 'TooMany') this.#reply(id, this.#refused('TooManySessions', tooMany(id, answer.why)));
    else this.#reply(id, this.#unavailable(id, answer.sent));
  }

  #unavailable(id: RequestId, sent: boolean): string {
    const { link, limits } = this.#options;
    return this.#refused('Unavailable', unavailable(id, keyOf(link.identity.tenant), sent, limits.redialAfterMs));
  }

  #tooManyPrompts(id: RequestId): string {
    return this.#refused('TooManyPrompts', tooMany(id, 'too many prompts wait for a turn'));
  }

  /** The answer, counted. */
  #refused(reason: CallRefusal, answer: string): string {
    this.#options.observer.callRefused(reason);
    return answer;
  }

  #reply(id: RequestId, body: Buffer | string): void {
    this.#openBytes -= this.#open.get(id) ?? 0;
    this.#open.delete(id);
    this.deliver(body);
  }

  #feelBackPressure(home: Home): void {
    if (home.upstream.isWritable || this.#isPaused || this.#ended) return;
    const { link } = this.#options;
    this.#isPaused = true;
    link.pause();
    home.whenDrained(() => {
      this.#isPaused = false;
      if (!this.#ended) link.resume();
    });
  }

  #home(sessionId: string | undefined): Home {
    const home = this.#options.homeOf(sessionId);
    if (!this.#homes.has(home)) {
      this.#homes.add(home);
      home.join(this);
    }
    return home;
  }
}
