/** An application that chats without a pause, and connects again when its connection is closed, as applications of the SDK have to. */
import {
  approveAll,
  CopilotClient,
  type CopilotSession,
  RuntimeConnection,
  type SessionConfig,
} from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Binding } from './chat.ts';
import { waitFor } from './wait.ts';

const TURN_MS = 120_000;
const RECONNECT_MS = 60_000;
/** After so many turns an application begins another session: each turn sends all before it to the model, and no test is about that. */
const TURNS = 50;
/** How many of the longest prompts are told. */
const SLOWEST = 3;
/** How many events an error tells that came before it. */
const KEPT_EVENTS = 30;

/** A prompt, and what was waited for until its answer. */
export interface Slow {
  readonly tookMs: number;
  readonly endedAt: string;
  readonly steps: readonly string[];
}

export class SteadyClient {
  /** How many prompts were answered. */
  answered = 0;
  /** How long each took until its answer, in ms, with all waits for upgrades. */
  readonly tookMs: number[] = [];
  /** What the application was told in place of an answer, but for closed connections, and histories that are not what was said. */
  readonly errors: string[] = [];
  /** How often its connection was closed. */
  closed = 0;
  /** The prompts that took longest, with what was waited for and how long, longest first. */
  readonly slowest: Slow[] = [];
  /** The last events of all its sessions. */
  readonly #events: readonly string[];
  /** What is waited for, and since when, monotonic ms. */
  #steps: { readonly what: string; readonly since: number }[] = [];
  readonly #binding: Binding;
  readonly #config: SessionConfig;
  #client: CopilotClient;
  #session: CopilotSession;
  /** The prompts of this session, in order. */
  #asked: string[] = [];

  static async start(binding: Binding): Promise<SteadyClient> {
    const events: string[] = [];
    const config: SessionConfig = {
      onPermissionRequest: approveAll,
      streaming: true,
      model: binding.model ?? 'test-model',
      onEvent: ({ type, timestamp }) => {
        events.push(`${type} ${timestamp.slice('2026-01-01T'.length)}`);
        events.splice(0, events.length - KEPT_EVENTS);
      },
    };
    const client = await connect(binding);
    return new SteadyClient(binding, config, client, await client.createSession(config), events);
  }

  private constructor(
    binding: Binding,
    config: SessionConfig,
    client: CopilotClient,
    session: CopilotSession,
    events: readonly string[],
  ) {
    this.#binding = binding;
    this.#config = config;
    this.#client = client;
    this.#session = session;
    this.#events = events;
  }

  /** What it waits for, and for how long. */
  get doing(): string {
    return this.#told(performance.now()).at(-1) ?? 'nothing';
  }

  /** Asks one prompt after the other; `next` makes one, which its answer has to repeat. */
  async run(next: () => Promise<string>, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const prompt = await next();
      const since = performance.now();
      this.#steps = [];
      const answer = await this.#ask(prompt).catch((error: unknown) => `${this.doing}: ${String(error)}`);
      this.#took(performance.now() - since);
      if (answer?.includes(prompt) === true) this.answered += 1;
      else this.errors.push(`${prompt}: was answered with ${answer}; ${this.#course}`);
      this.#asked.push(prompt);
      if (this.#asked.length === TURNS || stop.aborted) await this.#checkHistory();
      if (this.#asked.length === TURNS) await this.#beginAnew();
    }
  }

  async stop(): Promise<void> {
    await this.#client.stop();
  }

  /** The prompts that the session has, in order. */
  async #journal(): Promise<string[]> {
    return (await this.#session.getEvents()).flatMap((event) =>
      event.type === 'user.message' ? [event.data.content] : [],
    );
  }

  async #checkHistory(): Promise<void> {
    this.#waitFor('the history of a session');
    const found = await this.#unlessClosed(() => this.#journal());
    const [has, should] = [found.join(), this.#asked.join()];
    if (has !== should) this.errors.push(`session ${this.#session.sessionId} has ${has}, and should have ${should}`);
  }

  async #beginAnew(): Promise<void> {
    this.#waitFor('another session');
    // Its own id, so that one that was made, and of which the answer was lost, is found.
    const config = { ...this.#config, sessionId: randomUUID() };
    this.#session = await this.#unlessClosed(() => this.#client.createSession(config));
    this.#asked = [];
  }

  #took(tookMs: number): void {
    this.tookMs.push(tookMs);
    const steps = this.#told(performance.now());
    this.slowest.push({ tookMs: Math.round(tookMs), endedAt: new Date().toISOString(), steps });
    this.slowest.sort((a, b) => b.tookMs - a.tookMs).splice(SLOWEST);
  }

  /** What came before an error, oldest first. */
  get #course(): string {
    const { sessionId } = this.#session;
    const steps = this.#told(performance.now()).join(', ');
    return `session ${sessionId} at ${new Date().toISOString()}: ${steps}; ${this.#events.join(', ')}`;
  }

  #waitFor(what: string): void {
    this.#steps.push({ what, since: performance.now() });
  }

  #told(now: number): string[] {
    return this.#steps.map(
      ({ what, since }, index) => `${what} (${Math.round((this.#steps[index + 1]?.since ?? now) - since)} ms)`,
    );
  }

  async #ask(prompt: string): Promise<string | undefined> {
    this.#waitFor(`the answer to ${prompt}`);
    let isSent = false;
    return this.#unlessClosed(async () => {
      const found = isSent ? await this.#whatBecameOf(prompt) : undefined;
      if (found !== undefined) return found;
      isSent = true;
      return (await this.#orClosed(this.#session.sendAndWait({ prompt }, TURN_MS)))?.data.content;
    });
  }

  /** Does something, and again after the connection was closed meanwhile. */
  async #unlessClosed<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isClosed(error)) throw error;
      }
      this.closed += 1;
      this.#waitFor('a connection');
      await this.#reconnect();
      this.#waitFor('what became of it');
    }
  }

  /** The SDK tells nobody who waits for the end of a turn that the connection is closed; its own state shows it. */
  async #orClosed<T>(call: Promise<T>): Promise<T> {
    const client = this.#client as unknown as { readonly state: string };
    const over = new AbortController();
    const closed = waitFor('the connection is closed', () => over.signal.aborted || client.state === 'disconnected', {
      withinMs: 2 * TURN_MS,
      everyMs: 250,
    });
    try {
      return await Promise.race([
        call,
        closed.then(() => {
          throw new Error('connection is closed');
        }),
      ]);
    } finally {
      over.abort();
      // Nobody waits for a call that has lost the race.
      call.catch(() => undefined);
    }
  }

  async #reconnect(): Promise<void> {
    await this.#client.forceStop();
    const attempt = async (): Promise<true | undefined> => {
      try {
        this.#client = await connect(this.#binding);
        this.#session = await this.#client.resumeSession(this.#session.sessionId, this.#config);
        return true;
      } catch (error) {
        if (isClosed(error)) return undefined;
        throw error;
      }
    };
    await waitFor('the gateway takes the client again', attempt, { withinMs: RECONNECT_MS, everyMs: 250 });
  }

  /**
   * The answer to a prompt that was sent before the connection was closed; undefined: it has not arrived. Nobody says so where its
   * acknowledgement did not come, but the session does. First its turn ends: the SDK takes that for the end of whatever it sends meanwhile.
   */
  async #whatBecameOf(prompt: string): Promise<string | undefined> {
    const endsAt = performance.now() + TURN_MS;
    while (performance.now() < endsAt) {
      const { hasActiveWork } = await this.#session.rpc.metadata.activity();
      const events = await this.#session.getEvents();
      const asked = events.findLastIndex((event) => event.type === 'user.message' && event.data.content === prompt);
      const answer = events.slice(Math.max(0, asked)).find((event) => event.type === 'assistant.message');
      if (!hasActiveWork && asked < 0) return undefined;
      if (!hasActiveWork && answer?.type === 'assistant.message') return answer.data.content;
      await setTimeout(100);
    }
    throw new Error(`${prompt} stands in the history, and is not answered within ${TURN_MS} ms`);
  }
}

async function connect({ host, port, token }: Binding): Promise<CopilotClient> {
  const client = new CopilotClient({
    connection: RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token }),
  });
  await client.start();
  return client;
}

/** Whether the connection is closed, as SDK and Node.js say it. */
export function isClosed(error: unknown): boolean {
  return /connection (is|got|was) (closed|disposed)|ended by the other party|ECONNREFUSED|ECONNRESET|EPIPE|not connected/i.test(
    String(error),
  );
}
