/** The turns of a model server: each begins with a prompt, may ask for a permission, and ends a moment later. */
import type { FakeClock } from './fake-clock.ts';
import type { ModelDisk } from './model-disk.ts';
import type { Dice } from './random.ts';
import type { ServerEnd } from './relay-world.ts';

/** A session in memory. */
export interface Loaded {
  /** What it works on; undefined: nothing. */
  running: string | undefined;
  /** The permission that this waits for. */
  asked: string | undefined;
  /** Of the turn: what an earlier one had planned does not happen. */
  turn: number;
  readonly queue: { readonly messageId: string; readonly content: string }[];
}

/** Of one connection. The gateway has a server close what a lost connection may have left. */
export interface Process {
  readonly sessions: Map<string, Loaded>;
  isStopping: boolean;
}

/** A call, and what it is about. */
export interface Call {
  readonly end: ServerEnd;
  readonly sessionId: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly process: Process;
}

export interface ModelTurnsOptions {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly log: (line: string) => void;
}

export class ModelTurns {
  /** Share of turns that ask for a permission. */
  asks = 0.3;
  /** The most that ran at once. */
  most = 0;
  readonly #options: ModelTurnsOptions;
  readonly #disk: ModelDisk;
  #turns = 0;

  constructor(disk: ModelDisk, options: ModelTurnsOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** A number that no other one has. */
  newTurn(): number {
    this.#turns += 1;
    return this.#turns;
  }

  /** It goes on with what a process before it had begun. */
  goOn(session: Loaded, call: Call): object {
    session.running = 'what was begun before';
    this.#work(session, call);
    return { messageIds: [] };
  }

  /** What it works on ends. */
  abort(session: Loaded, call: Call): object {
    if (session.running !== undefined) {
      queueMicrotask(() => {
        if (call.end.isClosed || session.running === undefined) return;
        if (session.asked !== undefined) this.tell(call, 'permission.completed', { requestId: session.asked });
        session.asked = undefined;
        this.tell(call, 'abort', {});
        this.tell(call, 'assistant.turn_end', {});
        session.running = undefined;
        this.next(session, call);
      });
    }
    return { success: true };
  }

  /** A client has answered the permission that it waits for. */
  decide(session: Loaded, call: Call): object {
    const { requestId } = call.params;
    if (session.asked === undefined || session.asked !== requestId) return { success: false };
    session.asked = undefined;
    queueMicrotask(() => {
      if (call.end.isClosed) return;
      this.tell(call, 'permission.completed', { requestId });
      this.#finishSoon(session, call);
    });
    return { success: true };
  }

  /** It begins with the next prompt, unless it works on one; without one it is idle. */
  next(session: Loaded, call: Call): void {
    if (call.end.isClosed || session.running !== undefined) return;
    const next = session.queue.shift();
    if (next === undefined) return this.tell(call, 'session.idle', {});
    session.running = next.messageId;
    this.tell(call, 'user.message', next);
    const running = [...call.process.sessions.values()].filter((each) => each.running !== undefined);
    this.most = Math.max(this.most, running.length);
    this.#work(session, call);
  }

  #work(session: Loaded, call: Call): void {
    session.turn = this.newTurn();
    this.tell(call, 'assistant.turn_start', {});
    const asks = this.#options.dice.chance(this.asks);
    this.#later(session, call, 50 + this.#options.dice.below(200), () => {
      if (!asks) return this.#finishSoon(session, call);
      session.asked = `r${session.turn}`;
      this.tell(call, 'permission.requested', { requestId: session.asked });
    });
  }

  #finishSoon(session: Loaded, call: Call): void {
    this.#later(session, call, 30 + this.#options.dice.below(150), () => {
      this.ends(call);
      session.running = undefined;
      this.next(session, call);
    });
  }

  /** It says that its turn ends. */
  ends(at: Pick<Call, 'end' | 'sessionId'>): void {
    this.tell(at, 'assistant.message', { toolRequests: [] });
    this.tell(at, 'assistant.turn_end', {});
  }

  /** Does it, unless the turn has ended by then. */
  #later(session: Loaded, { end, sessionId, process }: Call, ms: number, work: () => void): void {
    const { turn } = session;
    this.#options.clock.setTimer(ms, () => {
      const runs = session.turn === turn && session.running !== undefined;
      if (!end.isClosed && runs && process.sessions.get(sessionId) === session) work();
    });
  }

  /** Writes an event, unless that is ephemeral, and shows it to who is connected. */
  tell({ end, sessionId }: Pick<Call, 'end' | 'sessionId'>, type: string, data: object): void {
    const event = this.#disk.event(type, data);
    this.#options.log(`${sessionId}: ${type} ${JSON.stringify(data)} ${event.id}`);
    if (event.ephemeral === undefined) this.#disk.write(sessionId, event);
    if (end.isClosed) return;
    end.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params: { sessionId, event } }));
  }
}
