// A tenant that limits how many sessions are in the memory of its server: both real servers, with real SDKs.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CopilotClient, CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { RelayBench, clientTool, request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const patiently = { withinMs: 30_000, everyMs: 50 };

describe.each(['cli', 'runtime'] as const)('a server with two places for sessions (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, { recentlyUsedMs: 0, placeWaitMs: 1500, detachAfterMs: 200 });
    bench.gateway.fleet.change({ limits: { maxConcurrent: 2 } });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const make = (client: CopilotClient, changes: Partial<SessionConfig> = {}) =>
    client.createSession(bench.config(changes));
  const stateOf = (sessionId: string) => bench.gateway.snapshot.sessions.find(({ id }) => id === sessionId)?.state;
  const evictions = () => bench.gateway.metric('copilot_gateway_evicted_sessions_total');

  /** Ids of those that the server itself has in memory: it locks their directories. */
  function loaded(...sessions: CopilotSession[]): string[] {
    const isLocked = (id: string) =>
      readdirSync(join(bench.server.sessionState, id)).some((name) => name.startsWith('inuse.'));
    return sessions.map(({ sessionId }) => sessionId).filter(isLocked);
  }

  async function chat(session: CopilotSession): Promise<unknown> {
    const word = await bench.answer({ text: 'an answer' });
    return (await session.sendAndWait({ prompt: word }))?.data.content;
  }

  it('unloads the one that was used least recently, whose next prompt has its tool and its history again', async () => {
    await bench.client(async (client) => {
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const told: string[] = [];
      const first = await make(client, { tools });
      first.on(({ type }) => void told.push(type));
      const remembered = await bench.answer({ text: 'noted' });
      await first.sendAndWait({ prompt: remembered });
      const second = await make(client);
      await chat(second);
      const before = await evictions();
      const third = await make(client);
      expect(await chat(third)).toBe('an answer');
      expect(await evictions()).toBe(before + 1);
      expect(loaded(first, second, third)).toEqual([second.sessionId, third.sessionId]);
      expect(stateOf(first.sessionId)).toBe('Unloaded');

      const word = await bench.answer(toolCall('lookup', { q: 'x' }), { text: 'done' });
      const answer = await first.sendAndWait({ prompt: word });
      expect(answer?.data.content).toBe('done');
      expect(await bench.toolResults(word)).toContain('found x');
      expect(JSON.stringify(await first.getEvents())).toContain(remembered);
      expect(loaded(first, second, third)).toEqual([first.sessionId, third.sessionId]);
      expect(told).not.toContain('session.shutdown');
      expect(told).not.toContain('session.error');
    });
  }, 120_000);

  it('has its rules again, by which a client is not asked', async () => {
    await bench.client(async (client) => {
      const asked: string[] = [];
      const session = await make(client, {
        onPermissionRequest: ({ kind }) => {
          asked.push(kind);
          return { kind: 'approve-once' };
        },
      });
      await chat(session);
      const rules = { sessionId: session.sessionId, scope: 'session', add: [{ kind: 'shell', argument: 'touch:*' }] };
      await request(client, 'session.permissions.modifyRules', rules);
      const touch = () =>
        bench.answer(toolCall('bash', { command: 'touch x', description: 'touches' }), { text: 'done' });
      await session.sendAndWait({ prompt: await touch() });
      expect(asked).toEqual([]);
      for (let others = 0; others < 2; others += 1) await chat(await make(client));
      await waitFor('it is unloaded', () => stateOf(session.sessionId) === 'Unloaded', patiently);
      await session.sendAndWait({ prompt: await touch() });
      // The rule approves it, so nobody is asked: without the rule the client would be.
      expect(asked).toEqual([]);
    });
  }, 120_000);

  it('never unloads one with a turn or a permission, and has a third one wait for either', async () => {
    await bench.client(async (client) => {
      const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
      const waiting = await make(client, {
        onPermissionRequest: async () => {
          await decided;
          return { kind: 'approve-once' };
        },
      });
      const slow = await make(client, { streaming: true });
      const shell = await bench.answer(toolCall('bash', { command: 'echo x', description: 'says x' }), {
        text: 'done',
      });
      const asked = waiting.sendAndWait({ prompt: shell });
      await waitFor('it is asked for the permission', () => stateOf(waiting.sessionId) === 'Waiting', patiently);
      const long = await bench.answer({ text: 'one two three four five six seven eight', delayMs: 500 });
      const streamed = slow.sendAndWait({ prompt: long });
      await bench.asked(long);

      // Its place is free only when the turn that streams has ended, which takes longer than it may wait.
      await expect(make(client)).rejects.toMatchObject({
        code: -32050,
        data: { retryable: true, retryAfterMs: expect.any(Number), rule: 'MaxConcurrent', limit: 2 },
      });
      expect((await streamed)?.data.content).toBe('one two three four five six seven eight');
      const third = await make(client);
      expect(await chat(third)).toBe('an answer');
      expect(stateOf(slow.sessionId)).toBe('Unloaded');
      decide();
      expect((await asked)?.data.content).toBe('done');
    });
  }, 120_000);

  it('has those back that were loaded when it is lost, and the others with their next prompt', async () => {
    await bench.client(async (client) => {
      const sessions = [];
      for (let index = 0; index < 3; index += 1) {
        const session = await make(client);
        await chat(session);
        sessions.push(session);
      }
      await bench.server.kill();
      await bench.server.start();
      for (const session of sessions) expect(await chat(session)).toBe('an answer');
      expect(loaded(...sessions)).toHaveLength(2);
    });
  }, 120_000);
});
