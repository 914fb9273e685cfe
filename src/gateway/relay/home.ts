/** One server of a tenant with the sessions on it that clients are attached to. */
import {
  isObject,
  parseMessage,
  RpcError,
  unquotedMessageOf,
  type CopilotError,
  type Dial,
  type EventHead,
  type Message,
  type RequestId,
} from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { ForcedParams, GatewayServer, TenantModel, TenantRef } from '../model.ts';
import { forcedParams } from './declarations.ts';
import type { WaitKind } from './events.ts';
import { Injection } from './injection.ts';
import { loadSession } from './loading.ts';
import { sessionIdOf, type RelayLimits, type ServerAnswer, type SessionClient } from './model.ts';
import type { RelayObserver } from './observer.ts';
import { Owners, type OwnershipSources } from './owners.ts';
import { unknownMethod } from './refusals.ts';
import { requestKindOf, unattended } from './requests.ts';
import { isNotFound, isResult, isUnloaded, loadFailure } from './server-answer.ts';
import { Session } from './session.ts';
import { turnEnd } from './turn-end.ts';
import { Upstream } from './upstream.ts';

/** What went wrong that no client is told. */
export interface RelayLog {
  info(fields: object, message: string): void;
}

export interface HomeOptions {
  /** `namespace/server`. */
  readonly key: string;
  readonly clock: Clock;
  readonly limits: RelayLimits;
  readonly dial: Dial | undefined;
  readonly log: RelayLog;
  readonly observer: RelayObserver;
  /** An id for what the gateway makes itself. */
  readonly newId: () => string;
  /** Where the server is now; undefined: nowhere. */
  readonly locate: () => GatewayServer | undefined;
  /** What sessions get from their tenant; undefined: clients bring their login. */
  readonly model: () => TenantModel | undefined;
  /** The last client has left. */
  readonly onLeft: () => void;
  /** What every session has; undefined: nothing. */
  readonly forced: ForcedParams | undefined;
  /** What owners of sessions are found out with; undefined: all clients are one trust domain. */
  readonly ownership: (OwnershipSources & { readonly tenant: TenantRef }) | undefined;
}

/** The clients of one server share its connection, and what they do with a session is one. */
export class Home {
  /** `namespace/server`. */
  readonly key: string;
  readonly upstream: Upstream;
  /** Undefined: all clients are one trust domain. */
  readonly owners: Owners | undefined;
  readonly injection: Injection;
  readonly #options: HomeOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #clients = new Set<SessionClient>();
  /** Calls with which a client that waits for the server's buffer goes on. */
  #waiting: (() => void)[] = [];

  constructor(options: HomeOptions) {
    this.#options = options;
    this.key = options.key;
    const { clock, limits, dial, locate, observer, model } = options;
    this.injection = new Injection({
      clock,
      limits,
      source: model,
      sessions: () => this.#sessions.values(),
      redeclare: (session, params, taken) => this.redeclare(session, () => params, taken),
      reload: (session) => this.#reload(session),
      onProblem: (error) => options.log.info({ server: this.key, error }, 'the login of a tenant could not be read'),
    });
    this.upstream = new Upstream({
      clock,
      limits,
      observer,
      dial,
      locate,
      onEvent: (head, body) => this.#onEvent(head, body),
      onMessage: (message, body) => this.#onMessage(message, body),
      onDrained: () => this.#onDrained(),
      onLost: (error) => this.#onLost(error),
    });
    this.owners = options.ownership && new Owners({ ...options.ownership, upstream: this.upstream });
  }

  get limits(): RelayLimits {
    return this.#options.limits;
  }

  get hasClients(): boolean {
    return this.#clients.size > 0;
  }

  /** Closes the connection and forgets all sessions. */
  close(): void {
    this.injection.close();
    this.upstream.close();
    for (const session of this.#sessions.values()) this.forget(session);
  }

  /** Those that clients are attached to, or were a moment ago. */
  get sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** The session, if clients are attached to it, or were a moment ago. */
  session(id: string | undefined): Session | undefined {
    return id === undefined ? undefined : this.#sessions.get(id);
  }

  /** The session, known from now on. */
  sessionFor(id: string): Session {
    const known = this.#sessions.get(id);
    if (known !== undefined) return known;
    const { limits, clock, observer } = this.#options;
    const session: Session = new Session(id, {
      limits,
      observer,
      since: clock.now(),
      setTimer: (ms, fn) => clock.setTimer(ms, fn),
      answer: (requestId, answer) => this.upstream.answer(requestId, answer),
      deny: (requestId, kind) => void this.#deny(id, requestId, kind),
      onUnused: () => void this.#unload(session),
      onShutdown: () => this.#unloaded(session),
    });
    this.#sessions.set(id, session);
    return session;
  }

  /** Forgets a session that is not on the server, or not any more. */
  forget(session: Session): void {
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.end();
  }

  /** A client that is told of sessions that come and go. */
  join(client: SessionClient): void {
    this.#clients.add(client);
  }

  leave(client: SessionClient): void {
    this.#clients.delete(client);
    if (!this.hasClients) this.#options.onLeft();
  }

  /** A CopilotSession has changed: those leave whom it named and names no more. */
  recheck(): void {
    if (this.owners !== undefined) for (const client of this.#clients) client.recheck?.();
  }

  /** Calls `fn` when the server has read what was written. */
  whenDrained(fn: () => void): void {
    this.#waiting.push(fn);
  }

  /**
   * Sends a request, if it is about a known session when that is loaded. A session that the server unloaded meanwhile is
   * loaded again and the request repeated, which nobody notices.
   */
  request(
    method: string,
    params: object,
    session: Session | undefined,
    answered: (answer: ServerAnswer) => void,
  ): void {
    if (session === undefined) return this.upstream.request(method, params, answered);
    if (session.isLoaded) return this.#requestLoaded(method, params, session, answered);
    void this.#afterLoad(session, answered, () => this.#requestLoaded(method, params, session, answered));
  }

  /**
   * Tells the server what is declared when its turn comes, and calls `taken` if it took it. A session that is not loaded is told when it
   * is: told before, the server would load it with nothing but this.
   */
  async redeclare(session: Session, params: () => object, taken?: () => void): Promise<void> {
    await session.exclusively(async () => {
      if ((await this.activity(session)) === 'NotLoaded') return;
      const { forced } = this.#options;
      // The server may unload it in this very moment, and would load it for this.
      const kept = forced && forcedParams(session.declarations, forced.declared, forced.defaults);
      const sessionId = session.id;
      const isTaken = await this.own('session.resume', { ...params(), ...kept, sessionId, disableResume: true });
      if (forced) await this.own('session.options.update', { sessionId, ...forced.options });
      if (isTaken) taken?.();
    });
  }

  /** Has the server unload a session that does nothing, of which its clients hear nothing: their next call loads it as a whole. */
  async #reload(session: Session): Promise<void> {
    await session.exclusively(async () => {
      if ((await this.activity(session)) !== 'Idle' || session.turn.isBusy) return;
      const method = 'sessions.close';
      try {
        await session.closedQuietly(() => this.upstream.call(method, { sessionId: session.id }));
      } catch (error) {
        this.#logFailure(method, error);
        if (error instanceof RpcError) session.loaded();
      }
    });
  }

  /**
   * What the server does with a session; it may have unloaded it and said nothing, which is known from then on. It does not load it
   * for this. To be called in {@link Session.exclusively}.
   */
  async activity(session: Session): Promise<'Active' | 'Idle' | 'NotLoaded'> {
    if (!session.isLoaded) return 'NotLoaded';
    const method = 'session.metadata.activity';
    let found: unknown;
    try {
      found = await this.upstream.call(method, { sessionId: session.id });
    } catch (error) {
      if (!isNotFound(error)) this.#logFailure(method, error);
      else if (session.missed()) this.#endTurn(session, CLOSED);
      return 'NotLoaded';
    }
    // It may have said meanwhile that it unloads it.
    if (!session.isLoaded) return 'NotLoaded';
    return isObject(found) && found['hasActiveWork'] === false ? 'Idle' : 'Active';
  }

  /** A call of the gateway's own, whose failure nobody waits for. Returns whether it succeeded. */
  async own(method: string, params: object): Promise<boolean> {
    try {
      await this.upstream.call(method, params);
      return true;
    } catch (error) {
      this.#logFailure(method, error);
      return false;
    }
  }

  #logFailure(method: string, error: unknown): void {
    const fields = { server: this.#options.key, method, error: unquotedMessageOf(error) };
    this.#options.log.info(fields, 'a call of the gateway failed');
  }

  #requestLoaded(method: string, params: object, session: Session, answered: (answer: ServerAnswer) => void): void {
    const { loads } = session;
    this.upstream.request(method, params, (answer) => {
      // It may have been loaded again since, for another request.
      const isSame = session.loads === loads;
      if (isSame && UNLOADS.has(method) && isResult(answer)) this.#unloaded(session);
      if (!isUnloaded(answer) || session.clientCount === 0) return answered(answer);
      if (isSame && session.missed()) this.#endTurn(session, CLOSED);
      void this.#afterLoad(session, answered, () => this.upstream.request(method, params, answered));
    });
  }

  async #afterLoad(session: Session, answered: (answer: ServerAnswer) => void, then: () => void): Promise<void> {
    try {
      await session.exclusively(() => this.load(session));
    } catch (error) {
      this.#options.log.info(
        { server: this.#options.key, error: unquotedMessageOf(error) },
        'a session could not be loaded',
      );
      const failure = loadFailure(error);
      if (failure !== undefined) return answered(failure);
    }
    then();
  }

  /**
   * Has the server load a session as its clients had set it up; to be called in {@link Session.exclusively}.
   * @throws CopilotError, NotRestoredError if it would allow more than its clients decided, or ModelUnavailableError
   */
  async load(session: Session): Promise<void> {
    const { upstream, injection } = this;
    await loadSession(session, {
      upstream,
      injection,
      made: async (sessionId) => this.owners?.stamp(sessionId, true),
      close: (sessionId) => this.own('sessions.close', { sessionId }),
      onFailure: (method, error) => this.#logFailure(method, error),
    });
  }

  async #unload(session: Session): Promise<void> {
    await session.exclusively(async () => {
      if (session.clientCount > 0) return;
      if (session.isLoaded) await this.own('session.detach', { sessionId: session.id });
      session.unloaded();
      // A client that attached meanwhile loads it again.
      if (session.clientCount === 0) this.forget(session);
    });
  }

  /** A client has closed it, or the server by itself. No idle comes of the turn that was running. */
  #unloaded(session: Session): void {
    if (session.unloaded()) this.#endTurn(session, CLOSED);
    if (session.clientCount === 0) this.forget(session);
  }

  async #deny(sessionId: string, requestId: string, { denial: { method, params } }: WaitKind): Promise<void> {
    await this.own(method, { sessionId, requestId, ...params });
  }

  #onEvent({ sessionId, type }: EventHead, body: Buffer): void {
    const parse = () => {
      const message = parseMessage(body);
      return 'params' in message && isObject(message.params) ? message.params['event'] : undefined;
    };
    this.#sessions.get(sessionId)?.event(type, body, parse);
  }

  #onMessage(message: Message & { readonly kind: 'request' | 'notification' }, body: Buffer): void {
    const params = isObject(message.params) ? message.params : {};
    if (message.kind === 'request') {
      const session = this.session(sessionIdOf(params));
      if (session?.asked.take(message.id, message.method, params, body.length) !== true)
        this.#refuse(message.id, message.method, params);
    } else if (message.method === 'session.lifecycle') {
      this.#onLifecycle(sessionIdOf(params), params['type'] === 'session.deleted', body);
    } else if (message.method === 'host.event' && isObject(params['scope'])) {
      for (const client of this.session(sessionIdOf(params['scope']))?.clients ?? []) client.deliver(body);
    }
    // Whatever else has no session is for nobody.
  }

  /** Everybody is told of a tenant that is one trust domain. */
  #onLifecycle(sessionId: string | undefined, isDeletion: boolean, body: Buffer): void {
    for (const client of this.#clients) {
      if (this.owners?.mayHear(sessionId, client.user) !== false) client.deliver(body);
    }
    if (!isDeletion || sessionId === undefined) return;
    this.owners?.forget(sessionId);
    const session = this.session(sessionId);
    if (session !== undefined) this.forget(session);
  }

  /** A request that is for nobody. An error would let a tool run that a hook should have decided on. */
  #refuse(id: RequestId, method: string, params: Readonly<Record<string, unknown>>): void {
    if (requestKindOf(method) === undefined) return this.upstream.answer(id, unknownMethod(method));
    this.#options.observer.unattended(method);
    this.upstream.answer(id, unattended(method, params));
  }

  #onDrained(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  }

  #onLost(error: CopilotError): void {
    this.#options.log.info(
      { server: this.#options.key, error: unquotedMessageOf(error) },
      'the connection to a server was lost',
    );
    for (const session of this.#sessions.values()) {
      if (session.lost()) this.#endTurn(session, 'The server was lost');
      if (session.clientCount === 0) this.forget(session);
    }
    this.#onDrained();
  }

  /** Ends the waits of the SDKs for a turn that will not end. */
  #endTurn(session: Session, what: string): void {
    for (const { type, body } of turnEnd(session.id, what, this.#options)) {
      for (const client of session.clients) client.deliver(body, type);
    }
  }
}

const CLOSED = 'The session was closed';
/** Calls of clients after which the server has the session in memory no more. */
const UNLOADS = new Set(['sessions.close', 'session.shutdown']);
