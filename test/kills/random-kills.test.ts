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
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { problemsOf, type HistoryEvent, type Seen } from '../support/history.ts';
import { pythonWithSdk } from '../support/python-sdk.ts';
import { RelayBench, clientTool, toolCall } from '../support/relay-bench.ts';

/** More of them by `make test-kills`. */
const KILLS = Number(process.env['RELAY_KILLS'] ?? 10);
const CLIENTS = Number(process.env['RELAY_CLIENTS'] ?? 4);
/** The longest time between a start and the next kill, in ms. */
const LONGEST_MS = 1500;

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
  readonly #session: CopilotSession;

  constructor(bench: RelayBench, session: CopilotSession) {
    this.#bench = bench;
    this.#session = session;
    session.on((event) => void this.seen.events.push(historyEvent(event)));
  }

  get id(): string {
    return this.#session.sessionId;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn += 1) {
      const prompt = await this.#prompt(turn);
      try {
        const answer = await this.#session.sendAndWait({ prompt }, 120_000);
        this.seen.prompts.push(prompt);
        if (answer === undefined) this.seen.failed.push(prompt);
      } catch (error) {
        this.seen.failed.push(`${prompt}: ${String(error)}`);
      }
    }
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

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  it(
    `keeps each turn of its clients, also if that is done ${KILLS} times`,
    async () => {
      const { host, port, token, provider } = bench.binding;
      const model = provider?.baseUrl.replace(/\/v1$/, '') ?? '';
      const program = join(import.meta.dirname, 'chatter.py');
      const python = spawn(await pythonWithSdk(), [program, `${host}:${port}`, token, model, `${CLIENTS}`], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const printed = text(python.stdout);
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
              await client.createSession(bench.config({ tools, streaming: true, ...varied(bench, index) })),
            ),
        ),
      );
      const stop = new AbortController();
      const running = chatters.map((chatter) => chatter.run(stop.signal));
      for (let kill = 0; kill < KILLS; kill += 1) {
        await setTimeout(Math.random() * LONGEST_MS);
        await bench.server.kill(kill % 4 === 3 ? 'SIGTERM' : 'SIGKILL');
        await bench.server.start();
      }
      stop.abort();
      python.stdin.end();
      await Promise.all(running);
      const ofPython = JSON.parse(await printed) as (Seen & { readonly id: string })[];
      await Promise.all(clients.map((client) => client.stop()));

      const failures = bench.gateway.log.filter(({ msg }) => msg === 'a session could not be loaded');
      expect(failures.map(({ error }) => error)).toEqual([]);
      expect(chatters.every(({ seen }) => seen.prompts.length > 0)).toBe(true);
      const all = [...chatters.map(({ id, seen }) => ({ id, ...seen })), ...ofPython];
      await bench.client(async (client) => {
        for (const { id, ...seen } of all) {
          const session = await client.resumeSession(id, bench.config());
          expect(problemsOf((await session.getEvents()).filter(isTold).map(historyEvent), seen)).toEqual([]);
        }
      });
    },
    120_000 + KILLS * 15_000,
  );
});
