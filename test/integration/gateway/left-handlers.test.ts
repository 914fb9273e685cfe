// What a client had declared that has left a session, on both real servers: they go on to ask for some of it, and the others in the session work on.
import type { CopilotClient, CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { withClient } from '../../support/chat.ts';
import { RelayBench, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
const done = { text: 'done' };
const hooks = { onPreToolUse: async () => undefined };

describe.each(['cli', 'runtime'] as const)('a client that has left a session (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const metric = (name: string, labels: Record<string, string> = {}) =>
    bench.gateway.metric(`copilot_gateway_${name}_total`, labels);

  /** Runs `use` in a session that another client has left, which had declared this. */
  async function afterLeaving(
    declared: Partial<SessionConfig>,
    own: SessionConfig,
    use: (session: CopilotSession) => Promise<void>,
  ): Promise<void> {
    await bench.client(async (client) => {
      const session = await client.createSession(own);
      await bench.client(async (other) => {
        const leaving = await other.resumeSession(session.sessionId, bench.config(declared));
        await leaving.disconnect();
      });
      await use(session);
    });
  }

  it('leaves no hooks: the tools of the others run', async () => {
    const before = await metric('passed_hooks');
    await afterLeaving({ hooks }, bench.config(), async (session) => {
      const word = await bench.answer(bash, done);
      await session.sendAndWait({ prompt: word });
      expect(await bench.toolResults(word)).toContain('hi42');
    });
    // Or else the server asks no more, and this says nothing of the gateway.
    expect(await metric('passed_hooks')).toBeGreaterThan(before);
  }, 120_000);

  it('leaves none by attaching once more without: its tools run', async () => {
    await bench.client(async (client) => {
      const { sessionId } = await client.createSession(bench.config({ hooks }));
      const session = await client.resumeSession(sessionId, bench.config());
      const word = await bench.answer(bash, done);
      await session.sendAndWait({ prompt: word });
      expect(await bench.toolResults(word)).toContain('hi42');
    });
  }, 120_000);

  it('in the middle of a turn: its hooks deny until the end of that, and not in the next one', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const cut = await bench.answer(bash, bash, done);
      let isIdle = false;
      session.on('session.idle', () => void (isIdle = true));
      await loseInHook(session, cut);
      await waitFor('the turn ends', () => isIdle, { withinMs: 60_000 });
      const results = await bench.toolResults(cut);
      expect(results).not.toContain('hi42');
      expect(results.split('Denied by preToolUse hook').length).toBeGreaterThan(2);
      const next = await bench.answer(bash, done);
      await session.sendAndWait({ prompt: next });
      expect(await bench.toolResults(next)).toContain('hi42');
    });
  }, 120_000);

  /** Another client with a hook is lost when it is asked about the first tool. */
  async function loseInHook(session: CopilotSession, prompt: string): Promise<void> {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    const hanging = () => {
      resolve();
      return new Promise<never>(() => undefined);
    };
    await withClient(bench.binding, async (other: CopilotClient) => {
      await other.resumeSession(session.sessionId, bench.config({ hooks: { onPreToolUse: hanging } }));
      await session.send({ prompt });
      await asked;
      await other.forceStop();
    });
  }

  it('leaves no permissions that nobody gives: they are rejected at once', async () => {
    const { onPermissionRequest: _, ...config } = bench.config();
    const rejected = () => metric('unattended', { asked: 'permission.requested' });
    const before = await rejected();
    // Without a handler a session that is made asks nobody; one that is resumed does.
    await afterLeaving({}, config, async (session) => {
      const word = await bench.answer(bash, done);
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      expect(await bench.toolResults(word)).not.toContain('hi42');
    });
    expect(await rejected()).toBeGreaterThan(before);
  }, 120_000);

  it('leaves a system message that nobody transforms: turns go on', async () => {
    const sections = { identity: { action: async (text: string) => `${text} MARKED` } };
    await afterLeaving({ systemMessage: { mode: 'customize', sections } }, bench.config(), async (session) => {
      const word = await bench.answer(done);
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
    });
  }, 120_000);

  it('leaves a provider of which nobody has the token: the turn fails at once', async () => {
    const { apiKey: _, ...provider } = bench.binding.provider ?? { baseUrl: '' };
    const declared = { provider: { ...provider, bearerTokenProvider: async () => 'fresh' } };
    const { provider: __, ...own } = bench.config();
    await afterLeaving(declared, own, async (session) => {
      const prompt = await bench.answer(done);
      await expect(session.sendAndWait({ prompt })).rejects.toThrow('no client was there to answer in time');
    });
  }, 120_000);
});
