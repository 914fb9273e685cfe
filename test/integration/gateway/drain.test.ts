// A server that is replaced as planned, both real ones: clients of the real SDK notice nothing but waiting.
import { afterEach, describe, expect, it } from '@jest/globals';
import type { StatedDrain } from '../../../src/gateway/model.ts';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const TENANT = { namespace: 'team', name: 'acme' };
const SERVER = 'team/acme-0';
const done = { text: 'done' };
/** An answer that takes two seconds. */
const slow = { text: 'one two three four', delayMs: 500 };

describe.each(['cli', 'runtime'] as const)('a server that is replaced as planned (%s)', (binary) => {
  let bench: RelayBench;

  afterEach(() => bench[Symbol.asyncDispose]());

  function drain(change: Partial<StatedDrain> = {}): void {
    const stated = { server: SERVER, epoch: 1, podUID: 'pod-1', timeoutMs: 60_000, comesBack: true, ...change };
    bench.gateway.fleet.change({ drains: [stated] });
  }

  const drained = () => waitFor('the server is drained', () => bench.gateway.drains()[0]?.isDrained);

  /** What operator and kubelet do once it is drained: another pod has the same volume. */
  async function replace(): Promise<void> {
    const { fleet } = bench.gateway;
    const [server] = fleet.find(TENANT)?.servers ?? [];
    if (server === undefined) throw new Error('the tenant has no server');
    await drained();
    fleet.change({ servers: [] });
    await bench.server.kill();
    await bench.server.start();
    fleet.change({ servers: [{ ...server, podUID: 'pod-2' }], drains: undefined });
  }

  it('ends its turn first, and the prompt that came meanwhile runs in the next pod with all that the session had', async () => {
    bench = await RelayBench.start(binary);
    const first = await bench.answer(slow);
    const second = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    await bench.client(async (client) => {
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const session = await client.createSession(bench.config({ tools, streaming: true }));
      const turn = session.sendAndWait({ prompt: first });
      await bench.asked(first);
      drain();
      const made = client.createSession(bench.config());
      expect((await turn)?.data.content).toBe('one two three four');
      const next = session.sendAndWait({ prompt: second });
      await replace();
      expect((await next)?.data.content).toBe('done');
      expect((await (await made).sendAndWait({ prompt: await bench.answer(done) }))?.data.content).toBe('done');
      const prompts = (await session.getEvents()).filter(({ type }) => type === 'user.message');
      expect(prompts).toHaveLength(2);
    });
    expect(await bench.toolResults(second)).toContain('found abc');
    const [request] = await bench.model.requests(second);
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
  }, 120_000);

  it('keeps the prompts of several clients in their order', async () => {
    bench = await RelayBench.start(binary);
    const first = await bench.answer(slow);
    await bench.client((one) =>
      bench.client(async (other) => {
        const a = await one.createSession(bench.config());
        const b = await other.resumeSession(a.sessionId, bench.config());
        const turn = a.sendAndWait({ prompt: first });
        await bench.asked(first);
        const words = [await bench.answer({ text: 'of b' }), await bench.answer({ text: 'of a' })];
        const held = b.sendAndWait({ prompt: words[0] ?? '' });
        drain();
        await turn;
        const later = a.sendAndWait({ prompt: words[1] ?? '' });
        await replace();
        expect((await held)?.data.content).toBe('of b');
        expect((await later)?.data.content).toBe('of a');
        const prompts = (await a.getEvents()).flatMap((event) =>
          event.type === 'user.message' ? [event.data.content] : [],
        );
        expect(prompts).toEqual([first, ...words]);
      }),
    );
  }, 120_000);

  it('does not wait for a permission, which is given in the next pod, and the turn goes on there', async () => {
    bench = await RelayBench.start(binary);
    const word = await bench.answer(toolCall('bash', { command: 'echo hello-from-bash', description: 'say it' }), done);
    const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>();
    const { promise: isDecided, resolve: decide } = Promise.withResolvers<void>();
    await bench.client(async (client) => {
      const onPermissionRequest = async () => {
        asked();
        await isDecided;
        return { kind: 'approve-once' } as const;
      };
      const session = await client.createSession(bench.config({ onPermissionRequest }));
      const turn = session.sendAndWait({ prompt: word });
      await isAsked;
      drain();
      await replace();
      decide();
      expect((await turn)?.data.content).toBe('done');
    });
    expect(await bench.toolResults(word)).toContain('hello-from-bash');
  }, 120_000);

  it('is left at the deadline, and what is cut there goes on in the next pod', async () => {
    bench = await RelayBench.start(binary);
    const cut = await bench.answer({ text: 'never complete', delayMs: 20_000 }, done);
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const turn = session.sendAndWait({ prompt: cut });
      await bench.asked(cut);
      drain({ timeoutMs: 1000 });
      await replace();
      expect((await turn)?.data.content).toBe('done');
      const prompts = (await session.getEvents()).filter(({ type }) => type === 'user.message');
      expect(prompts).toHaveLength(1);
    });
    expect(await bench.gateway.metric('copilot_gateway_drains_total', { result: 'DeadlinePassed' })).toBe(1);
  }, 120_000);
});
