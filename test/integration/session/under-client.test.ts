// A CopilotSession that is deleted while a client of the gateway works with its session: a real API server, the controller, and both real servers.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { StoredLabel } from '../../../src/session/decisions/labels.ts';
import { RelayBench, toolCall } from '../../support/relay-bench.ts';
import { serverTarget } from '../../support/servers.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(180_000);

const MINUTE = 60_000;
const patiently = { withinMs: 60_000, everyMs: 200 };
const slow = { text: 'never complete', delayMs: 60_000, chunks: 3 };
const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 180_000);
afterAll(() => api.stop());

it.each([
  ['cli', 'in a turn'],
  ['runtime', 'in a turn'],
  ['runtime', 'that waits for a permission'],
] as const)(
  'the controller removes the session of a %s under its client %s, which is told, and others go on',
  async (binary, when) => {
    await using bench = await RelayBench.start(binary);
    const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
    const survey = new Survey({
      servers,
      labelKeys: Object.values(StoredLabel),
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
    });
    await using world = await SessionWorld.open(api.kubeconfig, undefined, () => survey);
    /** Reconciles until it is so. */
    const until = (what: string, is: () => boolean | Promise<boolean>) =>
      waitFor(what, () => world.settle().then(is), patiently);
    try {
      const { host, port } = bench.server;
      servers.set(
        serverTarget({ key: world.server(), host, port, token: bench.token, startedAt: Date.now() - MINUTE }),
      );
      await world.createTenant();
      await world.createSession();
      await bench.client(async (client) => {
        const { promise: asked, resolve } = Promise.withResolvers<void>();
        const onPermissionRequest = () => {
          resolve();
          return new Promise<never>(() => undefined);
        };
        const other = await client.createSession(bench.config());
        await other.sendAndWait({ prompt: 'of the other' });
        const session = await client.createSession(bench.config({ sessionId: 'alpha', onPermissionRequest }));
        await session.sendAndWait({ prompt: 'before' });
        await until('its resource knows it', async () => (await world.status()).server === 'acme-0');
        const word = await bench.answer(when === 'in a turn' ? slow : bash);
        const turn = session.sendAndWait({ prompt: word }, 120_000).then(
          () => 'it was answered',
          (error: Error) => error.message,
        );
        if (when === 'in a turn') await bench.asked(word);
        else await asked;

        await world.delete(CopilotSession, 'alpha');
        await until('the resource is gone', async () => (await world.get(CopilotSession, 'alpha')) === undefined);
        expect(await turn).toMatch(/^The session was (deleted|closed) in the middle of the turn/);
        expect(bench.server.journalOf('alpha')).toBe('');
        await expect(session.send({ prompt: 'too late' })).rejects.toThrow('Session not found');
        expect((await other.sendAndWait({ prompt: 'goes on' }))?.data.content).toContain('goes on');
        const kept = () => bench.gateway.snapshot.sessions.map(({ id }) => id);
        await waitFor('nothing of it is kept', () => kept().join() === other.sessionId, patiently);
      });
    } finally {
      servers.close();
    }
  },
);
