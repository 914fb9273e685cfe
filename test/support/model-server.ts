/**
 * A small model of a server: sessions in the memory of a process, turns that ask for permissions, and journals that outlive it. It plays the
 * servers of a `RelayWorld`, or of all replicas of a `RoutedWorld`.
 */
import { ModelDisk } from './model-disk.ts';
import { ModelTurns, type Call, type Loaded, type ModelTurnsOptions, type Process } from './model-turns.ts';
import type { Frame, RelayWorld, ServerEnd } from './relay-world.ts';

/** What a server that stops goes on for until it is gone, in ms: less than the gateway waits for that. */
const STOPS_MS = 1500;

/** Some loads and closes take up to so long, in ms. */
const SLOW_MS = 80;

type Answer = (session: Loaded, call: Call) => object;

/** Calls that load a session, and those about a session that need not be in memory. */
const LOADS = new Set(['session.create', 'session.resume']);
const NEED_NO_LOAD = new Set([...LOADS, 'sessions.close', 'sessions.getMetadata']);

export interface ModelServerOptions extends ModelTurnsOptions {
  /** The connection that there is now. */
  readonly current: () => ServerEnd | undefined;
}

export class ModelServer {
  readonly #options: ModelServerOptions;
  readonly #processes = new Map<ServerEnd, Process>();
  readonly #calls: Readonly<Record<string, Answer>>;
  readonly disk: ModelDisk;
  readonly turns: ModelTurns;
  /** It dies with the call that makes this 0; 0: it does not. */
  callsLeft = 0;
  /** Prompts that began a turn while it was drained, but for those that a server before it had got. */
  readonly begunInDrain: string[] = [];
  /** The most sessions that it had in memory. */
  mostSessions = 0;
  /** Prompts, by where they came first. */
  readonly #got = new Map<string, ServerEnd>();
  /** It is drained: no turn may begin there. What comes next is not. */
  #drained: ServerEnd | undefined;
  #messages = 0;

  constructor(options: ModelServerOptions) {
    this.#options = options;
    this.disk = new ModelDisk(options.clock);
    this.turns = new ModelTurns(this.disk, options);
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
      'session.permissions.handlePendingPermissionRequest': (session, call) => this.turns.decide(session, call),
      'session.send': (session, call) => this.#send(session, call),
      'session.sendMessages': (session, call) => this.turns.goOn(session, call),
      'session.abort': (session, call) => this.turns.abort(session, call),
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
      this.turns.tell({ end, sessionId }, 'session.error', { message: 'something is gone' });
      session.running = undefined;
      session.turn = 0;
      this.turns.tell({ end, sessionId }, 'session.idle', {});
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
      this.turns.ends({ end, sessionId });
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
    this.mostSessions = Math.max(this.mostSessions, sessions.size);
  }

  /** As its journal has it: a permission that was not decided is waited for again. */
  #unloaded(sessionId: string): Loaded {
    const asked = this.disk.asked(sessionId);
    const running = asked === undefined ? undefined : 'what waits for a permission';
    return { running, asked, queue: [], turn: this.turns.newTurn() };
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
    queueMicrotask(() => this.turns.next(session, call));
    return { messageId };
  }
}
