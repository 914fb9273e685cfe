// The preview of the next Node SDK through the gateway, unmodified, with both real servers, which are older than it.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type * as Sdk from '@github/copilot-sdk';
import { pathToFileURL } from 'node:url';
import { previewSdk } from '../../support/preview-sdk.ts';
import { RelayBench, WAYS, toolCall } from '../../support/relay-bench.ts';

describe.each(WAYS)('the preview of the Node SDK (%s, %s)', (binary, way) => {
  let bench: RelayBench;
  let sdk: typeof Sdk;

  beforeAll(async () => {
    bench = await RelayBench.startBy(way, binary);
    sdk = (await import(pathToFileURL(await previewSdk()).href)) as typeof Sdk;
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** Runs `use` with a client of the preview, which is to stop without an error. */
  async function withPreview(use: (client: Sdk.CopilotClient) => Promise<void>): Promise<void> {
    const { host, port, token } = bench.binding;
    const connection = sdk.RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token });
    const client = new sdk.CopilotClient({ connection });
    await client.start();
    await use(client);
    expect(await client.stop()).toEqual([]);
  }

  it('chats, is asked, runs its tools, finds its session again and deletes it', async () => {
    const question = toolCall('ask_user', { question: 'ok?', allow_freeform: true });
    const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
    const word = await bench.answer(toolCall('lookup', { q: 'abc' }), question, bash, { text: 'done' });
    const hooked: string[] = [];
    const config = bench.config({
      streaming: true,
      tools: [
        sdk.defineTool('lookup', {
          description: 'd',
          parameters: { type: 'object', properties: { q: { type: 'string' } } },
          handler: async ({ q }: { q: string }) => `found ${q}`,
        }),
      ],
      onUserInputRequest: async ({ question: asked }) => ({ answer: `answer to ${asked}`, wasFreeform: true }),
      hooks: { onPreToolUse: async ({ toolName }) => void hooked.push(toolName) },
    });
    await withPreview(async (client) => {
      expect((await client.getStatus()).protocolVersion).toBeGreaterThan(0);
      const session = await client.createSession(config);
      const id = session.sessionId;
      let deltas = 0;
      session.on('assistant.message_delta', () => void (deltas += 1));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      expect(deltas).toBeGreaterThan(0);
      await session.setModel('other-model');
      const next = await bench.answer({ text: 'next' });
      expect((await session.sendAndWait({ prompt: next }))?.data.content).toBe('next');
      expect((await bench.model.requests(next))[0]?.model).toBe('other-model');
      await session.disconnect();
      const again = await client.resumeSession(id, config);
      expect((await again.sendAndWait({ prompt: await bench.answer({ text: 'after' }) }))?.data.content).toBe('after');
      expect((await client.listSessions()).map(({ sessionId }) => sessionId)).toContain(id);
      await again.disconnect();
      await client.deleteSession(id);
      expect((await client.listSessions()).map(({ sessionId }) => sessionId)).not.toContain(id);
    });
    const results = await bench.toolResults(word);
    for (const part of ['found abc', 'answer to ok?', 'hi42']) expect(results).toContain(part);
    expect(hooked).toEqual(['lookup', 'ask_user', 'bash']);
  }, 120_000);
});
