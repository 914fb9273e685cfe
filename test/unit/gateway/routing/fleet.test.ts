import { describe, expect, it } from '@jest/globals';
import type { Secret } from '../../../../src/kube/types/builtins.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { sampleTenant, TOKEN } from '../../../support/tenants.ts';
import { waitFor } from '../../../support/wait.ts';
import { ACME, FleetWorld, HASH, unavailable } from './world.ts';

/** The fleet with tenant acme and one server that serves, all checked. */
async function served(): Promise<FleetWorld> {
  const world = new FleetWorld();
  world.setTenant();
  world.setPod(world.pod());
  world.sync();
  await world.reconcile();
  return world;
}
const OTHER_TOKEN = 'B'.repeat(43);
const tokenOf = ({ fleet }: FleetWorld) => fleet.find(ACME)?.servers[0]?.token();

describe('a tenant in the fleet', () => {
  it('has its access, the hashes of its credentials, and its servers', async () => {
    const { fleet } = await served();
    expect(fleet.find(ACME)).toMatchObject({
      ...ACME,
      uid: 'uid-of-acme',
      access: 'Gateway',
      credentials: [HASH],
      servers: [{ key: 'team/acme-0', host: '10.0.0.1', port: 4321, podUID: 'uid-of-acme-0-5d8f7-x2v9k' }],
    });
  });

  it('has the servers with a volume, whether they serve or not', async () => {
    const world = await served();
    const servers = [{ name: 'acme-0', volumeUID: 'v0' }, { name: 'acme-1', volumeUID: 'v1' }, { name: 'acme-2' }];
    world.setTenant({ access: 'Gateway', servers });
    const { volumes, servers: serving = [] } = world.fleet.find(ACME) ?? {};
    expect(volumes).toEqual(['team/acme-0', 'team/acme-1']);
    expect(serving.map(({ key }) => key)).toEqual(['team/acme-0']);
  });

  it('has the limits of its sessions, or none where the CRD has no such fields yet', async () => {
    const world = await served();
    expect(world.fleet.find(ACME)?.limits).toEqual({ permissionTimeoutMs: 600_000 });
    const tenant = world.tenants.store.get('team/acme');
    if (tenant === undefined) throw new Error('the tenant is gone');
    const { metadata, spec } = tenant;
    world.tenants.set({ ...tenant, metadata: { ...metadata, resourceVersion: '90' }, spec: { ...spec, sessions: {} } });
    expect(world.fleet.find(ACME)?.limits).toEqual({});
  });

  it('has its placement, or none', async () => {
    const world = await served();
    expect(world.fleet.find(ACME)).not.toHaveProperty('placement');
    const tenant = world.tenants.store.get('team/acme');
    if (tenant === undefined) throw new Error('the tenant is gone');
    const { metadata, spec } = tenant;
    const changed = { ...metadata, resourceVersion: '90' };
    world.tenants.set({ ...tenant, metadata: changed, spec: { ...spec, placement: 'RoundRobin' } });
    expect(world.fleet.find(ACME)?.placement).toBe('RoundRobin');
  });

  it.each([
    ['is unknown', { namespace: 'team', name: 'acme-0' }],
    ['is in another namespace', { namespace: 'other', name: 'acme' }],
  ])('that %s is not found', async (_, tenant) => {
    expect((await served()).fleet.find(tenant)).toBeUndefined();
  });

  it('without access in its status is Direct, and nothing is read for it', async () => {
    const world = new FleetWorld();
    world.setTenant({});
    world.setPod(world.pod());
    world.sync();
    await world.reconcile();
    expect(world.fleet.find(ACME)).toMatchObject({ access: 'Direct', credentials: [], servers: [] });
    expect(world.reads).toEqual([]);
  });

  it('is the same object until something of it changes, then another one, and listeners are called', async () => {
    const world = await served();
    const before = world.fleet.find(ACME);
    world.changes.length = 0;
    world.setTenant();
    await world.reconcile();
    expect(world.fleet.find(ACME)).toBe(before);
    expect(world.changes).toEqual([]);
    world.setTenant({ access: 'Gateway' });
    expect(world.fleet.find(ACME)).toMatchObject({ credentials: [] });
    expect(before?.credentials).toEqual([HASH]);
    expect(world.changes).toEqual(['team/acme']);
  });

  it('has the drains of its servers, by which it is found', () => {
    const world = new FleetWorld();
    const deadline = '2026-01-02T03:09:05Z';
    const since = '2026-01-02T03:04:05Z';
    const servers = (['Updating', 'Suspending', 'ScalingDown', 'NodeDraining'] as const).map((reason, index) => ({
      name: `acme-${index}`,
      drain: { epoch: index + 1, reason, podUID: `pod-${index}`, since, deadline },
    }));
    world.setTenant({ access: 'Gateway', servers });
    expect(world.fleet.draining()).toEqual([ACME]);
    expect(world.fleet.find(ACME)?.drains).toEqual(
      [true, false, false, true].map((comesBack, index) => ({
        server: `team/acme-${index}`,
        epoch: index + 1,
        podUID: `pod-${index}`,
        // By the clock of the operator alone, which may be an hour from that of this machine.
        timeoutMs: 300_000,
        comesBack,
      })),
    );
    world.setTenant({ access: 'Gateway' });
    expect([world.fleet.draining(), world.fleet.find(ACME)?.drains]).toEqual([[], undefined]);
  });

  it('that nobody has asked for is announced all the same: somebody may wait for it', () => {
    const world = new FleetWorld();
    world.setTenant();
    expect(world.changes).toEqual(['team/acme']);
  });

  it('that is deleted is not found, and another one of its name has none of its servers', async () => {
    const world = await served();
    const [tenant] = world.tenants.store.list();
    if (tenant === undefined) throw new Error('there is no tenant');
    const deleted: (string | undefined)[] = [];
    world.fleet.onDeleted(({ metadata }) => deleted.push(metadata.uid));
    expect(world.fleet.has(tenant)).toBe(true);
    world.tenants.delete(tenant);
    expect(world.fleet.find(ACME)).toBeUndefined();
    expect(deleted).toEqual([tenant.metadata.uid]);
    world.setTenant(undefined, 'uid-of-another');
    expect(world.fleet.has(tenant)).toBe(false);
    await world.reconcile();
    expect(world.fleet.find(ACME)).toMatchObject({ uid: 'uid-of-another', servers: [] });
  });

  it('that is being deleted is not found any more', async () => {
    const world = await served();
    const [tenant] = world.tenants.store.list();
    if (tenant === undefined) throw new Error('there is no tenant');
    const metadata = { ...tenant.metadata, resourceVersion: '99', deletionTimestamp: '2026-01-02T03:04:05Z' };
    world.tenants.set({ ...tenant, metadata });
    expect(world.fleet.find(ACME)).toBeUndefined();
  });

  it('ends its announcements for who has ended them', async () => {
    const world = await served();
    let calls = 0;
    const end = world.fleet.onChange(() => (calls += 1));
    world.setTenant({ access: 'Gateway' });
    end();
    world.setTenant();
    expect(calls).toBe(1);
  });
});

describe('a server in the fleet', () => {
  it('leaves when its pod stops to serve, and comes back', async () => {
    const world = await served();
    world.setPod(world.pod(0, {}, false));
    expect(world.servers()).toEqual([]);
    world.setPod(world.pod());
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
  });

  it('serves while its pod terminates: running turns end there', async () => {
    const world = await served();
    world.setPod(world.pod(0, { deletionTimestamp: '2026-01-02T03:04:05Z' }));
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
  });

  it('is only believed once its owners are known', async () => {
    const world = await served();
    world.setPod(world.pod(1));
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
    world.changes.length = 0;
    await world.reconcile();
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321', 'team/acme-1 10.0.0.2:4321']);
    expect(world.changes).toEqual(['team/acme']);
  });

  it.each<[string, (world: FleetWorld) => void]>([
    ['has no owner', (world) => world.setPod(world.pod(1, { ownerReferences: [] }))],
    ['has a ReplicaSet of another tenant', (world) => void world.replicaSet('acme-1', 'uid-of-another')],
    ['has a ReplicaSet of another server', (world) => world.setPod(world.pod(1, {}, true, world.replicaSet('acme-0')))],
    [
      'names a ReplicaSet of that name which was deleted',
      (world) => void world.replicaSet('acme-1', 'uid-of-acme', 'new'),
    ],
  ])('is not a pod that %s, though its labels say so', async (_, change) => {
    const world = await served();
    world.setPod(world.pod(1));
    change(world);
    expect(await world.reconcile()).toEqual({ requeueAfterMs: 30_000 });
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
  });

  it('is none of two pods that name the same ReplicaSet: one of them is not the ReplicaSet’s', async () => {
    const world = await served();
    world.setPod(world.pod(0, { name: 'impostor' }));
    await world.reconcile();
    expect(world.servers()).toEqual([]);
  });

  it('is not confused by an evicted pod of the same ReplicaSet', async () => {
    const world = await served();
    const evicted = world.pod(0, { name: 'evicted' }, false);
    world.setPod({ ...evicted, status: { ...evicted.status, phase: 'Failed' } });
    await world.reconcile();
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
  });

  it('is in the new pod where both serve, the old one terminating', async () => {
    const world = await served();
    world.setPod(world.pod(0, { deletionTimestamp: '2026-01-02T03:04:05Z' }));
    const next = world.pod(0, { name: 'next' }, true, world.replicaSet('acme-0', 'uid-of-acme', 'next-rs'));
    world.setPod({ ...next, status: { ...next.status, podIP: '10.0.0.9' } });
    await world.reconcile();
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.9:4321']);
  });

  it('has its owners read once, whatever happens to its pod', async () => {
    const world = await served();
    expect(world.reads).toEqual(['ReplicaSet acme-0-5d8f7', 'Deployment acme-0']);
    world.setPod(world.pod(0, {}, false));
    world.setPod(world.pod());
    await world.reconcile();
    expect(world.reads).toHaveLength(2);
  });

  it('is known though the owners of another one cannot be read, and the error is retried', async () => {
    const world = new FleetWorld();
    world.setTenant();
    world.setPod(world.pod(0));
    world.setPod(world.pod(1));
    world.sync();
    world.failure = unavailable();
    await expect(world.reconcile()).rejects.toThrow('503');
    await world.reconcile();
    expect(world.servers()).toHaveLength(2);
  });
});

describe('the token of a server', () => {
  it('is read when it is first asked for, and once for its pod', async () => {
    const world = await served();
    expect(world.reads).not.toContain('Secret acme-token');
    expect(await Promise.all([tokenOf(world), tokenOf(world)])).toEqual([TOKEN, TOKEN]);
    expect(await tokenOf(world)).toBe(TOKEN);
    expect(world.reads.filter((read) => read === 'Secret acme-token')).toHaveLength(1);
  });

  it('is read again for the next pod, and after the container stopped', async () => {
    const world = await served();
    await tokenOf(world);
    world.put(tokenSecret(sampleTenant(), OTHER_TOKEN));
    expect(await tokenOf(world)).toBe(TOKEN);
    world.setPod(world.pod(0, {}, false));
    world.setPod(world.pod());
    expect(await tokenOf(world)).toBe(OTHER_TOKEN);
  });

  it('is read again after the server refused it', async () => {
    const world = await served();
    await tokenOf(world);
    world.put(tokenSecret(sampleTenant(), OTHER_TOKEN));
    world.fleet.find(ACME)?.servers[0]?.tokenRefused();
    expect(await tokenOf(world)).toBe(OTHER_TOKEN);
  });

  it('is read again after an error', async () => {
    const world = await served();
    world.failure = unavailable();
    await expect(tokenOf(world)).rejects.toThrow('503');
    expect(await tokenOf(world)).toBe(TOKEN);
  });

  it.each<[string, Secret]>([
    ['is of another tenant', tokenSecret(sampleTenant({}, { uid: 'uid-of-another' }), OTHER_TOKEN)],
    ['has no token', tokenSecret(sampleTenant(), 'hunter2')],
  ])('is not taken from a Secret that %s; the message names it and not what it has', async (_, secret) => {
    const world = await served();
    world.put(secret);
    await expect(tokenOf(world)).rejects.toThrow('Secret team/acme-token has no connection token of this tenant');
    await expect(tokenOf(world)).rejects.not.toThrow(/hunter2|BBBB/);
  });
});

describe('a fleet that starts', () => {
  it('is synced once everything is listed, and the pods of the first list were checked', async () => {
    const world = new FleetWorld();
    world.setTenant();
    world.setPod(world.pod());
    expect(world.fleet.isSynced).toBe(false);
    world.tenants.finishSync();
    expect(world.fleet.isSynced).toBe(false);
    world.pods.finishSync();
    expect(world.fleet.isSynced).toBe(false);
    await world.reconcile();
    expect(world.fleet.isSynced).toBe(true);
    world.setPod(world.pod(1));
    expect(world.fleet.isSynced).toBe(true);
  });

  it('is synced at once where no tenant has a pod, or none comes through the gateway', () => {
    const world = new FleetWorld();
    world.setTenant({ access: 'Direct' });
    world.setPod(world.pod());
    world.sync();
    expect(world.fleet.isSynced).toBe(true);
  });

  it.each<[string, (world: FleetWorld) => Promise<unknown>]>([
    ['owners that cannot be read', (world) => expect(world.reconcile()).rejects.toThrow('503')],
    ['a namespace that is forbidden', (world) => world.fleet.reconcileForbidden(ACME)],
    ['owners that are not answered for a second', (world) => world.clock.advance(1_000)],
  ])('does not wait for %s', async (_, happens) => {
    const world = new FleetWorld();
    world.setTenant();
    world.setPod(world.pod());
    world.sync();
    expect(world.fleet.isSynced).toBe(false);
    world.failure = unavailable();
    await happens(world);
    expect(world.fleet.isSynced).toBe(true);
  });

  it('reads the owners first of the pods of a tenant that somebody asks for, once', async () => {
    const world = new FleetWorld();
    world.setTenant();
    world.setPod(world.pod());
    world.sync();
    expect(world.fleet.isSynced).toBe(false);
    expect(world.fleet.find(ACME)?.servers).toEqual([]);
    world.fleet.find(ACME);
    await waitFor('the server is found', () => world.servers().length === 1);
    expect(world.reads).toEqual(['ReplicaSet acme-0-5d8f7', 'Deployment acme-0']);
    expect(world.changes.at(-1)).toBe('team/acme');
    expect(world.fleet.isSynced).toBe(true);
  });

  it('reads them again in their turn if that fails', async () => {
    const world = new FleetWorld();
    world.setTenant();
    world.setPod(world.pod());
    world.sync();
    expect(world.fleet.isSynced).toBe(false);
    world.failure = unavailable();
    world.fleet.find(ACME);
    await waitFor('the read has failed', () => world.fleet.isSynced);
    expect(world.servers()).toEqual([]);
    await world.reconcile();
    expect(world.servers()).toEqual(['team/acme-0 10.0.0.1:4321']);
  });
});
