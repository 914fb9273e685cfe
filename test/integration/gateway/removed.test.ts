// A CopilotSession that is deleted through a server, as the operator does it, under clients that are attached to it, on both real servers.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, closeSession, deleteSession, getActivity } from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { RelayBench, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const slow = { text: 'never complete', delayMs: 20_000, chunks: 3 };
const patiently = { withinMs: 30_000, everyMs: 20 };
const CALL = { timeoutMs: 10_000 };

describe.each(['cli', 'runtime'] as const)('a session that the operator removes (%s)', (binary) => {
  let bench: RelayBench;
  let operator: Client;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
    const { host, port } = bench.server;
    operator = new Client({ host, port, token: bench.token, timers: systemClock });
    await operator.open(CALL);
  }, 120_000);
  afterAll(async () => {
    operator.close();
    await bench[Symbol.asyncDispose]();
  });

  /** As the controller of CopilotSessions: a turn is ended first. */
  async function remove(sessionId: string): Promise<void> {
    if ((await getActivity(operator, sessionId, CALL)) === 'Active') await closeSession(operator, sessionId, CALL);
    expect(await deleteSession(operator, sessionId, CALL)).toBe('Deleted');
  }

  const nothingLeft = () =>
    waitFor('nothing of it is kept', () => bench.gateway.snapshot.sessions.length === 0, patiently);

  it.each(['in a turn', 'with a permission open'] as const)(
    '%s: its client is told, nothing is kept of it, and the id can be used again',
    async (when) => {
      await bench.client(async (client) => {
        const sessionId = crypto.randomUUID();
        const { promise: asked, resolve } = Promise.withResolvers<void>();
        const onPermissionRequest = () => {
          resolve();
          return new Promise<never>(() => undefined);
        };
        const deleted: string[] = [];
        client.onLifecycle(({ type, sessionId: id }) => void (type === 'session.deleted' && deleted.push(id)));
        const session = await client.createSession(bench.config({ sessionId, onPermissionRequest }));
        await session.sendAndWait({ prompt: 'before' });
        const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
        const word = await bench.answer(when === 'in a turn' ? slow : bash);
        const turn = session.sendAndWait({ prompt: word }, 60_000).then(
          (answer) => answer?.data.content,
          (error: Error) => error.message,
        );
        if (when === 'in a turn') await bench.asked(word);
        if (when === 'with a permission open') await asked;
        await remove(sessionId);
        // Else the SDK would wait until its own deadline.
        if (turn !== undefined)
          expect(await turn).toMatch(/^The session was (deleted|closed) in the middle of the turn/);
        await waitFor('the client is told', () => deleted.includes(sessionId), patiently);
        await nothingLeft();
        await expect(session.send({ prompt: 'too late' })).rejects.toThrow('Session not found');
        const again = await client.createSession(bench.config({ sessionId }));
        expect((await again.sendAndWait({ prompt: 'anew' }))?.data.content).toContain('anew');
        const prompts = (await again.getEvents()).flatMap((event) =>
          event.type === 'user.message' ? [event.data.content] : [],
        );
        expect(prompts).toEqual(['anew']);
        await remove(sessionId);
        await nothingLeft();
      });
    },
    120_000,
  );
});
