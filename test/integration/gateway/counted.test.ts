// What the gateway counts and shows of real sessions: a real server, the real SDK, and two clients of one session.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

/** What nobody may find in a metric or a list. */
const SECRET = 'a word that only the prompt has';

describe.each(['cli', 'runtime'] as const)('turns of two clients (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const count = (name: string, labels = {}): Promise<number> => bench.gateway.metric(`copilot_gateway_${name}`, labels);

  it('are counted, with the prompt that had to wait, and are seen in the list of sessions', async () => {
    const [slow, quick] = [
      await bench.answer({ text: 'a', delayMs: 1_000, chunks: 3 }),
      await bench.answer({ text: 'b' }),
    ];
    await bench.client((one) =>
      bench.client(async (other) => {
        const a = await one.createSession(bench.config());
        const b = await other.resumeSession(a.sessionId, bench.config());
        const answers = [a.sendAndWait({ prompt: `${slow} ${SECRET}` })];
        await bench.asked(slow);
        answers.push(b.sendAndWait({ prompt: quick }));
        await waitFor('the second prompt waits', () => bench.gateway.snapshot.sessions[0]?.heldPrompts === 1);
        const { clients, sessions } = bench.gateway.snapshot;
        expect(sessions).toMatchObject([{ id: a.sessionId, server: 'team/acme-0', state: 'Running' }]);
        expect(sessions[0]?.clients).toEqual(clients.map(({ id }) => id));
        expect(clients).toMatchObject([
          { state: 'Relaying', sessions: 1, calls: 0, identity: { credential: 'Binding' } },
          { state: 'Relaying', sessions: 1, calls: 1, identity: { credential: 'Binding' } },
        ]);
        expect(JSON.stringify([clients, sessions])).not.toContain(SECRET);
        await Promise.all(answers);
        expect(await count('turns_total', { result: 'Finished' })).toBe(2);
        expect(await count('held_prompts_total')).toBe(await count('held_prompts_total', { result: 'Sent' }));
        expect(await count('held_prompts_total')).toBe(1);
        const [session] = bench.gateway.snapshot.sessions;
        expect(session).toMatchObject({ state: 'Idle', heldPrompts: 0, openQuestions: 0 });
        expect(session?.eventBytes).toBeGreaterThan(1_000);
        expect(await count('server_received_bytes_total')).toBeGreaterThan(session?.eventBytes ?? Infinity);
        expect(await count('servers', { state: 'Connected' })).toBe(1);
        expect(await count('server_dials_total', { result: 'Connected' })).toBe(1);
      }),
    );
    await waitFor('the clients are gone', () => bench.gateway.snapshot.clients.length === 0);
  }, 120_000);
});
