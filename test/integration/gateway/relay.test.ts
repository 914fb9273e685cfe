// The relay between the real Node SDK and both real servers: one client, from its first session to its last.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineTool } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { RelayBench } from '../../support/relay-bench.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';

const socketsBefore = openSockets();

describe.each(['cli', 'runtime'] as const)('a client of the relay (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 90_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });

  it('creates a session, streams an answer, leaves, resumes and deletes it', async () => {
    await bench.client(async (client) => {
      expect((await client.ping('x')).message).toBe('pong: x');
      expect((await client.getStatus()).version).toBe('1.0.102');
      const session = await client.createSession(bench.config({ streaming: true }));
      const deltas: string[] = [];
      session.on('assistant.message_delta', (event) => void deltas.push(event.data.deltaContent));
      const answer = await session.sendAndWait({ prompt: 'hello' });
      expect(answer?.data.content).toContain('You said: hello');
      expect(deltas.join('')).toBe(answer?.data.content);
      await session.disconnect();
      const resumed = await client.resumeSession(session.sessionId, bench.config());
      expect((await resumed.sendAndWait({ prompt: 'again' }))?.data.content).toContain('again');
      const asked = (await resumed.getEvents()).filter(({ type }) => type === 'user.message');
      expect(asked).toHaveLength(2);
      expect((await client.listSessions()).map(({ sessionId }) => sessionId)).toContain(session.sessionId);
      await resumed.disconnect();
      await client.deleteSession(session.sessionId);
      expect((await client.listSessions()).map(({ sessionId }) => sessionId)).not.toContain(session.sessionId);
    });
  }, 60_000);

  it('runs its own tools and answers permissions', async () => {
    const word = randomUUID();
    await bench.model.say({
      match: word,
      steps: [
        { toolCall: { name: 'lookup', arguments: { q: 'abc' } } },
        { toolCall: { name: 'bash', arguments: { command: 'echo hi42', description: 'say hi' } } },
        { text: 'done' },
      ],
    });
    const asked: string[] = [];
    const lookup = defineTool('lookup', {
      description: 'looks up',
      parameters: { type: 'object', properties: { q: { type: 'string' } } },
      handler: async ({ q }: { q: string }) => `result for ${q}`,
    });
    await bench.client(async (client) => {
      const session = await client.createSession(
        bench.config({
          tools: [lookup],
          onPermissionRequest: async ({ kind }) => {
            asked.push(kind);
            return { kind: 'approve-once' };
          },
        }),
      );
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      const events = JSON.stringify(await session.getEvents());
      expect(events).toContain('result for abc');
      expect(events).toContain('hi42');
      expect(asked).toContain('shell');
    });
  }, 60_000);
});
