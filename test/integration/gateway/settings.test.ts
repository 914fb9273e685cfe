// What a CopilotSession sets of its session takes effect on both real servers: the model endpoint and the server itself say so.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CopilotClient, CopilotSession, SessionConfig } from '@github/copilot-sdk';
import type { SessionSettings } from '../../../src/gateway/model.ts';
import { RelayBench, request } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

/** As the SDK takes them, so that a client can state them, too. */
const half = { enabled: true, backgroundCompactionThreshold: 0.5, bufferExhaustionThreshold: 0.7 };
const settings: SessionSettings = { model: 'of-the-resource', infiniteSessions: half };

describe.each(['cli', 'runtime'] as const)('a session of a CopilotSession (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, { detachAfterMs: 200 });
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** The id of a new session, and of its CopilotSession. */
  function reserved(of: SessionSettings = settings): string {
    const id = randomUUID();
    bench.gateway.ownership.record(id, { owner: undefined, participants: [], settings: of });
    return id;
  }

  const config = (changes: Partial<SessionConfig> = {}) => bench.config({ model: 'of-the-client', ...changes });

  /** Names of the models that a turn asks. */
  async function modelsOf(session: CopilotSession): Promise<unknown[]> {
    const word = randomUUID();
    await session.sendAndWait({ prompt: word });
    return (await bench.model.requests(word)).map(({ model }) => model);
  }

  /** At which share of the context the server begins to compact, and for how much it waits. */
  async function compaction(client: CopilotClient, sessionId: string): Promise<object> {
    const limits = { promptTokenLimit: 100_000, outputTokenLimit: 1000 };
    const { contextInfo } = (await request(client, 'session.metadata.contextInfo', { sessionId, ...limits })) as {
      contextInfo: { compactionThreshold: number; bufferTokens: number };
    };
    return { begins: contextInfo.compactionThreshold / 100_000, waits: 1 - contextInfo.bufferTokens / 100_000 };
  }
  const atHalf = { begins: 0.5, waits: 0.7 };

  const unloaded = (sessionId: string) =>
    waitFor('the session is unloaded', () => bench.gateway.snapshot.sessions.every(({ id }) => id !== sessionId));

  it('is made with its model and compaction, and has them again when it is resumed', async () => {
    const sessionId = reserved();
    const stated = { sessionId, infiniteSessions: { enabled: false } };
    await bench.client(async (client) => {
      const session = await client.createSession(config(stated));
      expect(await modelsOf(session)).toEqual(['of-the-resource']);
      expect(await compaction(client, sessionId)).toEqual(atHalf);
    });
    await unloaded(sessionId);
    await bench.client(async (client) => {
      const session = await client.resumeSession(sessionId, config(stated));
      expect(await modelsOf(session)).toEqual(['of-the-resource']);
      expect(await compaction(client, sessionId)).toEqual(atHalf);
    });
  }, 60_000);

  it('keeps both when its server was restarted, and the model to which its client switched', async () => {
    const sessionId = reserved();
    await bench.client(async (client) => {
      const session = await client.createSession(config({ sessionId }));
      expect(await modelsOf(session)).toEqual(['of-the-resource']);
      await session.setModel('switched');
      expect(await modelsOf(session)).toEqual(['switched']);
      await bench.server.kill();
      await bench.server.start();
      expect(await modelsOf(session)).toEqual(['switched']);
      expect(await compaction(client, sessionId)).toEqual(atHalf);
    });
  }, 60_000);

  it('keeps what it has when another client attaches', async () => {
    const sessionId = reserved();
    await bench.client(async (first) => {
      const session = await first.createSession(config({ sessionId }));
      await session.setModel('switched');
      await bench.client(async (second) => {
        await second.resumeSession(sessionId, config());
        expect(await modelsOf(session)).toEqual(['switched']);
        expect(await compaction(second, sessionId)).toEqual(atHalf);
      });
    });
  }, 60_000);

  it('has changed ones when a client loads it the next time', async () => {
    const sessionId = reserved({ infiniteSessions: half });
    await bench.client(async (client) => {
      expect(await modelsOf(await client.createSession(config({ sessionId })))).toEqual(['of-the-client']);
    });
    await unloaded(sessionId);
    const changed = { model: 'changed', infiniteSessions: { enabled: false } };
    bench.gateway.ownership.record(sessionId, { owner: undefined, participants: [], settings: changed });
    await bench.client(async (client) => {
      const session = await client.resumeSession(sessionId, config({ infiniteSessions: half }));
      expect(await modelsOf(session)).toEqual(['changed']);
      // Without infinite sessions a server tells no workspace.
      expect(session.workspacePath).toBeUndefined();
    });
  }, 60_000);

  it('that no CopilotSession holds is as its client states', async () => {
    await bench.client(async (client) => {
      const session = await client.createSession(config({ infiniteSessions: half }));
      expect(await modelsOf(session)).toEqual(['of-the-client']);
      expect(await compaction(client, session.sessionId)).toEqual(atHalf);
    });
  }, 60_000);
});
