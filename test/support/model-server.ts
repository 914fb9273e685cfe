/**
 * A small model of a server: sessions in the memory of a process, turns that ask for permissions, and journals that outlive it. It plays the
 * servers of a `RelayWorld`, or of all replicas of a `RoutedWorld`.
 */
import type { FakeClock } from './fake-clock.ts';
import { ModelDisk } from './model-disk.ts';
import type { Dice } from './random.ts';
import type { Frame, RelayWorld, ServerEnd } from './relay-world.ts';

/** What a server that stops goes on for until it is gone, in ms: less than the gateway waits for that. */
const STOPS_MS = 1500;

/** Some loads and closes take up to so long, in ms. */
const SLOW_MS = 80;

/** A session in memory. */
interface Loaded {
  /** What it works on; undefined: nothing. */
  running: string | undefined;
  /** The permission that this waits for. */
  asked: string | undefined;
  /** Of the turn: what an earlier one had planned does not happen. */
  turn: number;
  readonly queue: { readonly messageId: string; readonly content: string }[];
}

/** Of one connection. The gateway has a server close what a lost connection may have left. */
interface Process {
  readonly sessions: Map<string, Loaded>;
  isStopping: boolean;
}

/** A call, and what it is about. */
interface Call {
  readonly end: ServerEnd;
  readonly sessionId: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly process: Process;
}

type Answer = (session: Loaded, call: Call) => object;

/** Calls that load a session, and those about a session that need not be in memory. */
const LOADS = new Set(['session.create', 'session.resume']);
const NEED_NO_LOAD = new Set([...LOADS, 'sessions.close', 'sessions.getMetadata']);

export interface ModelServerOptions {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly log: (line: string) => void;
  /** The connection that there is now. */
  readonly current: () => ServerEnd | undefined;
}

export class ModelServer {
  readonly #options: ModelServerOptions;
  readonly #processes = new Map<ServerEnd, Process>();
  readonly #calls: Readonly<Record<string, Answer>>;
  readonly disk: ModelDisk;
  /** Share of turns that ask for a permission. */
  asks = 0.3;
  /** It dies with the call that makes this 0; 0: it does not. */
  callsLeft = 0;
  /** Prompts that began a turn while it was drained, but for those that a server before it had got. */
  readonly begunInDrain: string[] = [];
  /** The most turns that it ran at once, and the most sessions that it had in memory. */
  readonly most = { turns: 0, sessions: 0 };
  /** Prompts, by where they came first. */
  readonly #got = new Map<string, ServerEnd>();
  /** It is drained: no turn may begin there. What comes next is not. */
  #drained: ServerEnd | undefined;
  #messages = 0;
  #turns = 0;

  constructor(options: ModelServerOptions) {
    this.#options = options;
    this.disk = new ModelDisk(options.clock);
    const loads: Answer = (_, { sessionId }) => ({ sessionId });
    const unloads: Answer = (_, { sessionId, process }) => {
      process.sessions.delete(sessionId);
      this.disk.flush(sessionId);
      return { success: true };
    };
    this.#calls = {
      'session.create': loads,
      'session.resume': loads,
      'session.detach': unloads,
      'sessions.close': unloads,
      'sessions.getMetadata': (_, { sessionId }) => this.#metadata(sessionId),
      'session.mode.get': () => ({ mode: 'plan' }),
      'session.tools.listPendingRequests': () => ({ items: [] }),
      'session.permissions.getMode': () => ({ mode: 'manual' }),
      'session.permissions.setMode': () => ({}),
      'session.permissions.pendingRequests': ({ asked }) => ({
        items: asked === undefined ? [] : [{ requestId: asked }],
      }),
      'session.permissions.handlePendingPermissionRequest': (session, call) => this.#decide(session, call),
      'session.send': (session, call) => this.#send(session, call),
      'session.sendMessages': (session, call) => this.#goOn(session, call),
      'session.abort': (session, call) => this.#abort(session, call),
    };
  }

  /** Plays the servers of this world. */
  play(world: RelayWorld): void {
    for (const [method, answer] of Object.entries(this.#calls)) {
      world.answers.set(method, (end, frame) => this.#take(end, frame, method, answer));
    }
    const asked = (end: ServerEnd, id: unknown) => end.received.find((each) => each.id === id) ?? {};
    world.activityAnswer = (end, id) =>
      this.#take(end, asked(end, id), 'session.metadata.activity', ({ running, queue }) => ({
        hasActiveWork: running !== undefined || queue.length > 0,
      }));
    world.journalAnswer = (end, id) => {
      if (end.isClosed) return;
      const events = this.disk.journal(String(asked(end, id).params?.['sessionId']));
      end.answer(id, { events, hasMore: false, cursor: 'c', cursorStatus: 'ok' });
    };
  }

  /** From now on it is drained. */
  drains(): void {
    this.#drained = this.#options.current();
  }

  /** The process ends, and what it had not written is lost. */
  dies(): void {
    const end = this.#options.current();
    if (end === undefined || end.isClosed) return;
    this.#options.log('the server dies');
    end.isClosed = true;
    this.disk.loseUnwritten();
    end.events.closed(undefined);
  }

  /** It takes itself apart, says of some turns that they have failed, and is gone a moment later. */
  stops(): void {
    const { current, clock, dice, log } = this.#options;
    const end = current();
    if (end === undefined || end.isClosed) return;
    log('the server stops');
    const process = this.#processOf(end);
    for (const [sessionId, session] of process.sessions) {
      if (session.running === undefined || session.asked !== undefined || dice.chance(0.5)) continue;
      this.disk.write(sessionId, this.disk.event('session.shutdown', {}), true);
      this.#tell({ end, sessionId }, 'session.error', { message: 'something is gone' });
      session.running = undefined;
      session.turn = 0;
      this.#tell({ end, sessionId }, 'session.idle', {});
    }
    process.isStopping = true;
    clock.setTimer(dice.below(STOPS_MS), () => {
      if (!end.isClosed) this.dies();
    });
  }

  /** It unloads what does nothing, and says nothing of that. */
  unloads(): void {
    const end = this.#options.current();
    if (end === undefined || end.isClosed) return;
    const { sessions, isStopping } = this.#processOf(end);
    if (isStopping) return;
    for (const [sessionId, { running, queue }] of sessions) {
      if (running !== undefined || queue.length > 0) continue;
      this.#options.log(`the server unloads ${sessionId}`);
      sessions.delete(sessionId);
      this.disk.flush(sessionId);
    }
  }

  /** Its connection is lost while it goes on: some turns come to their end, which nobody is told. */
  goesOnUnseen(): void {
    const { current, dice, log } = this.#options;
    const end = current();
    if (end === undefined || end.isClosed) return;
    end.isClosed = true;
    for (const [sessionId, { running, asked }] of this.#processOf(end).sessions) {
      if (running === undefined || asked !== undefined || dice.chance(0.5)) continue;
      log(`the server ends the turn of ${sessionId}, unseen`);
      this.#ends({ end, sessionId });
    }
  }

  #take(end: ServerEnd, frame: Frame, method: string, answer: Answer): void {
    if (end.isClosed) return;
    const sessionId = String(frame.params?.['sessionId']);
    const isLoaded = this.#processOf(end).sessions.has(sessionId);
    const needsLoad = !NEED_NO_LOAD.has(method);
    this.#options.log(`  ${method} ${sessionId}${needsLoad && !isLoaded ? ', which is not loaded' : ''}`);
    const prompt = String(frame.params?.['prompt']);
    if (method === 'session.send' && !this.#got.has(prompt)) this.#got.set(prompt, end);
    if (this.#isLastCall(method)) return;
    const { dice, clock } = this.#options;
    const slowMs = !needsLoad && dice.chance(0.2) ? 1 + dice.below(SLOW_MS) : 0;
    if (slowMs > 0) clock.setTimer(slowMs, () => this.#answer(end, frame, method, answer));
    else this.#answer(end, frame, method, answer);
  }

  #answer(end: ServerEnd, frame: Frame, method: string, answer: Answer): void {
    if (end.isClosed) return;
    const { params = {} } = frame;
    const sessionId = String(params['sessionId']);
    const process = this.#processOf(end);
    const needsLoad = !NEED_NO_LOAD.has(method);
    if (needsLoad && !process.sessions.has(sessionId)) return end.refuse(frame.id, `Session not found: ${sessionId}`);
    if (process.isStopping)
      return end.refuse(frame.id, needsLoad ? 'SERVER_SHUTTING_DOWN' : `Request ${method} failed with message: gone`);
    const session = process.sessions.get(sessionId) ?? this.#unloaded(sessionId);
    if (LOADS.has(method)) this.#load(process, sessionId, session);
    end.answer(frame.id, answer(session, { end, sessionId, params, process }));
  }

  /** Whether it dies before it has taken this call. It may also die right after. */
  #isLastCall(method: string): boolean {
    if (this.callsLeft === 0) return false;
    this.callsLeft -= 1;
    if (this.callsLeft > 0) return false;
    const isBefore = this.#options.dice.chance(0.5);
    this.#options.log(`the server dies ${isBefore ? 'before' : 'after'} ${method}`);
    if (isBefore) this.dies();
    else queueMicrotask(() => this.dies());
    return isBefore;
  }

  #processOf(end: ServerEnd): Process {
    const process = this.#processes.get(end) ?? { sessions: new Map<string, Loaded>(), isStopping: false };
    this.#processes.set(end, process);
    return process;
  }

  #load({ sessions }: Process, sessionId: string, session: Loaded): void {
    sessions.set(sessionId, session);
    this.most.sessions = Math.max(this.most.sessions, sessions.size);
  }

  /** As its journal has it: a permission that was not decided is waited for again. */
  #unloaded(sessionId: string): Loaded {
    const asked = this.disk.asked(sessionId);
    const running = asked === undefined ? undefined : 'what waits for a permission';
    return { running, asked, queue: [], turn: (this.#turns += 1) };
  }

  #metadata(sessionId: string): object {
    const at = this.disk.modifiedAt(sessionId);
    return at === undefined ? {} : { session: { modifiedTime: at.toISOString() } };
  }

  #send(session: Loaded, call: Call): object {
    const messageId = `m${(this.#messages += 1)}`;
    const content = String(call.params['prompt']);
    const isFirst = session.running === undefined && session.queue.length === 0;
    if (isFirst && call.end === this.#drained && this.#got.get(content) === call.end) this.begunInDrain.push(content);
    session.queue.push({ messageId, content });
    this.#options.log(`the server gets ${content} as ${messageId}`);
    queueMicrotask(() => this.#next(session, call));
    return { messageId };
  }

  #goOn(session: Loaded, call: Call): object {
    session.running = 'what was begun before';
    this.#work(session, call);
    return { messageIds: [] };
  }

  #abort(session: Loaded, call: Call): object {
    if (session.running !== undefined) {
      queueMicrotask(() => {
        if (call.end.isClosed || session.running === undefined) return;
        if (session.asked !== undefined) this.#tell(call, 'permission.completed', { requestId: session.asked });
        session.asked = undefined;
        this.#tell(call, 'abort', {});
        this.#tell(call, 'assistant.turn_end', {});
        session.running = undefined;
        this.#next(session, call);
      });
    }
    return { success: true };
  }

  #decide(session: Loaded, call: Call): object {
    const { requestId } = call.params;
    if (session.asked === undefined || session.asked !== requestId) return { success: false };
    session.asked = undefined;
    queueMicrotask(() => {
      if (call.end.isClosed) return;
      this.#tell(call, 'permission.completed', { requestId });
      this.#finishSoon(session, call);
    });
    return { success: true };
  }

  #next(session: Loaded, call: Call): void {
    if (call.end.isClosed || session.running !== undefined) return;
    const next = session.queue.shift();
    if (next === undefined) return this.#tell(call, 'session.idle', {});
    session.running = next.messageId;
    this.#tell(call, 'user.message', next);
    const running = [...call.process.sessions.values()].filter((each) => each.running !== undefined);
    this.most.turns = Math.max(this.most.turns, running.length);
    this.#work(session, call);
  }

  #work(session: Loaded, call: Call): void {
    const { dice } = this.#options;
    session.turn = this.#turns += 1;
    this.#tell(call, 'assistant.turn_start', {});
    const asks = dice.chance(this.asks);
    this.#later(session, call, 50 + dice.below(200), () => {
      if (!asks) return this.#finishSoon(session, call);
      session.asked = `r${session.turn}`;
      this.#tell(call, 'permission.requested', { requestId: session.asked });
    });
  }

  #finishSoon(session: Loaded, call: Call): void {
    this.#later(session, call, 30 + this.#options.dice.below(150), () => {
      this.#ends(call);
      session.running = undefined;
      this.#next(session, call);
    });
  }

  #ends(at: Pick<Call, 'end' | 'sessionId'>): void {
    this.#tell(at, 'assistant.message', { toolRequests: [] });
    this.#tell(at, 'assistant.turn_end', {});
  }

  /** Does it, unless the turn has ended by then. */
  #later(session: Loaded, { end, sessionId, process }: Call, ms: number, work: () => void): void {
    const { turn } = session;
    this.#options.clock.setTimer(ms, () => {
      const runs = session.turn === turn && session.running !== undefined;
      if (!end.isClosed && runs && process.sessions.get(sessionId) === session) work();
    });
  }

  #tell({ end, sessionId }: Pick<Call, 'end' | 'sessionId'>, type: string, data: object): void {
    const event = this.disk.event(type, data);
    this.#options.log(`${sessionId}: ${type} ${JSON.stringify(data)} ${event.id}`);
    if (event.ephemeral === undefined) this.disk.write(sessionId, event);
    if (end.isClosed) return;
    end.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { sessionId, event } }));
  }
}
