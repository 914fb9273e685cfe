// The session statistics in the status of a tenant: when they are written, and when not.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(async () => {
  await api.stop();
});

const MI = 2 ** 20;
const STATISTICS_WRITE_INTERVAL_MS = 20_000;

/** A tenant with a healthy server on a volume of 100Mi. */
async function running(world: ReconcilerWorld): Promise<string> {
  const key = `${world.namespace}/acme-0`;
  await world.createTenant('acme', { storage: { size: '100Mi' } });
  await world.settle();
  const status = { phase: 'Bound', capacity: { storage: '100Mi' } };
  await world.patch(PersistentVolumeClaim, 'acme-0', { status }, 'status');
  await world.startPod('acme', 0);
  await world.settle();
  world.health.set(key, { state: 'Healthy', version: '1.0', since: 0 });
  world.sessions.set(key, {});
  await world.reconcile('acme');
  await world.settle();
  return key;
}

const statusOf = async (world: ReconcilerWorld) => (await world.tenant('acme')).status ?? {};
const versionOf = async (world: ReconcilerWorld) => (await world.tenant('acme')).metadata.resourceVersion;

describe('the sessions of a tenant', () => {
  it('are surveyed on the running server', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const key = await running(world);
    expect(world.servers.targets.get(key)).toMatchObject({
      host: '10.0.0.1',
      port: 4321,
      startedAt: expect.any(Number) as unknown,
    });
    expect(await statusOf(world)).toMatchObject({ sessions: { active: 0, loaded: 0, total: 0 } });
    expect(world.counted).toEqual(['ready']);
  });

  it('are written within 20 s, and no more often than that', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const key = await running(world);
    const before = await versionOf(world);
    for (let active = 1; active <= 5; active++) {
      world.sessions.set(key, { active, lastActivityTime: world.clock.now() });
      await world.reconcile('acme');
    }
    expect(await versionOf(world)).toBe(before);
    await world.sync();
    await world.clock.advance(STATISTICS_WRITE_INTERVAL_MS);
    await world.settle();
    expect(await statusOf(world)).toMatchObject({ sessions: { active: 5, loaded: 5, total: 5 } });
    const after = await versionOf(world);
    await world.reconcile('acme');
    expect(await versionOf(world)).toBe(after);
  });

  it('that fill the volume are reported at once, by a condition and an event, and so is free space', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const key = await running(world);
    const pressure = async () => findCondition((await statusOf(world)).conditions, 'StoragePressure');
    world.sessions.set(key, { unloaded: 1, sizeBytes: 86 * MI });
    await world.settle();
    expect(await pressure()).toMatchObject({ status: 'True', reason: 'VolumeNearlyFull' });
    expect((await statusOf(world)).storage).toEqual({ capacity: '100Mi', used: '87Mi' });
    world.sessions.set(key, { unloaded: 1, sizeBytes: 81 * MI });
    await world.reconcile('acme');
    expect(await pressure()).toMatchObject({ status: 'True' });
    // The volume is expanded: the same sessions use less of it.
    await world.patch(PersistentVolumeClaim, 'acme-0', { status: { capacity: { storage: '200Mi' } } }, 'status');
    await world.settle();
    expect(await pressure()).toMatchObject({ status: 'False', reason: 'EnoughSpace' });
    expect(world.events.filter((event) => /Volume|Space/.test(event))).toEqual([
      'Warning VolumeNearlyFull',
      'Normal EnoughSpace',
    ]);
  });

  it('keep their counts while the server does not respond', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const key = await running(world);
    world.sessions.set(key, { loaded: 2, unloaded: 3 });
    await world.sync();
    await world.clock.advance(STATISTICS_WRITE_INTERVAL_MS);
    await world.settle();
    world.sessions.set(key, undefined);
    await world.clock.advance(2 * STATISTICS_WRITE_INTERVAL_MS);
    await world.settle();
    expect((await statusOf(world)).sessions).toEqual({ active: 0, loaded: 2, total: 5 });
  });
});
