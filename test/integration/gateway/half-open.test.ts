// A path to a server that is lost without a word, in the middle of a turn, on both real servers: nothing ends the connection but the gateway.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { freePort } from '../../support/copilot-server.ts';
import { problemsOf } from '../../support/history.ts';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { TcpGate } from '../../support/tcp-gate.ts';
import { TENANT } from '../../support/static-fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched, historyEvent } from '../../support/watched.ts';

const patiently = { withinMs: 60_000, everyMs: 50 };
const slow = { text: 'one two three four', delayMs: 400 };
/** Ms of silence after which the gateway asks. */
const SILENT_MS = 250;

describe.each(['cli', 'runtime'] as const)('a path to a server that is lost without a word (%s)', (binary) => {
  let bench: RelayBench;
  let path: TcpGate;

  beforeEach(async () => {
    bench = await RelayBench.start(binary, { silentMs: SILENT_MS, dialTimeoutMs: 1000 });
    const { host } = bench.server;
    const port = await freePort();
    path = await TcpGate.start({ host, port }, bench.server);
    const [server] = bench.gateway.fleet.find(TENANT)?.servers ?? [];
    if (server === undefined) throw new Error('the tenant has no server');
    bench.gateway.fleet.change({ servers: [{ ...server, port }] });
  }, 120_000);
  afterEach(async () => {
    path.stop();
    await bench[Symbol.asyncDispose]();
  });

  const lost = () => bench.gateway.metric('copilot_gateway_server_disconnects_total', { reason: 'Timeout' });
  const found = () => waitFor('the gateway finds it out', async () => (await lost()) === 1, patiently);

  it('is found out, and the turn is answered once, although the server still has the connection of before', async () => {
    await bench.client(async (client) => {
      let hooks = 0;
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const onPreToolUse = async () => void (hooks += 1);
      const config = bench.config({ streaming: true, tools, hooks: { onPreToolUse } });
      const watched = new Watched(await client.createSession(config));
      const call = toolCall('lookup', { q: 'abc' });
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      path.stall();
      await found();
      expect(await turn).toBe(slow.text);
      // A hook that the connection of before had declared would be asked in vain, and its tool would clash.
      const next = await bench.answer(call, { text: 'done' });
      expect(await watched.say(next)).toBe('done');
      expect(await bench.toolResults(next)).toContain('found abc');
      expect(hooks).toBe(1);
      expect(problemsOf((await watched.session.getEvents()).map(historyEvent), watched.seen)).toEqual([]);
    });
    expect(await lost()).toBe(1);
  }, 180_000);

  it('is found out while nothing can be dialled, and the turn waits until that can', async () => {
    await bench.client(async (client) => {
      const watched = new Watched(await client.createSession(bench.config({ streaming: true })));
      const word = await bench.answer(slow, slow);
      const turn = watched.say(word);
      await bench.asked(word);
      path.silence();
      await found();
      const timeouts = () => bench.gateway.metric('copilot_gateway_server_dials_total', { result: 'Timeout' });
      await waitFor('dials end by time', async () => (await timeouts()) > 0, patiently);
      path.mend();
      expect(await turn).toBe(slow.text);
      expect(problemsOf((await watched.session.getEvents()).map(historyEvent), watched.seen)).toEqual([]);
    });
  }, 180_000);

  it('with a permission open that is answered into the void: the answer counts', async () => {
    await bench.client(async (client) => {
      const word = await bench.answer(toolCall('bash', { command: 'echo hi42', description: 'x' }), { text: 'done' });
      const onPermissionRequest = async () => {
        path.stall();
        return { kind: 'approve-once' as const };
      };
      const watched = new Watched(await client.createSession(bench.config({ onPermissionRequest })));
      expect(await watched.say(word)).toBe('done');
      expect(await bench.toolResults(word)).toContain('hi42');
      expect(problemsOf((await watched.session.getEvents()).map(historyEvent), watched.seen)).toEqual([]);
    });
    expect(await lost()).toBe(1);
  }, 180_000);

  it('is not taken for lost because the server stands still for a while', async () => {
    await bench[Symbol.asyncDispose]();
    bench = await RelayBench.start(binary, { silentMs: 2000 });
    const sent = () => bench.gateway.metric('copilot_gateway_server_sent_frames_total');
    await bench.client(async (client) => {
      const watched = new Watched(await client.createSession(bench.config({ streaming: true })));
      const word = await bench.answer(slow);
      const turn = watched.say(word);
      await bench.asked(word);
      await bench.server.freeze();
      const before = await sent();
      await waitFor('it is asked whether it is there', async () => (await sent()) > before, patiently);
      bench.server.thaw();
      expect(await turn).toBe(slow.text);
    });
    expect(await lost()).toBe(0);
    expect(await bench.gateway.metric('copilot_gateway_server_dials_total')).toBe(1);
  }, 120_000);
});
