// Whose turn it is, in the status of a session that several users work on, on a real API server.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** The session `alpha` of several users, of which its server says this. */
async function shared(world: SessionWorld): Promise<void> {
  await world.createTenant();
  await world.createClaim();
  world.source.answer(world.server(), sessionFacts('alpha', { lastActivityTime: world.clock.now() }));
  await world.createSession({ collaboration: { turns: 'Queue' } });
  await world.settle();
}

/** The gateway says that this user has the turn. */
async function says(world: SessionWorld, holder: string | undefined, epoch = 1, heldMs = 1000): Promise<void> {
  const turn = { namespace: world.namespace, name: 'acme', session: 'alpha', epoch, heldMs };
  world.locks.update(holder === undefined ? [] : [{ ...turn, holder }]);
  await world.settle();
}

const version = async (world: SessionWorld) => (await world.session()).metadata.resourceVersion;

it('is written on change and at most twice a minute, and removed when nobody has it', async () => {
  await using world = await SessionWorld.open(api.kubeconfig);
  await shared(world);
  await world.advance(60_000);
  await says(world, 'alice');
  expect((await world.status()).lock).toMatchObject({ holder: 'alice', epoch: 1 });
  const first = await version(world);
  await says(world, 'bob', 2);
  expect(await version(world)).toBe(first);
  await world.advance(35_000);
  expect((await world.status()).lock).toMatchObject({ holder: 'bob', epoch: 2 });
  const second = await version(world);
  await world.advance(60_000);
  await says(world, 'bob', 2, 91_000);
  expect(await version(world)).toBe(second);
  await says(world, undefined);
  expect(await world.status()).not.toHaveProperty('lock');
});

it.each(['x'.repeat(300), 'half \uD800', 'two\nlines', '\u{1F600}'.repeat(200), ' '])(
  'is written once, whatever the name of the user is (%j)',
  async (holder) => {
    await using world = await SessionWorld.open(api.kubeconfig);
    await shared(world);
    await world.advance(60_000);
    await says(world, holder);
    expect((await world.status()).lock?.epoch).toBe(1);
    const before = await version(world);
    await world.advance(10 * 60_000, 60_000);
    expect(await version(world)).toBe(before);
  },
);

it('stays for the next process until the gateway has said something else', async () => {
  await using world = await SessionWorld.open(api.kubeconfig);
  await shared(world);
  await world.advance(60_000);
  await says(world, 'alice');
  await using next = await SessionWorld.open(api.kubeconfig, world.namespace);
  next.source.answer(next.server(), sessionFacts('alpha', { lastActivityTime: world.clock.now() }));
  await next.settle();
  expect((await next.status()).lock).toMatchObject({ holder: 'alice' });
  await next.advance(60_000);
  await says(next, undefined);
  expect(await next.status()).not.toHaveProperty('lock');
});
