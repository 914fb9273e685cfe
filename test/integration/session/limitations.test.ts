// Sessions on a server that answers and lacks a method: the session controller over a real API server.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { CopilotSession } from '../../../src/resources/session.ts';

jest.setTimeout(120_000);

const SECOND = 1000;
const lacking = (method: string) => [{ method, code: -32_601 }];

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** The message of the session's condition Ready. */
async function message(world: SessionWorld): Promise<string> {
  const { conditions } = await world.status();
  return conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
}

it('a session whose server can not list its sessions says so, and its deletion too', async () => {
  await using world = await SessionWorld.open(api.kubeconfig);
  await world.createTenant();
  await world.createClaim();
  world.source.limited.set(world.server(), lacking('sessions.list'));
  await world.createSession();
  await world.advance(90 * SECOND);
  expect(await world.condition('Ready')).toBe('False TenantUnavailable');
  const words = "Server acme-0 answers, but can't list its sessions: its version lacks the method sessions.list.";
  expect(await message(world)).toContain(words);
  await world.delete(CopilotSession, 'alpha');
  await world.advance(30 * SECOND);
  const { conditions } = await world.status();
  expect(conditions?.find(({ type }) => type === 'Reconciling')?.message).toContain(words);
  expect(world.source.called('delete')).toEqual([]);
});

it('a session with an owner, whose server can not report the stored one, says so, is not deleted, and recovers', async () => {
  await using world = await SessionWorld.open(api.kubeconfig);
  await world.createTenant();
  await world.createSession({ owner: 'ann' });
  const facts = sessionFacts('alpha', { labels: undefined, lastActivityTime: world.clock.now() });
  world.source.limited.set(world.server(), lacking('sessions.getClientMetadata'));
  world.source.answer(world.server(), facts);
  await world.advance(90 * SECOND);
  expect(await world.condition('Ready')).toBe('False TenantUnavailable');
  expect(await message(world)).toContain(
    "Server acme-0 answers, but can't report the owner that is stored with the session's data: its version lacks the method sessions.getClientMetadata.",
  );
  world.source.limited.clear();
  world.source.answer(world.server(), { ...facts, labels: {} });
  await world.advance(30 * SECOND);
  expect(await world.condition('Ready')).toBe('True SessionIdle');
});
