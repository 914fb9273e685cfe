// The roll-out of a new default image over several tenants, with a budget: on a real API server, with the pods played.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { ROLLOUT_ANNOTATION } from '../../../src/tenant/deployments.ts';
import { type OperatorFlags, ReconcilerWorld } from '../../support/reconciler-world.ts';
import { beingReplaced, playRollout, replacePod } from '../../support/rollouts.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(120_000);

const TENANTS = ['amber', 'blue', 'coral'];
const NEW = { serverImage: 'example.com/copilot-cli:2' };
/** The process must know who waits before it replaces the first server, in ms. */
const SETTLE_MS = 15_000;

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** Tenants whose servers run with the first image. Two servers for the last one. */
async function fleet(): Promise<ReconcilerWorld & AsyncDisposable> {
  const world = await ReconcilerWorld.open(api.kubeconfig);
  for (const name of TENANTS) await world.createTenant(name, { replicas: name === 'coral' ? 2 : 1 });
  await world.settle();
  for (const server of servers()) {
    await world.patch(PersistentVolumeClaim, server, { status: { phase: 'Bound' } }, 'status');
    await replacePod(world, server);
  }
  return world;
}

const servers = () => ['amber-0', 'blue-0', 'coral-0', 'coral-1'];

/** The next version of the operator, which knows of each server what the former one did. */
async function upgraded(former: ReconcilerWorld, flags: OperatorFlags = {}) {
  const world = await ReconcilerWorld.open(api.kubeconfig, former.namespace, { ...NEW, ...flags });
  const healthy = { state: 'Healthy', version: '1.0', since: 0 } as const;
  for (const server of servers()) world.health.set(`${world.namespace}/${server}`, healthy);
  return world;
}

async function begin(world: ReconcilerWorld): Promise<void> {
  await world.fill();
  await world.settle();
  await world.advance(SETTLE_MS);
  await world.settle();
}

const imageOf = async (world: ReconcilerWorld, server: string) =>
  (await world.get(Deployment, server))?.spec?.template.spec?.containers[0]?.image;
const conditionOf = async (world: ReconcilerWorld, tenant: string, type: string) =>
  findCondition((await world.tenant(tenant)).status?.conditions, type);

describe('a new default image', () => {
  it('reaches every server, as many at a time as the budget has, and one at a time of a tenant', async () => {
    await using former = await fleet();
    await using world = await upgraded(former, { maxConcurrentRollouts: 2 });
    await begin(world);
    expect(await playRollout(world)).toEqual([['amber-0', 'blue-0'], ['coral-0'], ['coral-1']]);
    for (const server of servers()) {
      expect(await imageOf(world, server)).toBe(NEW.serverImage);
      expect((await world.get(Deployment, server))?.metadata.annotations).not.toHaveProperty([ROLLOUT_ANNOTATION]);
    }
    expect(world.events.filter((event) => event === 'Normal ServerRolledOut')).toHaveLength(4);
    for (const name of TENANTS) {
      expect(await conditionOf(world, name, 'Reconciling')).toMatchObject({ status: 'False', reason: 'UpToDate' });
    }
  });

  it('is waited for by tenants that stay Ready, and say why; the waiting is no write', async () => {
    await using former = await fleet();
    await using world = await upgraded(former, { maxConcurrentRollouts: 1 });
    await begin(world);
    expect(await beingReplaced(world)).toEqual(['amber-0']);
    const waiting = await world.tenant('blue');
    expect(await conditionOf(world, 'blue', 'Ready')).toMatchObject({ status: 'True', reason: 'ServersReady' });
    expect(await conditionOf(world, 'blue', 'Reconciling')).toMatchObject({
      status: 'False',
      reason: 'RolloutPending',
      message:
        'The operator has a newer pod template or default image than servers blue-0 run with. ' +
        'They wait: at most 1 of all servers is replaced at a time (--max-concurrent-rollouts).',
    });
    await world.advance(5 * 60_000);
    await world.settle();
    expect(await beingReplaced(world)).toEqual(['amber-0']);
    expect((await world.tenant('blue')).metadata.resourceVersion).toBe(waiting.metadata.resourceVersion);
  });

  it('stops where a server does not respond with it, also for the next operator process', async () => {
    await using former = await fleet();
    await using world = await upgraded(former, { maxConcurrentRollouts: 1 });
    await begin(world);
    await replacePod(world, 'amber-0', false);
    await world.advance(11 * 60_000);
    await world.settle();
    expect(await conditionOf(world, 'blue', 'Reconciling')).toMatchObject({
      reason: 'RolloutPending',
      message: expect.stringContaining('The roll-out is paused'),
    });
    expect(await conditionOf(world, 'amber', 'Ready')).toMatchObject({ status: 'False' });
    await using next = await upgraded(former, { maxConcurrentRollouts: 1 });
    next.health.remove(`${next.namespace}/amber-0`);
    await begin(next);
    expect(await imageOf(next, 'blue-0')).toBe('example.com/copilot-cli:1');
    next.health.set(`${next.namespace}/amber-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await next.reconcile('amber');
    await next.settle();
    await next.observeDeployment('amber-0', { replicas: 1, updatedReplicas: 1 });
    expect(await playRollout(next)).toEqual([['blue-0'], ['coral-0'], ['coral-1']]);
  });

  it('is kept from every server by a budget of 0, and then nothing is left to do', async () => {
    await using former = await fleet();
    await using world = await upgraded(former, { maxConcurrentRollouts: 0 });
    await begin(world);
    expect(await playRollout(world)).toEqual([]);
    expect(await conditionOf(world, 'blue', 'Reconciling')).toMatchObject({
      reason: 'RolloutPending',
      message: expect.stringContaining('--max-concurrent-rollouts=0'),
    });
  });
});

describe('a server whose Deployment the cache does not show yet', () => {
  it('keeps what it runs with', async () => {
    await using former = await fleet();
    const before = await former.get(Deployment, 'amber-0');
    await using world = await upgraded(former, { maxConcurrentRollouts: 0 });
    await world.fill(Deployment);
    expect(await world.get(Deployment, 'amber-0')).toEqual(before);
  });
});

describe('servers that stop responding all at once', () => {
  it('are restarted at the pace of the budget', async () => {
    await using former = await fleet();
    await using world = await upgraded(former, { serverImage: 'example.com/copilot-cli:1', maxConcurrentRollouts: 1 });
    await world.fill();
    await world.settle();
    const since = world.clock.now();
    for (const server of servers()) {
      const message = '10.0.0.1:4321 did not answer within 5 s';
      world.health.set(`${world.namespace}/${server}`, { state: 'Unhealthy', reason: 'Timeout', message, since });
    }
    for (const name of TENANTS) await world.reconcile(name);
    await world.settle();
    expect(await beingReplaced(world)).toEqual(['amber-0']);
    expect(await conditionOf(world, 'blue', 'Healthy')).toMatchObject({
      status: 'False',
      message: expect.stringContaining('Its restart waits: at most 1 of all servers is replaced at a time'),
    });
    await replacePod(world, 'amber-0');
    await world.advance(15_000);
    await world.settle();
    expect(await beingReplaced(world)).toEqual(['blue-0']);
  });
});
