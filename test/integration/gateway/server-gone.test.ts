// Servers that go away under their clients, both real ones, for longer than clients wait, or in the middle of what must not be done twice.
import { afterEach, describe, expect, it } from '@jest/globals';
import { Client } from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';

const done = { text: 'done' };
const slow = { text: 'never complete', delayMs: 20_000, chunks: 3 };
const LOST = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'Unknown' } };
const NOT_SENT = { code: -32050, data: { retryable: true, retryAfterMs: 250, outcome: 'NotSent' } };

/** What a call fails with; undefined: it does not. */
function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe.each(['cli', 'runtime'] as const)('a server that goes away (%s)', (binary) => {
  let bench: RelayBench;

  afterEach(() => bench[Symbol.asyncDispose]());

  it('for too long ends the wait for its turn, and the next prompt finds the session as it was', async () => {
    bench = await RelayBench.start(binary, { failoverMs: 500 });
    const [cut, after] = [await bench.answer(slow), await bench.answer(toolCall('lookup', { q: 'abc' }), done)];
    await bench.client(async (client) => {
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const session = await client.createSession(bench.config({ tools, streaming: true }));
      // The prompt whose turn is given up may not have been on the disk, and its client is told to send it again.
      bench.mayLose(session.sessionId);
      await session.sendAndWait({ prompt: 'remember me' });
      const turn = session.sendAndWait({ prompt: cut });
      await bench.asked(cut);
      const held = bench.client(async (other) => {
        const same = await other.resumeSession(session.sessionId, bench.config());
        await bench.server.kill();
        return failureOf(same.send({ prompt: 'held' }));
      });
      await expect(turn).rejects.toThrow('send the prompt again');
      expect(await held).toMatchObject(NOT_SENT);
      await expect(session.send({ prompt: 'too early' })).rejects.toMatchObject(NOT_SENT);
      await bench.server.start();
      let deltas = 0;
      session.on('assistant.message_delta', () => void (deltas += 1));
      expect((await session.sendAndWait({ prompt: after }))?.data.content).toBe('done');
      expect(deltas).toBeGreaterThan(0);
    });
    expect(await bench.toolResults(after)).toContain('found abc');
    const [first] = await bench.model.requests(after);
    expect(first?.roles?.filter((role) => role === 'user').length).toBeGreaterThanOrEqual(2);
  }, 120_000);

  it('answers what must not be done twice with an error that says so', async () => {
    bench = await RelayBench.start(binary);
    await bench.client(async (client) => {
      const { sessionId } = await client.createSession(bench.config());
      await bench.server.freeze();
      const once = failureOf(request(client, 'session.shell.exec', { sessionId, command: 'true' }));
      const again = request(client, 'session.mode.get', { sessionId });
      expect((await client.ping('x')).message).toBe('pong: x');
      await bench.server.kill();
      expect(await once).toMatchObject(LOST);
      await bench.server.start();
      expect(await again).toBe('interactive');
    });
  }, 120_000);

  it('is found at its new address when its pod is another one', async () => {
    bench = await RelayBench.start(binary);
    await bench.client(async (client) => {
      await client.getStatus();
      const { fleet } = bench.gateway;
      const [server] = fleet.find({ namespace: 'team', name: 'acme' })?.servers ?? [];
      if (server === undefined) throw new Error('the tenant has no server');
      fleet.change({ servers: [] });
      const status = client.getStatus();
      fleet.change({ servers: [{ ...server, podUID: 'pod-2' }] });
      expect((await status).version).toBe('1.0.102');
    });
  }, 120_000);

  it('with a session that was unloaded behind the client, which does not notice', async () => {
    bench = await RelayBench.start(binary);
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const operator = new Client({
        host: bench.server.host,
        port: bench.server.port,
        token: bench.token,
        timers: systemClock,
      });
      await operator.open({ timeoutMs: 5000 });
      const unload = () => operator.request('sessions.close', { sessionId: session.sessionId }, { timeoutMs: 5000 });
      // Without a turn it is not even on the disk.
      await unload();
      expect((await session.sendAndWait({ prompt: 'one' }))?.data.content).toContain('one');
      await unload();
      const word = await bench.answer(done);
      await session.sendAndWait({ prompt: word });
      const [last] = await bench.model.requests(word);
      expect(last?.roles?.filter((role) => role === 'user')).toHaveLength(2);
      operator.close();
    });
  }, 120_000);
});
