// Users whose names look alike, and one with as long a name as there may be, with the real Node SDK on both real servers.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RelayBench } from '../../support/relay-bench.ts';

const LONG = 'x'.repeat(256);
const USERS = ['alice', 'ALICE', 'alice-admin', LONG, `${'x'.repeat(255)}y`];

describe.each(['cli', 'runtime'] as const)('users whose names look alike (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, {}, { isolation: 'Shared' });
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const made = (user: string, sessionId: string) =>
    bench.clientOf(user, async (client) => {
      const session = await client.createSession(bench.config({ sessionId }));
      await session.sendAndWait({ prompt: `said in ${sessionId}` });
    });

  it('have sessions of their own each, whatever the ids of these begin with', async () => {
    // As the guide makes ids, by which `alice` would be let into what is of `alice-admin`.
    const ids = USERS.map((user, index) => `${user.slice(0, 20)}-chat-${index}`);
    for (const [index, user] of USERS.entries()) await made(user, ids[index] ?? '');
    for (const [index, user] of USERS.entries()) {
      await bench.clientOf(user, async (client) => {
        expect((await client.listSessions()).map(({ sessionId }) => sessionId)).toEqual([ids[index]]);
        for (const other of ids.filter((id) => id !== ids[index]))
          await expect(client.resumeSession(other, bench.config())).rejects.toThrow('Session not found');
      });
    }
  }, 180_000);

  it('take part, and have the turn, under the name that the CopilotSession has and no other', async () => {
    const { ownership } = bench.gateway;
    ownership.record('ours', { owner: 'alice', participants: [LONG], settings: { turns: 'Refuse' } });
    await made('alice', 'ours');
    for (const user of USERS.filter((each) => each !== 'alice' && each !== LONG)) {
      await bench.clientOf(user, async (client) => {
        await expect(client.resumeSession('ours', bench.config())).rejects.toThrow('Session not found');
      });
    }
    const word = await bench.answer({ text: 'slow answer', delayMs: 700, chunks: 2 });
    await bench.clientOf(LONG, async (long) => {
      const session = await long.resumeSession('ours', bench.config());
      await bench.clientOf('alice', async (alice) => {
        const hers = await alice.resumeSession('ours', bench.config());
        const turn = session.sendAndWait({ prompt: word });
        await bench.asked(word);
        await expect(hers.send({ prompt: 'now' })).rejects.toMatchObject({
          data: { rule: 'SessionInUse', holder: LONG },
        });
        expect((await turn)?.data.content).toBe('slow answer');
      });
    });
  }, 120_000);
});
