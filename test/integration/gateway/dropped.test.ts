// A client that is lost in the middle of a turn, on both real servers: the turn goes on, and who comes next is asked.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CopilotClient, RuntimeConnection, type CopilotSession, type SessionConfig } from '@github/copilot-sdk';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
const ask = toolCall('ask_user', { question: 'ok?', allow_freeform: true });
const done = { text: 'done' };
const never = () => new Promise<never>(() => undefined);

describe.each(['cli', 'runtime'] as const)('a lost client (%s)', (binary) => {
  let bench: RelayBench;
  let hasty: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
    hasty = await RelayBench.start(binary, { detachAfterMs: 200 });
    // What nobody can answer is denied almost at once.
    hasty.gateway.fleet.change({ limits: { permissionTimeoutMs: 200 } });
  }, 120_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await hasty[Symbol.asyncDispose]();
  });

  /** Sends a prompt, is lost when `until` says so, and returns the id of the session. */
  async function lost(
    at: RelayBench,
    changes: Partial<SessionConfig>,
    prompt: string,
    until: (session: CopilotSession) => Promise<unknown>,
  ): Promise<string> {
    const { host, port, token } = at.binding;
    const connection = RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token });
    const client = new CopilotClient({ connection });
    try {
      await client.start();
      const session = await client.createSession(at.config(changes));
      await session.send({ prompt });
      await until(session);
      return session.sessionId;
    } finally {
      await client.forceStop();
      await waitFor('the gateway has noticed', async () => (await at.clients()) === 0, { withinMs: 30_000 });
    }
  }

  /** Resolves when a handler is called, and never lets it answer. */
  function hanging(): { readonly called: Promise<void>; readonly handler: () => Promise<never> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    return {
      called: promise,
      handler: () => {
        resolve();
        return never();
      },
    };
  }

  /** Another client resumes the session and waits for the end of its turn. */
  async function resume(id: string, changes: Partial<SessionConfig>): Promise<void> {
    await bench.client(async (client) => {
      const { promise: idle, resolve: onIdle } = Promise.withResolvers<void>();
      const onEvent = ({ type }: { type: string }) => void (type === 'session.idle' && onIdle());
      await client.resumeSession(id, { ...bench.config(changes), onEvent });
      await idle;
    });
  }

  it('does not end its turn, whose answer the next one sees', async () => {
    const word = await bench.answer({ text: 'slow answer', delayMs: 400, chunks: 4 });
    const id = await lost(bench, {}, word, () => bench.asked(word));
    await bench.client(async (client) => {
      const seen: string[] = [];
      const session = await client.resumeSession(id, bench.config());
      session.on('assistant.message', ({ data }) => void seen.push(data.content));
      await waitFor('the answer comes', () => seen.includes('slow answer'));
    });
    expect((await bench.model.requests(word)).map(({ outcome }) => outcome)).toEqual(['completed']);
  }, 120_000);

  it('leaves a permission to the next one', async () => {
    const word = await bench.answer(bash, done);
    const { called, handler } = hanging();
    const id = await lost(bench, { onPermissionRequest: handler }, word, () => called);
    await resume(id, {});
    expect(await bench.toolResults(word)).toContain('hi42');
  }, 120_000);

  it('leaves a call of its tool to the next one that has the tool', async () => {
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), done);
    const { called, handler } = hanging();
    const id = await lost(bench, { tools: [clientTool('lookup', handler)] }, word, () => called);
    await resume(id, { tools: [clientTool('lookup', (q) => `found ${q}`)] });
    expect(await bench.toolResults(word)).toContain('found abc');
  }, 120_000);

  it('leaves a question to the user to the next one', async () => {
    const word = await bench.answer(ask, done);
    const { called, handler } = hanging();
    const id = await lost(bench, { onUserInputRequest: handler }, word, () => called);
    await resume(id, { onUserInputRequest: async () => ({ answer: 'late yes', wasFreeform: true }) });
    expect(await bench.toolResults(word)).toContain('late yes');
  }, 120_000);

  it('leaves a decision on a tool to the hook of the next one', async () => {
    const word = await bench.answer(bash, done);
    const { called, handler } = hanging();
    const id = await lost(bench, { hooks: { onPreToolUse: handler } }, word, () => called);
    const deny = async () => ({
      permissionDecision: 'deny' as const,
      permissionDecisionReason: 'the next one says no',
    });
    await resume(id, { hooks: { onPreToolUse: deny } });
    expect(await bench.toolResults(word)).toContain('the next one says no');
  }, 120_000);

  it('after which nobody comes: its hook denies', async () => {
    const word = await hasty.answer(bash, done);
    const { called, handler } = hanging();
    await lost(hasty, { hooks: { onPreToolUse: handler } }, word, () => called);
    await hasty.asked(word, 2);
    expect(await hasty.toolResults(word)).toContain('No client was there');
  }, 120_000);

  it('after which nobody comes: its permission is denied, its tool fails, and then the session is unloaded', async () => {
    const word = await hasty.answer(bash, toolCall('lookup', { q: 'abc' }), done);
    const { called, handler } = hanging();
    const id = await lost(
      hasty,
      { onPermissionRequest: handler, tools: [clientTool('lookup', never)] },
      word,
      () => called,
    );
    await hasty.asked(word, 3);
    const results = await hasty.toolResults(word);
    expect(results).not.toContain('hi42');
    expect(results).toContain('No client was there');
    await hasty.client(async (client) => {
      await waitFor('the session is unloaded', () =>
        request(client, 'session.metadata.activity', { sessionId: id }).then(
          () => false,
          (error: Error) => error.message.includes('Session not found'),
        ),
      );
    });
  }, 120_000);
});
