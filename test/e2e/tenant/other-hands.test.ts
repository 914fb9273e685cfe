// Other hands on a tenant's objects, on a real cluster with its garbage collector: what was orphaned is taken over without a restart, and
// other writers are named.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, ReplicaSet, Service } from '../../../src/kube/types/builtins.ts';
import { isControlledBy } from '../../../src/kube/types/owner.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { hasEnded } from '../../../src/tenant/pods.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
});
afterAll(() => namespace.close());

const LIGHT = { server: { binary: 'runtime' } } as const;
const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
const uidsOf = async (tenant: string) => (await namespace.pods(tenant)).map(({ metadata }) => metadata.uid);
const reasons = async (tenant: string) => (await namespace.events(tenant)).map(({ reason }) => reason);

async function ready(tenant: string): Promise<void> {
  await namespace.createTenant(tenant, LIGHT);
  await namespace.waitForReady(tenant);
}

describe('a tenant that was deleted with --cascade=orphan', () => {
  it('takes over its children when it is applied again: same pod, same token', async () => {
    await ready('left');
    const [pods, { token }] = [await uidsOf('left'), await namespace.secret('left-token')];
    await kubectl('delete', 'ct', 'left', '--cascade=orphan');
    expect((await namespace.deployment('left-0')).metadata.ownerReferences ?? []).toEqual([]);
    await namespace.createTenant('left', LIGHT);
    const tenant = await namespace.waitForReady('left');
    for (const type of [Deployment, Service]) {
      expect(
        isControlledBy(
          await namespace.client.get<Deployment | Service>(type as never, namespace.ref('left-0')),
          tenant,
        ),
      ).toBe(true);
    }
    expect([await uidsOf('left'), (await namespace.secret('left-token'))['token']]).toEqual([pods, token]);
    expect(conditionOf(tenant, 'Stalled').status).toBe('False');
    await waitFor('an event says so', async () => (await reasons('left')).includes('ChildrenAdopted'), {
      withinMs: 10_000,
    });
  });
});

describe('a Deployment', () => {
  it('that was deleted with --cascade=orphan is created again, and its pod runs on', async () => {
    await ready('lone');
    const pods = await uidsOf('lone');
    const before = await namespace.deployment('lone-0');
    await kubectl('delete', 'deploy', 'lone-0', '--cascade=orphan');
    const after = await waitFor(
      'there is a Deployment with the ReplicaSet of the first one',
      async () => {
        const found = await namespace.get(Deployment, 'lone-0');
        const sets = await namespace.list(ReplicaSet, 'copilot-operator.dev/tenant=lone');
        const isTaken = found !== undefined && sets.length === 1 && sets.every((set) => isControlledBy(set, found));
        return isTaken ? found : undefined;
      },
      { withinMs: 30_000, everyMs: 200 },
    );
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    await namespace.waitForReady('lone');
    expect(await uidsOf('lone')).toEqual(pods);
  });

  it('that was deleted with its pods never has two pods on its volume', async () => {
    await ready('gone');
    const [before] = await uidsOf('gone');
    await kubectl('delete', 'deploy', 'gone-0', '--wait=false');
    let most = 0;
    await waitFor(
      'another pod runs',
      async () => {
        const pods = (await namespace.pods('gone')).filter((pod) => !hasEnded(pod));
        most = Math.max(most, pods.length);
        return pods.length === 1 && pods[0]?.metadata.uid !== before && pods[0]?.status?.phase === 'Running';
      },
      { withinMs: READY_MS, everyMs: 50 },
    );
    expect(most).toBe(1);
    await namespace.waitForReady('gone');
  });
});

describe('another writer', () => {
  it('that keeps scaling a server down is named, with what to do', async () => {
    await ready('night');
    const scaleDown = async () => {
      // kubectl scale to zero leaves no trace of who did it; downscalers patch.
      const patch = '{"spec": {"replicas": 0}}';
      await kubectl('patch', 'deploy', 'night-0', '--type=merge', '--patch', patch, '--field-manager=downscaler');
      const isUp = async () => ((await namespace.deployment('night-0')).spec?.replicas ?? 0) > 0;
      await waitFor('the operator has scaled it up again', isUp, { withinMs: 60_000, everyMs: 200 });
    };
    for (let round = 0; round < 3; round++) await scaleDown();
    const stalled = await namespace.waitForStalled('night', 'ConflictingWriter');
    const { message } = conditionOf(stalled, 'Stalled');
    expect(message).toMatch(
      /^Field manager downscaler \(Update, last at .*\) keeps changing spec\.replicas of Deployment night-0/,
    );
    expect(message).toContain('spec.suspend');
  });
});

describe('a paused tenant', () => {
  it('is left alone, and goes on at once when the annotation is removed', async () => {
    await ready('held');
    await kubectl('annotate', 'ct/held', 'copilot-operator.dev/paused=true');
    const isPaused = (reason: string) => reason === 'Paused';
    await namespace.waitForTenant('held', 'is Paused', (tenant) => isPaused(conditionOf(tenant, 'Reconciling').reason));
    await kubectl('delete', 'service', 'held-0');
    await kubectl('scale', 'deploy/held-0', '--replicas=0');
    // The status shows that the operator has noticed both.
    const isDown = (tenant: CopilotTenant) =>
      conditionOf(tenant, 'Ready').status === 'False' && tenant.status?.replicas === 0;
    await namespace.waitForTenant('held', 'is reported without a server', isDown);
    expect(await namespace.get(Service, 'held-0')).toBeUndefined();
    expect((await namespace.deployment('held-0')).spec?.replicas).toBe(0);
    await kubectl('annotate', 'ct/held', 'copilot-operator.dev/paused-');
    await waitFor('the Service is there again', async () => (await namespace.get(Service, 'held-0')) !== undefined, {
      withinMs: 10_000,
    });
    await namespace.waitForReady('held');
  });
});
