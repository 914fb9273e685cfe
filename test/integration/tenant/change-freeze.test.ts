// A policy of the cluster that refuses changes of what is beside the servers: a change freeze is no outage.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { CronJob, PersistentVolumeClaim, PodDisruptionBudget } from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { freeze, REFUSAL } from '../../support/change-freeze.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(120_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

/** A tenant with a cleanup, which is Ready. */
async function makeReady(world: ReconcilerWorld): Promise<void> {
  await world.createTenant('acme', { sessions: { ttl: '720h' } });
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  await world.startPod('acme', 0);
  await world.settle();
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile('acme');
  await world.settle();
  expect((await conditions(world)).map((each) => each?.status)).toEqual(['True', 'False']);
}

async function conditions(world: ReconcilerWorld) {
  const { status } = await world.tenant('acme');
  return (['Ready', 'Stalled'] as const).map((each) => findCondition(status?.conditions, each));
}

const BUDGET = {
  type: PodDisruptionBudget as ResourceType,
  resource: 'poddisruptionbudgets',
  name: 'acme-servers',
  change: { spec: { maxUnavailable: 0 } },
} as const;
const CRON_JOB = {
  type: CronJob as ResourceType,
  resource: 'cronjobs',
  name: 'acme-cleanup',
  change: { spec: { suspend: true } },
} as const;

it.each([
  { ...BUDGET, operations: ['UPDATE'] as const },
  { ...CRON_JOB, operations: ['UPDATE', 'DELETE'] as const },
  { ...CRON_JOB, operations: ['CREATE', 'UPDATE'] as const },
  { ...CRON_JOB, operations: ['CREATE', 'UPDATE', 'DELETE'] as const },
])(
  'that refuses $operations of a changed $type.kind is reported, and the tenant stays Ready',
  async ({ type, resource, name, change, operations }) => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await makeReady(world);
    await world.patch(type, name, change);
    const thaw = await freeze(api, world, resource, name, operations);
    await world.settle();
    const [ready, stalled] = await conditions(world);
    expect(ready).toMatchObject({ status: 'True', reason: 'ServersReady' });
    expect(ready?.message).toContain('Not as specified: ');
    expect(stalled).toMatchObject({ status: 'True', reason: 'AdmissionDenied' });
    expect(stalled?.message).toContain(`${type.kind} ${name}`);
    expect(stalled?.message).toContain(REFUSAL);

    await thaw();
    await waitFor(
      'the tenant is as specified',
      async () => {
        await world.advance(60_000);
        await world.settle();
        return (await conditions(world))[1]?.status === 'False';
      },
      { withinMs: 30_000 },
    );
    expect(await world.get(type, name)).not.toMatchObject(change);
  },
);

it('that refuses updates of the CronJob only has it made anew, once: what was changed could delete by another rule', async () => {
  await using world = await ReconcilerWorld.open(api.kubeconfig);
  await makeReady(world);
  const cronJob = () => world.client.get(CronJob, world.ref(CRON_JOB.name));
  const { metadata, spec } = await cronJob();
  await world.patch(CronJob, CRON_JOB.name, CRON_JOB.change);
  await freeze(api, world, CRON_JOB.resource, CRON_JOB.name);
  await world.settle();
  const made = await cronJob();
  expect(made.metadata.uid).not.toBe(metadata.uid);
  expect(made.spec).toEqual(spec);
  expect((await conditions(world)).map((each) => each?.status)).toEqual(['True', 'False']);
  await world.advance(600_000);
  await world.settle();
  expect((await cronJob()).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
});
