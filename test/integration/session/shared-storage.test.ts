// Sessions on a volume that several servers share, over a real API server: each is there once, and is ended by the server that has it.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { HeldElsewhereError } from '../../../src/servers/survey/sessions.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { SHARED_STORAGE } from '../../support/tenants.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** The session `alpha`, which both servers list. */
async function used(facts: Parameters<typeof sessionFacts>[1] = {}): Promise<SessionWorld & AsyncDisposable> {
  const world = await SessionWorld.open(api.kubeconfig);
  await world.createTenant({ ...SHARED_STORAGE, replicas: 2 });
  await world.observeTenant({ replicas: 2, volumeServer: 'acme-1' });
  await world.createClaim('shared');
  for (const index of [0, 1]) world.source.answer(world.server(index), sessionFacts('alpha', facts));
  await world.createSession();
  await world.settle();
  return world;
}

async function remove(world: SessionWorld): Promise<void> {
  await world.delete(CopilotSession, 'alpha');
  await world.settle();
}

/** The guard says that this server has the session. */
const heldBy = (server: string) => () =>
  Promise.reject(new HeldElsewhereError({ server, why: 'pod acme-0-x on node n does not answer' }, 'alpha'));

const isGone = async (world: SessionWorld) => (await world.get(CopilotSession, 'alpha')) === undefined;
const endings = (world: SessionWorld) => [...world.source.called('close'), ...world.source.called('delete')];

describe('a session on a volume that servers share', () => {
  it('is one session, though every server lists it', async () => {
    await using world = await used();
    expect(await world.condition('Stalled')).toBe('False NotStalled');
    expect(await world.status()).toMatchObject({ server: 'acme-1' });
  });

  it('is observed through another server when the one that had it does not answer, which is named all the same', async () => {
    await using world = await used();
    world.source.silence(world.server(1));
    world.source.answer(world.server(0), sessionFacts('alpha', { activity: 'Active' }));
    await world.settle();
    expect(await world.status()).toMatchObject({ phase: 'Active', server: 'acme-1' });
  });

  it('is said to be on the server that the gateway has it on, in one write for each move, while that answers or not', async () => {
    await using world = await used();
    const move = async (server: string) => {
      const place = { namespace: world.namespace, name: 'acme', server, sessions: ['alpha'] };
      world.places.update([place]);
      await world.settle();
    };
    await move('acme-0');
    expect(await world.status()).toMatchObject({ server: 'acme-0' });
    const version = async () => (await world.session()).metadata.resourceVersion;
    const first = await version();
    await move('acme-0');
    world.source.silence(world.server(0));
    await world.settle();
    await world.advance(60_000);
    expect(await world.status()).toMatchObject({ server: 'acme-0' });
    expect(await version()).toBe(first);
    await move('acme-1');
    expect(await world.status()).toMatchObject({ server: 'acme-1' });
    // It was unloaded, and is where it was last.
    world.places.update([]);
    await world.advance(60_000);
    expect(await world.status()).toMatchObject({ server: 'acme-1' });
  });

  it('has no server before its first turn, though one has it in memory', async () => {
    await using world = await used();
    await world.createSession({}, 'beta');
    world.places.update([{ namespace: world.namespace, name: 'acme', server: 'acme-0', sessions: ['beta'] }]);
    await world.settle();
    await world.advance(60_000);
    expect(await world.status('beta')).toMatchObject({ phase: 'Pending' });
    expect(await world.status('beta')).not.toHaveProperty('server');
  });

  it('is deleted once, and what that leaves is swept from the volume of all', async () => {
    await using world = await used();
    await remove(world);
    expect(await isGone(world)).toBe(true);
    expect(endings(world)).toEqual([`delete ${world.server(1)} alpha`]);
    const claim = await world.get(PersistentVolumeClaim, 'acme-shared');
    expect(claim?.metadata.annotations).toHaveProperty(['copilot-operator.dev/sweep-at']);
  });

  it('is ended by the server that has it, when its guard says that this is another one', async () => {
    await using world = await used({ activity: 'Active' });
    world.source.failures.set(world.server(1), heldBy(world.server(0)));
    await remove(world);
    expect(await isGone(world)).toBe(true);
    expect(endings(world).at(-1)).toBe(`delete ${world.server(0)} alpha`);
  });

  it('is not ended while the server that has it does not answer, and the message names that', async () => {
    await using world = await used();
    world.source.silence(world.server(0));
    world.source.failures.set(world.server(1), heldBy(world.server(0)));
    await remove(world);
    expect(await isGone(world)).toBe(false);
    const [reconciling] = ((await world.status()).conditions ?? []).filter(({ type }) => type === 'Reconciling');
    expect(reconciling?.message).toContain('Server acme-0 has the session and has not closed it');
    expect(reconciling?.message).toContain('pod acme-0-x on node n does not answer');
  });

  it('is removed by a Job only when no server of the tenant runs', async () => {
    await using world = await used();
    await world.observeTenant({ replicas: 2, servers: [{ name: 'acme-0', state: 'Failed', restarts: 0 }] });
    for (const index of [0, 1]) world.source.silence(world.server(index));
    await remove(world);
    await world.advance(2_000, 1_000);
    expect(await world.jobs()).toEqual([]);
    await world.changeTenant({ suspend: true });
    await world.observeTenant({ replicas: 0 });
    await world.settle();
    await world.advance(2_000, 1_000);
    const jobs = await world.jobs();
    expect(jobs.map(({ metadata }) => metadata.name)).toEqual(['acme-remove0']);
    expect(jobs[0]?.spec?.template.spec?.containers[0]?.args).toContain('--volume=acme-shared=/volumes/acme-shared');
  });
});
