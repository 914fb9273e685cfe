/** One server of a tenant with the sessions on it that clients are attached to. */
import { UnreachableError, unquotedMessageOf } from '../../../copilot/index.ts';
import { AUDITED, type DrainProgress, type SessionSettings, type StatedDrain } from '../../model.ts';
import { HomeDrain, startsTurn } from './drain.ts';
import { drainWork } from './drain-work.ts';
import type { WaitKind } from '../journal/events.ts';
import { Failover } from '../failover/failover.ts';
import type { Fence } from '../fence/fence.ts';
import { Injection } from '../injection/injection.ts';
import type { Loading } from '../failover/loading.ts';
import type { RelayLimits, ServerAnswer, SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Owners } from '../listing/owners.ts';
import { Places } from '../limits/places.ts';
import type { Sender } from '../turns/prompts.ts';
import type { Recovered } from '../failover/recover-turn.ts';
import { clientGone, REPEATS, lost } from '../server/server-answer.ts';
import { SessionCalls, type ClientCall } from './session-calls.ts';
import { takeMessage } from './server-messages.ts';
import { Session } from '../session/session.ts';
import { deletionEnd, idle, turnEnd } from '../turns/turn-end.ts';
import { Upstream } from '../server/upstream.ts';
import { Moves } from './moves.ts';
import type { HomeOptions } from './options.ts';
import { ServerTime } from './server-time.ts';
import { Unloading } from './unloading.ts';

type Params = Readonly<Record<string, unknown>>;

/** The clients of one server share its connection, and what they do with a session is one. */
export class Home {
  /** `namespace/server`. */
  readonly key: string;
  readonly upstream: Upstream;
  /** Undefined: all clients are one trust domain. */
  readonly owners: Owners | undefined;
  readonly injection: Injection;
  readonly drain: HomeDrain;
  readonly failover: Failover;
  readonly calls: SessionCalls;
  readonly places: Places;
  readonly time: ServerTime;
  readonly unloading: Unloading;
  readonly moves: Moves<Home>;
  /** What sessions are loaded with. */
  readonly loading: Loading;
  readonly #options: HomeOptions<Home>;
  readonly #sessions = new Map<string, Session>();
  /** What clients do that wait for the server's buffer, when it is read. */
  readonly #waiting = new Map<SessionClient, () => void>();

  constructor(options: HomeOptions<Home>) {
    this.#options = options;
    this.key = options.key;
    const { clock, limits, dial, locate, isGone, observer, model, log, key, forced } = options;
    this.injection = new Injection({
      clock,
      limits,
      source: model,
      sessions: () => this.#sessions.values(),
      redeclare: (session, params, taken) => this.calls.redeclare(session, () => params, taken),
      reload: (session) => this.unloading.reload(session),
      onProblem: (error) => options.log.info({ server: this.key, error }, 'the login of a tenant could not be read'),
    });
    this.drain = new HomeDrain(drainWork(this, options));
    this.upstream = new Upstream({
      clock,
      limits,
      observer,
      dial,
      locate: () => this.drain.reachable(locate()),
      isGone: () => isGone() || (!this.drain.comesBack && options.shared?.hasOthers(this) !== true),
      isWorking: () => [...this.#sessions.values()].some((session) => session.isWorking),
      onEvent: ({ sessionId, type }, body) => {
        const isIdle = type === 'session.idle';
        if (isIdle) options.onIdle();
        const session = this.#sessions.get(sessionId);
        // Before a prompt that waited for this turn begins the next one.
        if (isIdle && session !== undefined) this.calls.turns.ended(session);
        session?.events.take(type, body);
        if (isIdle) this.calls.turns.look();
      },
      piecesOf: (sessionId) => {
        const events = this.#sessions.get(sessionId)?.events;
        return events?.passesPieces === true ? events : undefined;
      },
      onMessage: (message, body) => takeMessage(this, message, body),
      onDrained: () => this.#onDrained(),
      onLost: (error, why) => {
        this.failover.lost(error, why);
        this.#onDrained();
        options.shared?.lost(this);
      },
    });
    this.moves = new Moves<Home>({ home: this, sessions: this.#sessions, shared: options.shared, log });
    this.owners = options.owners;
    const { upstream, injection } = this;
    const onFailure = (method: string, error: unknown): void =>
      log.info({ server: key, method, error: unquotedMessageOf(error) }, 'a call of the gateway failed');
    const forget = (session: Session): void => this.forget(session);
    const call = (method: string, params: object) => upstream.call(method, params);
    this.time = new ServerTime({ clock, limits, upstream, mayFollow: this.mayFollow, onFailure });
    this.loading = {
      call,
      request: (method, params) => upstream.ask(method, params),
      idle: (sessionId) => idle(sessionId, options),
      injection,
      admit: options.shared && ((sessionId) => this.#admit(sessionId)),
      settings: (sessionId) => this.settingsOf(sessionId),
      made: async (sessionId) => this.owners?.stamp(upstream, sessionId, true),
      close: (sessionId) => this.calls.own('sessions.close', { sessionId }),
      onFailure,
    };
    this.places = new Places({
      clock,
      limits,
      observer,
      max: () => options.tenantLimits().maxConcurrent,
      isGone,
      sessions: () => this.#sessions.values(),
      evict: (session) => this.unloading.evict(session),
    });
    this.failover = new Failover({
      key,
      clock,
      limits,
      log,
      observer,
      upstream,
      sessions: () => this.#sessions.values(),
      loading: this.loading,
      places: this.places,
      onCut: (session, what) => this.#endTurn(session, what),
      forget,
      moves: options.shared && {
        isElsewhere: (session) => this.hostOf(session) !== this,
        left: () => this.moves.left,
      },
    });
    const onClosed = (session: Session): void => this.#endTurn(session, 'The session was closed');
    this.unloading = new Unloading({
      upstream,
      onClosed,
      isHere: (session) => this.#sessions.get(session.id) === session,
      forget,
      onFailure,
      release: options.shared && ((session) => this.#release(session)),
    });
    this.calls = new SessionCalls({
      upstream,
      unloading: this.unloading,
      limits,
      clock,
      newId: options.newId,
      observer,
      sessions: () => this.#sessions.values(),
      maxTurns: () => options.tenantLimits().maxConcurrentTurns,
      holdsStarts: () => this.drain.holdsStarts,
      whenOpen: (kind, call) => this.drain.enter(kind, call, call.go),
      failover: this.failover,
      forced,
      settings: (session) => this.settingsOf(session.id),
      onPrompt: (session, sender, result) => this.#prompted(session, sender, result),
      onFailure,
      elsewhere:
        options.shared &&
        ((session) => {
          const host = this.hostOf(session);
          return host === this ? undefined : host.calls;
        }),
    });
  }

  /** Undefined: no other server can load its sessions. */
  get fence(): Fence | undefined {
    return this.#options.shared?.fence;
  }

  /** Where it can be connected to now; undefined: nowhere. */
  get podUID(): string | undefined {
    return this.drain.reachable(this.#options.locate())?.podUID;
  }

  /** The home that has the session by now: this one, unless servers share a volume. */
  hostOf(session: Session): Home {
    return this.#options.shared?.hostOf(session) ?? this;
  }

  async #admit(sessionId: string): Promise<void> {
    await this.fence?.admit(sessionId, this);
  }

  async #release({ id }: Session): Promise<boolean> {
    return (await this.fence?.release(id, this)) === true;
  }

  get limits(): RelayLimits {
    return this.#options.limits;
  }

  /** Another replica may have been the home, and may still have a connection to the server. */
  get mayFollow(): boolean {
    return this.#options.mayFollow === true;
  }

  /** Ends the waits of a client for a turn that does not go on. */
  endTurnFor(client: SessionClient, sessionId: string, what: string): void {
    for (const { type, body } of turnEnd(sessionId, what, this.#options)) client.deliver(body, type);
  }

  /** A session of another home is served here now. */
  tookOver(session: Session, recovered: Recovered): void {
    const { log, key } = this.#options;
    log.info({ ...AUDITED, server: key, session: session.id, recovered }, 'a session of another home goes on');
    this.failover.watch(session, recovered);
  }

  /** Whether its pod serves. */
  get isServing(): boolean {
    const { locate, isReady } = this.#options;
    return this.drain.reachable(locate()) !== undefined && (isReady() || this.upstream.isOpen);
  }

  /** Connects to it, although nobody has said that it serves: it may, and clients wait. Resolves when that has succeeded or failed. */
  async dialEarly(): Promise<void> {
    if (this.isServing || this.drain.reachable(this.#options.locate()) === undefined) return;
    try {
      await this.upstream.opened();
    } catch (error) {
      // It is not given up: it is dialled again when the kubelet says that it serves.
      this.#options.log.info(
        { server: this.key, error: unquotedMessageOf(error) },
        'a server that starts does not listen yet',
      );
    }
  }

  /** Whether there is something that would be lost with it. */
  get isUsed(): boolean {
    return this.#sessions.size > 0 || this.upstream.callCount > 0;
  }

  /** Where the server is may have changed, or whether it drains. */
  relocate(): void {
    const { drain, locate, isGone } = this.#options;
    if (!isGone()) {
      this.drain.update(drain(), locate());
      return this.upstream.relocate();
    }
    // First the connection: what is let go must not be sent any more.
    this.upstream.relocate();
    if (this.drain.phase !== 'Serving') this.drain.close();
  }

  /** How far this drain of the server is. */
  drainProgress(stated: StatedDrain): Pick<DrainProgress, 'turns' | 'isDrained'> {
    const located = this.#options.locate();
    // Another pod serves already.
    const isDrained = this.drain.isDrained(stated) || (located !== undefined && located.podUID !== stated.podUID);
    return { turns: isDrained ? 0 : this.drain.turns, isDrained };
  }

  /** Closes the connection and forgets all sessions. */
  close(): void {
    this.drain.close();
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
    const { limits, clock, observer, tenantLimits } = this.#options;
    const at = (): Home => this.hostOf(session);
    const session: Session = new Session(id, {
      limits,
      mayKeep: this.#options.mayKeep,
      observer,
      permissionTimeoutMs: () => tenantLimits().permissionTimeoutMs ?? limits.permissionTimeoutMs,
      time: () => clock.now(),
      turnRule: () => this.settingsOf(id)?.turns,
      now: () => clock.monotonic(),
      setTimer: (ms, fn) => clock.setTimer(ms, fn),
      answer: (requestId, answer) => at().upstream.answer(requestId, answer),
      deny: (requestId, kind) => void at().#deny(id, requestId, kind),
      onNobody: (asked, { reason, message }) =>
        this.#options.log.info({ server: at().key, session: id, asked, reason }, message),
      onUnused: () => void at().unloading.unload(session),
      onShutdown: () => at().unloading.unloaded(session),
    });
    this.#sessions.set(id, session);
    return session;
  }

  /** What its CopilotSession sets of a session. Where users are kept apart, that of its owner, and nobody else's. */
  settingsOf(sessionId: string): SessionSettings | undefined {
    const record = this.#options.record(sessionId);
    if (this.owners === undefined) return record?.settings;
    const owner = this.owners.ownerOf(sessionId);
    return owner !== undefined && owner === record?.owner ? record.settings : undefined;
  }

  /** Forgets a session that is not on the server, or not any more. */
  forget(session: Session, answer = lost(new UnreachableError('the session is not kept here any more'), true)): void {
    if (this.#sessions.get(session.id) === session) {
      this.#sessions.delete(session.id);
      this.upstream.dropEvents(session.id);
      this.#options.shared?.unused(session.id, this);
    }
    session.end(answer);
  }

  /** Somebody has deleted it. A server that did that in the middle of a turn does not tell the end of the turn. */
  deleted(session: Session): void {
    const told = session.turn.isTaken || (session.isLost && session.isCut) ? [...session.clients] : [];
    this.forget(session, { kind: 'Withdrawn', why: 'SessionDeleted', sent: true });
    const events = deletionEnd(session.id, this.#options);
    for (const client of told) for (const { type, body } of events) client.deliver(body, type);
  }

  get observer(): RelayObserver {
    return this.#options.observer;
  }

  /** Those that are told of sessions that come and go. */
  get clients(): Iterable<SessionClient> {
    return this.#options.clients();
  }

  /** The server says that a session is there, or was deleted. */
  heard(sessionId: string, isDeletion: boolean): void {
    this.#options.heard(sessionId, isDeletion);
  }

  /** The client is gone. */
  leave(client: SessionClient): void {
    this.#waiting.delete(client);
  }

  /** Has the server unload all sessions: another home is to have them. Turns that this cuts go on there. */
  async unloadAll(): Promise<void> {
    await Promise.all(Array.from(this.#sessions.values(), (session) => this.unloading.closeForOther(session)));
  }

  /** Calls `fn` when the server has read what was written, unless the client has left. */
  whenDrained(client: SessionClient, fn: () => void): void {
    this.#waiting.set(client, fn);
  }

  /**
   * Makes a call of a client, about a known session when that is loaded, and where the server drains when it can be used again. Nobody
   * notices that a session was unloaded, or that a server was lost.
   */
  request(call: ClientCall, session: Session | undefined, answered: (answer: ServerAnswer) => void): void {
    this.#enter(call, session, answered, (entered, done) => this.calls.request(entered, session, done));
  }

  /** The same with a prompt of a client that is attached. */
  prompt(call: ClientCall, session: Session, answered: (answer: ServerAnswer) => void): void {
    const { aborts } = session;
    this.#enter(call, session, answered, (entered, done) => {
      const why = session.withdrawal(aborts);
      if (why === undefined) this.calls.prompt(entered, session, done);
      else done({ kind: 'Withdrawn', why, sent: false });
    });
  }

  /** Does something that only reads, and again if the server is lost meanwhile. @throws what `read` throws otherwise */
  async read<T>(read: () => Promise<T>): Promise<T> {
    for (let repeats = 0; ; repeats += 1) {
      await this.upstream.opened();
      const { losses } = this.upstream;
      try {
        return await read();
      } catch (error) {
        if (this.upstream.losses === losses || repeats === REPEATS) throw error;
      }
    }
  }

  #enter(
    call: ClientCall,
    session: Session | undefined,
    answered: (answer: ServerAnswer) => void,
    go: (call: ClientCall, answered: (answer: ServerAnswer) => void) => void,
  ): void {
    const { method, params, bytes = 0, gone } = call;
    const steers = session?.turn.isRunning === true && params['mode'] === 'immediate';
    const starts = startsTurn(method) && !steers;
    const kind = starts ? 'Start' : 'Any';
    const place = gone && session?.order.enter(gone, starts);
    // One about no session waits for no other: what follows would be made for nothing.
    if (place === undefined && !this.drain.holds(kind)) return go(call, answered);
    const done = (answer: ServerAnswer): void => {
      place?.leave();
      answered(answer);
    };
    const refuse = () => done(lost(new UnreachableError('too many calls wait for a server that drains'), false));
    const forget = () => done(clientGone());
    const enter = () => go(place === undefined ? call : { ...call, place }, done);
    this.drain.enter(kind, { bytes, gone, go: enter, forget }, refuse);
  }

  async #deny(sessionId: string, requestId: string, { denial: { method, params } }: WaitKind): Promise<void> {
    const session = this.session(sessionId);
    const answer = { sessionId, requestId, ...params };
    session?.questions.answered(method, answer);
    await this.calls.own(method, answer);
  }

  /** Servers have no field for who sent a prompt: the audit log says whose each message was (docs/adr/0059-several-users.md). */
  #prompted(session: Session, sender: Sender | undefined, { messageId, messageIds = [messageId] }: Params): void {
    const { log, key } = this.#options;
    const { id: client, user } = sender?.client ?? {};
    const line = { ...AUDITED, server: key, session: session.id, client, user, messages: messageIds };
    log.info(line, 'a user has sent a prompt to a session of several');
  }

  #onDrained(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const goOn of waiting) goOn();
  }

  /** Ends the waits of the SDKs for a turn that will not end. */
  #endTurn(session: Session, what: string): void {
    for (const client of session.clients) this.endTurnFor(client, session.id, what);
  }
}
