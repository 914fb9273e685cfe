// Servers, both real ones, that are killed again and again while clients of both SDKs chat without a pause: nothing is lost, nothing comes twice.
import {
  CopilotClient,
  RuntimeConnection,
  type CopilotSession,
  type SessionConfig,
  type SessionEvent,
} from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { RecordedFrames } from '../support/recorded-frames.ts';
import { problemsOf, type HistoryEvent, type Seen } from '../support/history.ts';
import { pythonWithSdk } from '../support/python-sdk.ts';
import { waitFor } from '../support/wait.ts';
import { RelayBench, clientTool, request, toolCall } from '../support/relay-bench.ts';

/** More of them by `make test-kills`. */
const KILLS = Number(process.env['RELAY_KILLS'] ?? 10);
const CLIENTS = Number(process.env['RELAY_CLIENTS'] ?? 4);
/** Characters of a prompt by which it is found. */
const WORD = 36;
/** The longest time between a start and the next kill, in ms, unless a start takes long, as on a machine that is busy: then loads do, too. */
const LONGEST_MS = 1500;

/** After so many kills the server is left alone until each client has had a turn: one of an MCP server that takes three seconds never ends before. */
const KILLS_IN_A_ROW = 10;
/** Until a prompt must have its answer, kills and all. As long as for Python (chatter.py). */
const PATIENCE_MS = 300_000;

const historyEvent = (event: SessionEvent): HistoryEvent => ({
  id: event.id,
  type: event.type,
  content: event.type === 'user.message' ? event.data.content : undefined,
});

/** Clients are not told of the end of a turn that goes on: its server has only stopped. */
const isTold = ({ type }: SessionEvent) => type !== 'session.error';

/** One in four has an MCP server that takes three seconds to start, and one in four speaks the other API of its model endpoint. */
function varied({ binding: { provider } }: RelayBench, index: number): Partial<SessionConfig> {
  if (index % 4 === 1 && provider) return { provider: { ...provider, wireApi: 'responses' } };
  if (index % 4 !== 2) return {};
  const args = [join(import.meta.dirname, 'slow-mcp.ts')];
  return { mcpServers: { slow: { type: 'local', command: process.execPath, args, tools: ['*'] } } };
}

/** A session of the Node SDK that chats until it is stopped. */
class Chatter {
  readonly seen: { prompts: string[]; failed: string[]; events: HistoryEvent[] } = {
    prompts: [],
    failed: [],
    events: [],
  };
  readonly #bench: RelayBench;
  readonly #client: CopilotClient;
  readonly #session: CopilotSession;

  constructor(bench: RelayBench, client: CopilotClient, session: CopilotSession) {
    this.#bench = bench;
    this.#client = client;
    this.#session = session;
    session.on((event) => void this.seen.events.push(historyEvent(event)));
  }

  get id(): string {
    return this.#session.sessionId;
  }

  /** Turns that have ended. */
  get turns(): number {
    return this.seen.prompts.length;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn += 1) {
      const prompt = await this.#prompt(turn);
      try {
        const answer = await this.#session.sendAndWait({ prompt }, PATIENCE_MS);
        this.seen.prompts.push(prompt);
        if (answer === undefined) this.seen.failed.push(prompt);
      } catch (error) {
        this.seen.failed.push(`${prompt}: ${String(error)}; ${await this.#activity()}`);
      }
    }
  }

  /** What the server does with it, in words. */
  async #activity(): Promise<string> {
    const method = 'session.metadata.activity';
    const found = await request(this.#client, method, { sessionId: this.id }).catch(String);
    return `at ${new Date().toISOString()} the server says of it ${JSON.stringify(found)}`;
  }

  /** One that streams for a while, one that calls a tool of the client, one that is answered at once. */
  async #prompt(turn: number): Promise<string> {
    // A server that is killed asks once more.
    const slow = { text: 'one two three four', delayMs: 100, chunks: 4 };
    if (turn % 3 === 0) return this.#bench.answer(slow, slow, slow);
    if (turn % 3 === 1) return this.#bench.answer(toolCall('lookup', { q: 'x' }), { text: 'done' });
    return randomUUID();
  }
}

describe.each(['cli', 'runtime'] as const)('a server that is killed again and again (%s)', (binary) => {
  let bench: RelayBench;
  const frames = new RecordedFrames();

  beforeAll(async () => {
    bench = await RelayBench.start(binary, {}, { dial: frames.dial });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  it(
    `keeps each turn of its clients, also if that is done ${KILLS} times`,
    async () => {
      const { host, port, token, provider } = bench.binding;
      const model = provider?.baseUrl.replace(/\/v1$/, '') ?? '';
      const program = join(import.meta.dirname, 'chatter.py');
      await using stack = new AsyncDisposableStack();
      const python = spawn(await pythonWithSdk(), [program, `${host}:${port}`, token, model, `${CLIENTS}`], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      stack.defer(() => void python.kill());
      const printed = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
      const clients = await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          const client = new CopilotClient({
            connection: RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token }),
          });
          await client.start();
          return client;
        }),
      );
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const chatters = await Promise.all(
        clients.map(
          async (client, index) =>
            new Chatter(
              bench,
              client,
              await client.createSession(bench.config({ tools, streaming: true, ...varied(bench, index) })),
            ),
        ),
      );
      // A call that is lost again and again is told so; a session must be there before its server is killed.
      expect(await printed.next()).toEqual({ done: false, value: 'ready' });
      const stop = new AbortController();
      const running = chatters.map((chatter) => chatter.run(stop.signal));
      let startMs = 0;
      for (let kill = 0; kill < KILLS; kill += 1) {
        if (kill % KILLS_IN_A_ROW === 0) {
          const before = chatters.map(({ turns }) => turns);
          const late = (): Chatter[] => chatters.filter(({ turns }, index) => turns === before[index]);
          await waitFor('each client has had a turn', () => late().length === 0, { withinMs: PATIENCE_MS }).catch(
            (error) => {
              const told = late().map(({ id, seen }) => `${seen.failed.join()}\n${frames.of(id, seen.prompts.at(-1))}`);
              throw new Error(`${String(error)}\n${told.join('\n')}`);
            },
          );
        }
        // A session that is lost ten times while it is loaded, one time after the other, is given up.
        await setTimeout(Math.random() * Math.max(LONGEST_MS, 3 * startMs));
        const signal = kill % 4 === 3 ? 'SIGTERM' : 'SIGKILL';
        frames.mark(`${signal} is sent to the server`);
        await bench.server.kill(signal);
        const begun = performance.now();
        await bench.server.start();
        startMs = performance.now() - begun;
      }
      stop.abort();
      python.stdin.end();
      await Promise.all(running);
      const ofPython = JSON.parse(String((await printed.next()).value)) as (Seen & { readonly id: string })[];
      await Promise.all(clients.map((client) => client.stop()));

      const all = [...chatters.map(({ id, seen }) => ({ id, ...seen })), ...ofPython];
      const problems: string[] = [];
      await bench.client(async (client) => {
        for (const { id, ...seen } of all) {
          const session = await client.resumeSession(id, bench.config());
          const found = problemsOf((await session.getEvents()).filter(isTold).map(historyEvent), seen);
          if (found.length > 0) problems.push(`${found.join('\n')}\n${frames.of(id, seen.failed[0]?.slice(0, WORD))}`);
        }
      });
      expect(problems).toEqual([]);
      const failures = bench.gateway.log.filter(({ msg }) => msg === 'a session could not be loaded');
      const told = failures.map(({ error, session }) => `${String(error)}\n${frames.of(String(session))}`);
      expect(told).toEqual([]);
      expect(chatters.every(({ seen }) => seen.prompts.length > 0)).toBe(true);
    },
    2 * PATIENCE_MS + KILLS * 15_000,
  );
});
