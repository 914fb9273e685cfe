// A client that stops reading while its session streams, on both real servers: it is spared or cut, and others do not notice.
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  FrameDecoder,
  encodeFrame,
  formatRequest,
  isObject,
  parseMessage,
  scanEvent,
} from '../../../src/copilot/index.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const KIB = 1024;

/** A client that reads when the test says so. */
class RawClient {
  readonly socket: Socket;
  readonly types: string[] = [];
  #lastId = 0;
  readonly #waiting = new Map<number, (result: unknown) => void>();

  constructor(at: { readonly host: string; readonly port: number }) {
    this.socket = connect(at.port, at.host);
    this.socket.on('error', () => undefined);
    const decoder = new FrameDecoder((body) => this.#take(body), { maxBodyBytes: 64 * KIB * KIB });
    this.socket.on('data', (chunk: Buffer) => decoder.push(chunk));
  }

  call(method: string, params: object): Promise<unknown> {
    this.#lastId += 1;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, resolve);
    this.socket.write(encodeFrame(formatRequest(this.#lastId, method, params)));
    return promise;
  }

  #take(body: Buffer): void {
    const event = scanEvent(body);
    if (event !== undefined) return void this.types.push(event.type);
    const message = parseMessage(body);
    if (message.kind === 'answer') this.#waiting.get(Number(message.id))?.(message.result);
  }
}

describe.each(['cli', 'runtime'] as const)('a client that does not read (%s)', (binary) => {
  let bench: RelayBench;
  let raw: RawClient;

  afterEach(async () => {
    raw.socket.destroy();
    await bench[Symbol.asyncDispose]();
  });

  /** A client sends a prompt of which the answer streams some 10 MB, and stops reading. Resolves with the id of its session. */
  async function stopReading(): Promise<string> {
    raw = new RawClient(bench.gateway);
    await raw.call('connect', { token: bench.binding.token });
    const { provider } = bench.binding;
    const made = await raw.call('session.create', { model: 'test-model', provider, streaming: true });
    const sessionId = isObject(made) ? String(made['sessionId']) : '';
    const word = await bench.answer({ text: 'x'.repeat(4_000_000), chunks: 4000 });
    await raw.call('session.send', { sessionId, prompt: word });
    raw.socket.pause();
    return sessionId;
  }

  it('misses pieces of messages, and nothing else', async () => {
    bench = await RelayBench.start(binary, { softQueueBytes: 256 * KIB });
    const sessionId = await stopReading();
    await bench.client(async (client) => {
      const { promise: idle, resolve: onIdle } = Promise.withResolvers<void>();
      const onEvent = ({ type }: { type: string }) => void (type === 'session.idle' && onIdle());
      await client.resumeSession(sessionId, { ...bench.config(), onEvent });
      // Who reads is not kept from the end of the turn by who doesn't.
      await idle;
    });
    raw.socket.resume();
    await waitFor('it reads the end of its turn', () => raw.types.includes('session.idle'), { withinMs: 30_000 });
    expect(raw.types).toContain('assistant.message');
    expect(raw.types.filter((type) => type === 'assistant.message_delta').length).toBeLessThan(4000);
    expect(await bench.cut()).toBe(0);
    expect(await bench.gateway.metric('copilot_gateway_dropped_events_total')).toBeGreaterThan(0);
  }, 120_000);

  it('is cut when it has too much to read', async () => {
    bench = await RelayBench.start(binary, { softQueueBytes: 64 * KIB * KIB, hardQueueBytes: 512 * KIB });
    await stopReading();
    await waitFor('it is cut', async () => (await bench.clients()) === 0, { withinMs: 60_000 });
    expect(await bench.cut()).toBe(1);
    expect(await bench.gateway.metric('copilot_gateway_dropped_events_total')).toBe(0);
    raw.socket.resume();
    if (!raw.socket.closed) await once(raw.socket, 'close');
  }, 120_000);
});

describe('clients that do not read, and together have more than is kept', () => {
  it('are closed, while one that reads gets all that its session streams', async () => {
    const MIB = KIB * KIB;
    await using bench = await RelayBench.start('runtime', {}, { maxUnreadBytes: 8 * MIB });
    await bench.client(async (client) => {
      const session = await client.createSession({ ...bench.config(), streaming: true });
      await session.sendAndWait({ prompt: await bench.answer({ text: 'x'.repeat(MIB) }) }, 60_000);
      const deltas: string[] = [];
      session.on('assistant.message_delta', ({ data }) => deltas.push(data.deltaContent));
      const idle = Array.from({ length: 3 }, () => new RawClient(bench.gateway));
      for (const raw of idle) {
        await raw.call('connect', { token: bench.binding.token });
        raw.socket.pause();
        // Each answer has the megabyte: in all far more than is kept, and less than one client may have.
        for (let n = 0; n < 30; n += 1) void raw.call('session.getMessages', { sessionId: session.sessionId });
      }
      const text = 'and so on '.repeat(2_000);
      const answer = await session.sendAndWait({ prompt: await bench.answer({ text, chunks: 400 }) }, 60_000);
      expect([answer?.data.content, deltas.join('')]).toEqual([text, text]);
      await waitFor('they are closed', async () => (await bench.clients()) === 1, { withinMs: 60_000 });
      expect(await bench.cut('UnreadLimit')).toBe(3);
      for (const raw of idle) raw.socket.destroy();
    });
  }, 180_000);
});
