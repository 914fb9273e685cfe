// A thousand participants of one session at once, on both real servers: all of them are served or told, and they leave no memory behind.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { returnMemory } from '../../../src/kube/runtime/return-memory.ts';
import { bindingTokenFor } from '../../support/gateway.ts';
import { RawCalls, type RawAnswer } from '../../support/raw-calls.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const CLIENTS = 1_000;
/** As many as a CopilotSession can name. */
const USERS = Array.from({ length: 60 }, (_, n) => `user-${n}`);
/** Prompts that wait for the turn of another user of a session. */
const WAITING = 64;
const SESSION = 'ours';
const patiently = { withinMs: 120_000, everyMs: 50 };
const MB = 2 ** 20;

describe.each(['cli', 'runtime'] as const)('a thousand participants (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, {}, { isolation: 'SharedTrusted' });
    const settings = { turns: 'Queue' } as const;
    bench.gateway.ownership.record(SESSION, { owner: 'alice', participants: USERS, settings });
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** All at once. */
  async function attach(): Promise<RawCalls[]> {
    const { host, port } = bench.gateway;
    const { onPermissionRequest: _, ...config } = bench.config();
    return Promise.all(
      Array.from({ length: CLIENTS }, async (_each, n) => {
        const calls = await RawCalls.open({ host, port, token: bindingTokenFor(USERS[n % USERS.length] ?? '') });
        const { message } = await calls.call('session.resume', { ...config, sessionId: SESSION }, patiently.withinMs);
        expect(message).toMatchObject({ result: { sessionId: SESSION } });
        return calls;
      }),
    );
  }

  const heard = (calls: RawCalls, type: string) =>
    calls.unasked.filter(({ params }) => (params?.['event'] as { readonly type?: string } | undefined)?.type === type)
      .length;

  async function leave(people: readonly RawCalls[]): Promise<void> {
    for (const each of people) each[Symbol.dispose]();
    await waitFor('only alice is there', async () => (await bench.clients()) === 1, patiently);
    expect(bench.gateway.snapshot.sessions.map(({ clients }) => clients.length)).toEqual([1]);
  }

  function memory(): number {
    // The lines of the log are the test's.
    bench.gateway.log.splice(0);
    returnMemory();
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / MB;
  }

  it('attach at once, hear each event once, and have their prompts queued or refused', async () => {
    await bench.clientOf('alice', async (alice) => {
      const session = await alice.createSession(bench.config({ sessionId: SESSION }));
      await session.sendAndWait({ prompt: 'the first turn' });
      let people = await attach();
      expect((await session.sendAndWait({ prompt: 'for all' }))?.data.content).toContain('for all');
      await waitFor('all have heard it', () => people.every((each) => heard(each, 'session.idle') > 0), patiently);
      expect(people.filter((each) => heard(each, 'assistant.message') !== 1)).toHaveLength(0);

      const word = await bench.answer({ text: 'slow answer', delayMs: 6_000, chunks: 2 });
      const turn = session.sendAndWait({ prompt: word }, patiently.withinMs);
      await bench.asked(word);
      const answers = new Map<RawCalls, RawAnswer>();
      const prompts = people.map(async (each) => {
        answers.set(each, await each.call('session.send', { sessionId: SESSION, prompt: 'x' }, patiently.withinMs));
      });
      await waitFor('those for whom there is no room are told', () => answers.size === CLIENTS - WAITING, patiently);
      const errors = [...answers.values()].map(({ message: { error } }) => error?.message ?? 'none');
      expect(errors.filter((text) => !text.includes('too many prompts wait for a turn'))).toEqual([]);
      expect(await bench.gateway.metric('copilot_gateway_held_prompts')).toBe(WAITING);
      // Who waits takes it back, and the turn of alice goes on.
      const waiting = people.filter((each) => !answers.has(each));
      await Promise.all(waiting.map((each) => each.result('session.abort', { sessionId: SESSION })));
      await Promise.all(prompts);
      for (const each of waiting) expect(answers.get(each)?.message.error).toMatchObject({ code: -32054 });
      expect((await turn)?.data.content).toBe('slow answer');
      await leave(people);

      const before = memory();
      people = await attach();
      await leave(people);
      people = [];
      // 4 KB for each of them; what they declare has more.
      expect(memory() - before).toBeLessThan(4);
    });
  }, 300_000);
});
