// Other writers that change a tenant's children again and again, over a real API server: who they are, and how often they are reverted.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, PodDisruptionBudget, type Pod } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(120_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

async function running(world: ReconcilerWorld): Promise<Pod> {
  await world.createTenant('acme');
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  const pod = await world.startPod('acme', 0);
  await world.settle();
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile('acme');
  await world.settle();
  return pod;
}

const condition = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
const deployment = async (world: ReconcilerWorld) => {
  const found = await world.get(Deployment, 'acme-0');
  if (found === undefined) throw new Error('there is no Deployment acme-0');
  return found;
};

describe('another writer that keeps changing a child', () => {
  it('is named in the status after three rounds, reverted less and less often, and forgotten ten minutes later', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    const spoil = () => world.patch(PodDisruptionBudget, 'acme-servers', { spec: { maxUnavailable: 7 } });
    const current = async () => (await world.get(PodDisruptionBudget, 'acme-servers'))?.spec?.maxUnavailable;
    const restored: boolean[] = [];
    for (let round = 0; round < 6; round++) {
      await spoil();
      await world.settle();
      restored.push((await current()) !== 7);
      const reason = round < 2 ? 'NotStalled' : 'ConflictingWriter';
      expect([round, (await condition(world, 'Stalled'))?.reason]).toEqual([round, reason]);
    }
    expect(restored).toEqual([true, true, true, false, false, false]);
    const stalled = await condition(world, 'Stalled');
    expect(stalled?.message).toMatch(
      /Field manager other-writer \(Update, last at \d{4}-.*\) keeps changing spec\.maxUnavailable of PodDisruptionBudget acme-servers/,
    );
    expect(stalled?.message).toContain('copilot-operator.dev/paused=true');
    // Its servers serve all the same.
    expect((await condition(world, 'Ready'))?.status).toBe('True');
    expect(world.events.filter((event) => event.startsWith('Warning ConflictingWriter'))).toHaveLength(1);

    await world.advance(2_000);
    await world.settle();
    expect(await current()).not.toBe(7);
    expect((await condition(world, 'Stalled'))?.reason).toBe('ConflictingWriter');
    await world.advance(11 * 60_000);
    await world.settle();
    expect((await condition(world, 'Stalled'))?.reason).toBe('NotStalled');
  });

  it('that scales a server to zero keeps Ready False with its name, although the server is waited for in between', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    let pod = await running(world);
    const reasons: (string | undefined)[] = [];
    for (let round = 0; round < 4; round++) {
      await world.patch(Deployment, 'acme-0', { spec: { replicas: 0 } });
      await world.settle();
      reasons.push((await condition(world, 'Stalled'))?.reason);
      await world.removePod(pod);
      await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
      await world.settle();
      if ((await deployment(world)).spec?.replicas === 0) break;
      pod = await world.startPod('acme', 0);
      await world.settle();
    }
    expect(reasons).toEqual(['NotStalled', 'NotStalled', 'NotStalled', 'ConflictingWriter']);
    expect((await deployment(world)).spec?.replicas).toBe(0);
    const ready = await condition(world, 'Ready');
    expect(ready).toMatchObject({ status: 'False', reason: 'ConflictingWriter' });
    expect(ready?.message).toContain('set spec.suspend of the tenant');
  });

  it('that sets another image is not fought in a loop, although the server is stopped and started for each round', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    let pod: Pod | undefined = await running(world);
    const contentType = 'application/strategic-merge-patch+json';
    const template = { spec: { containers: [{ name: 'server', image: 'example.com/theirs:1' }] } };
    const rounds: boolean[] = [];
    for (let round = 0; round < 5; round++) {
      await world.client.patch(
        Deployment,
        world.ref('acme-0'),
        { spec: { template } },
        { contentType, fieldManager: 'kubectl-set' },
      );
      await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
      await world.settle();
      const reverted = (await deployment(world)).spec?.template.spec?.containers[0]?.image !== 'example.com/theirs:1';
      rounds.push(reverted);
      if (!reverted) continue;
      if (pod !== undefined) await world.removePod(pod);
      await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
      await world.settle();
      expect((await deployment(world)).spec?.replicas).toBe(1);
      pod = await world.startPod('acme', 0);
      await world.settle();
    }
    expect(rounds).toEqual([true, true, true, false, false]);
    expect((await condition(world, 'Stalled'))?.message).toContain('Field manager kubectl-set (Update');
  });

  it('is not suspected when a user suspends and resumes the tenant again and again', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    let pod = await running(world);
    for (let round = 0; round < 5; round++) {
      await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
      await world.settle();
      await world.removePod(pod);
      await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
      await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
      await world.settle();
      expect((await deployment(world)).spec?.replicas).toBe(1);
      pod = await world.startPod('acme', 0);
      await world.settle();
      expect((await condition(world, 'Stalled'))?.reason).toBe('NotStalled');
    }
  });
});

describe('a Deployment that a user has paused', () => {
  it('is reported as long as a rollout waits for it, and is not resumed by the operator', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await running(world);
    await world.patch(Deployment, 'acme-0', { spec: { paused: true } });
    await world.observeDeployment('acme-0', { replicas: 1, updatedReplicas: 1 });
    await world.settle();
    expect((await condition(world, 'Stalled'))?.reason).toBe('NotStalled');
    await world.patch(CopilotTenant, 'acme', { spec: { server: { image: 'example.com/copilot-cli:2' } } });
    await world.settle();
    await world.observeDeployment('acme-0', { replicas: 1, updatedReplicas: 0 });
    await world.settle();
    expect(await condition(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'DeploymentPaused' });
    // The pod of before goes on serving.
    const { message } = (await condition(world, 'Ready')) ?? {};
    expect(await condition(world, 'Ready')).toMatchObject({ status: 'True', reason: 'ServersReady' });
    expect(message).toMatch(/^1 of 1 servers are ready. Not as specified: Deployment acme-0 is paused/);
    expect((await deployment(world)).spec?.paused).toBe(true);
    await world.patch(Deployment, 'acme-0', { spec: { paused: false } });
    await world.observeDeployment('acme-0', { replicas: 1, updatedReplicas: 1 });
    await world.settle();
    expect((await condition(world, 'Stalled'))?.reason).toBe('NotStalled');
  });
});
