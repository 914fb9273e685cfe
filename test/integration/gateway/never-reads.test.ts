// A client that never reads while its session streams 200 MB, from a server with a script: what is kept of it has a bound, and others are answered.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { encodeFrame } from '../../../src/copilot/index.ts';
import { DEFAULT_LIMITS } from '../../../src/gateway/relay/model.ts';
import { BINDING_TOKEN, GatewayInProcess } from '../../support/gateway.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import { RawClient } from '../../support/raw-client.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { waitFor } from '../../support/wait.ts';

const KIB = 1024;
const STREAM_BYTES = 200_000_000;
/** Of one event, and of one write of the server. */
const EVENT_BYTES = 64 * KIB;
/** What arrives at the gateway in one read is taken before its client is looked at: two writes of the server at most. */
const READ_BYTES = 2 * EVENT_BYTES + 4 * KIB;
const OTHERS = 5;
const HOST = '127.0.0.1';
const TOKEN = 'token of the server';

/** What a session streams, and by what it ends. Each event has an id of its own: one that came before is not sent to clients again. */
function* events(sessionId: string, type: string): Iterable<Buffer> {
  const timestamp = new Date().toISOString();
  const frame = (event: object) => {
    const params = { sessionId, event: { ...event, id: randomUUID(), timestamp, parentId: null } };
    return Buffer.from(encodeFrame(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params })));
  };
  const content = 'x'.repeat(EVENT_BYTES);
  const data = type.endsWith('_delta') ? { deltaContent: content } : { content };
  for (let sent = 0; sent < STREAM_BYTES; sent += EVENT_BYTES) yield frame({ type, data });
  yield frame({ type: 'session.idle', data: {}, ephemeral: true });
}

describe('a client that never reads', () => {
  let server: ScriptedServer;
  let gateway: GatewayInProcess;
  let stalled: RawClient;
  let others: RawCalls[];

  beforeEach(async () => {
    server = await ScriptedServer.listen({ host: HOST, port: 0, token: TOKEN, turn: events });
    gateway = await GatewayInProcess.start({ server: { host: HOST, port: server.address.port }, token: TOKEN });
    stalled = new RawClient(connect(gateway.port, gateway.host));
    const door = { host: gateway.host, port: gateway.port, token: BINDING_TOKEN };
    others = await Promise.all(Array.from({ length: OTHERS }, () => RawCalls.open(door)));
  });
  afterEach(async () => {
    stalled.stream.destroy();
    for (const other of others) other[Symbol.dispose]();
    await gateway[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** Its session streams events of this type. Resolves when the server has got rid of all, to what was seen meanwhile. */
  async function streamUnread(type: string): Promise<{ mostQueued: number; answered: number[] }> {
    stalled.connect(BINDING_TOKEN);
    await stalled.answer(1);
    const sessionId = randomUUID();
    stalled.send({ id: 2, method: 'session.create', params: { sessionId, streaming: true } });
    expect(await stalled.answer(2)).toMatchObject({ result: { sessionId } });
    stalled.send({ id: 3, method: 'session.send', params: { sessionId, prompt: type } });
    stalled.stream.pause();
    let mostQueued = 0;
    const isStreaming = () => server.streamed.bytes < STREAM_BYTES;
    const ask = async (other: RawCalls): Promise<number> => {
      let count = 0;
      // The last call of each begins behind the stream.
      for (let isLast = false; !isLast; count += 1) {
        isLast = !isStreaming();
        await other.result('status.get', {});
        const queued = gateway.snapshot.clients.map(({ queuedBytes }) => queuedBytes);
        mostQueued = Math.max(mostQueued, ...queued);
      }
      return count;
    };
    const answered = await Promise.all(others.map(ask));
    return { mostQueued, answered };
  }

  /** The server never waits for a client that does not read: it would keep what it cannot send. */
  function expectTaken(): void {
    expect(server.streamed.bytes).toBeGreaterThanOrEqual(STREAM_BYTES);
    expect(server.streamed.mostUnsent).toBeLessThanOrEqual(2 * EVENT_BYTES);
  }

  it('is closed, with the reason, when it has too much that it cannot do without', async () => {
    const { mostQueued, answered } = await streamUnread('assistant.message');
    expectTaken();
    expect(mostQueued).toBeGreaterThan(DEFAULT_LIMITS.softQueueBytes);
    expect(mostQueued).toBeLessThanOrEqual(DEFAULT_LIMITS.hardQueueBytes + READ_BYTES);
    expect(Math.min(...answered)).toBeGreaterThan(1);
    const gone = await waitFor('its end is in the log', () => gateway.log.find(({ msg }) => msg === 'client gone'));
    expect(gone).toMatchObject({ reason: 'QueueFull' });
    expect(String(gone['message'])).toMatch(/has \d+ bytes to read/);
    // The others are all that is left, and nothing waits for them.
    expect(gateway.snapshot.clients.map(({ queuedBytes }) => queuedBytes)).toEqual(others.map(() => 0));
  }, 120_000);

  it('stays, and misses pieces of messages: what it cannot do without is far less', async () => {
    const { mostQueued, answered } = await streamUnread('assistant.message_delta');
    expectTaken();
    expect(mostQueued).toBeLessThanOrEqual(DEFAULT_LIMITS.softQueueBytes + READ_BYTES);
    expect(Math.min(...answered)).toBeGreaterThan(1);
    expect(gateway.snapshot.clients).toHaveLength(OTHERS + 1);
    expect(await gateway.metric('copilot_gateway_dropped_events_total')).toBeGreaterThan(
      (STREAM_BYTES - 2 * DEFAULT_LIMITS.softQueueBytes) / EVENT_BYTES / 2,
    );
    stalled.stream.resume();
    const isIdle = () => JSON.stringify(stalled.received.at(-1)).includes('"session.idle"');
    await waitFor('it reads the end of its turn', isIdle);
  }, 120_000);
});
