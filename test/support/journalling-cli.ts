// A server that appends to the journals of a shared volume, as the CLI does, without a look at what others append.
import { FrameDecoder, encodeFrame, formatAnswer, formatError } from '../../src/copilot/index.ts';
import type { Line, LineEvents } from '../../src/guard/line.ts';
import type { Turns } from './turns.ts';

/** One event of a journal. */
export interface Entry {
  readonly id: string;
  /** What the server that wrote it took for the last one. */
  readonly parent: string | undefined;
  readonly server: string;
  readonly epoch: number;
  readonly prompt: string;
}

interface Loaded {
  /** What it takes for the last event. */
  last: string | undefined;
  readonly owners: Set<object>;
  /** Events that are not on the disk yet. */
  writes: Promise<void>;
}

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

/**
 * A server with sessions of a shared volume, as the CLI is: it looks at a journal when it loads it, and at no other time; it loads and closes
 * a session one after the other; what the last connection has left is unloaded.
 */
export class JournallingCLI {
  readonly #turns: Turns;
  readonly #journals: Map<string, Entry[]>;
  readonly name: string;
  readonly loaded = new Map<string, Loaded>();
  readonly #gone = new WeakSet<object>();
  /** The last of the loads and closes of a session. */
  readonly #orders = new Map<string, Promise<void>>();
  isDead = false;
  #events = 0;

  constructor(turns: Turns, journals: Map<string, Entry[]>, name: string) {
    this.#turns = turns;
    this.#journals = journals;
    this.name = name;
  }

  accept(end: (events: LineEvents) => Line): void {
    const owner = {};
    const decoder = new FrameDecoder((body) => {
      if (!this.isDead) void this.#handle(JSON.parse(body.toString()) as Call, owner, line);
    });
    const line = end({
      connected: () => undefined,
      data: (chunk) => decoder.push(chunk),
      drained: () => undefined,
      ended: () => line.destroy(),
      closed: () => this.#left(owner),
    });
  }

  async #handle({ id, method, params }: Call, owner: object, line: Line): Promise<void> {
    const answer = (body: string): unknown => line.write(Buffer.from(encodeFrame(body)));
    const session = String(params['sessionId']);
    await this.#turns.take(this.name);
    if (method === 'session.resume') await this.#inOrder(session, () => this.#resume(session, owner));
    else if (method === 'sessions.close') await this.#inOrder(session, () => this.#close(session));
    else {
      const found = this.loaded.get(session);
      if (found === undefined) return void answer(formatError(id, -32_603, 'Session not found'));
      found.writes = found.writes.then(() => this.#append(session, found, params));
      await found.writes;
    }
    answer(formatAnswer(id, {}));
  }

  #inOrder(session: string, run: () => Promise<void>): Promise<void> {
    const done = (this.#orders.get(session) ?? Promise.resolve()).then(run);
    this.#orders.set(session, done);
    return done;
  }

  async #resume(session: string, owner: object): Promise<void> {
    if (this.#gone.has(owner)) return;
    const found = this.loaded.get(session);
    if (found === undefined) {
      await this.#turns.take(this.name);
      const last = this.#journals.get(session)?.at(-1)?.id;
      this.loaded.set(session, { last, owners: new Set([owner]), writes: Promise.resolve() });
    } else found.owners.add(owner);
    await this.#turns.take(this.name);
    if (this.#gone.has(owner)) this.#left(owner);
  }

  async #close(session: string): Promise<void> {
    const found = this.loaded.get(session);
    this.loaded.delete(session);
    await found?.writes;
    await this.#turns.take(this.name);
  }

  async #append(session: string, found: Loaded, params: Record<string, unknown>): Promise<void> {
    await this.#turns.take(this.name);
    // Nothing of a dead process goes on.
    if (this.isDead) return new Promise(() => undefined);
    this.#events += 1;
    const id = `${this.name}:${this.#events}`;
    const { epoch, prompt } = params;
    const entry = { id, parent: found.last, server: this.name, epoch: Number(epoch), prompt: String(prompt) };
    found.last = id;
    this.#journals.set(session, [...(this.#journals.get(session) ?? []), entry]);
  }

  #left(owner: object): void {
    this.#gone.add(owner);
    for (const [session, { owners }] of this.loaded)
      if (owners.delete(owner) && owners.size === 0) void this.#inOrder(session, () => this.#close(session));
  }
}
