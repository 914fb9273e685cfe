// The upgrade from older builds: what they really left in a cluster (test/fixtures/upgrade), taken over by this operator.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CronJob, Deployment, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import { type KubeObject } from '../../../src/kube/types/types.ts';
import { NAMESPACE, OPERATOR_IMAGE, recorded, type Recorded, restore } from '../../fixtures/upgrade/recorded.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { playRollout } from '../../support/rollouts.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(180_000);

const RUNNING = ['expiring-0', 'expiring-1', 'expiring-2', 'plain-0'];
const RESTING = ['resting-0', 'resting-1'];
const NEW_OPERATOR = 'example.com/operator:new';
const NEW_SERVER = 'example.com/copilot-cli:2';
const SETTLE_MS = 15_000;

/** By commit, the fields of a CronJob that this version changes besides the image. */
const BUILDS: Record<string, readonly string[]> = {
  // The marks that keep service meshes out of the pods of Jobs.
  f1077ea: [
    'spec.jobTemplate.spec.template.metadata.annotations',
    'spec.jobTemplate.spec.template.metadata.labels.kuma.io/sidecar-injection',
    'spec.jobTemplate.spec.template.metadata.labels.sidecar.istio.io/inject',
  ],
  '4d81e52': [],
};

describe.each(Object.entries(BUILDS))('a cluster of build %s', (commit, furtherFields) => {
  let api: TenantApi;
  const objects = recorded(commit);

  beforeAll(async () => {
    api = await startTenantApi();
    await api.kubectl.ok(['create', 'namespace', NAMESPACE]);
    await restore(objects, api.server.etcdUrl);
  }, 90_000);
  afterAll(() => api.stop());

  /** This operator, where the servers of the older one run and respond. */
  async function takenOver(flags: Parameters<typeof ReconcilerWorld.open>[2]) {
    const world = await ReconcilerWorld.open(api.kubeconfig, NAMESPACE, flags);
    for (const server of RUNNING) {
      world.health.set(`${NAMESPACE}/${server}`, { state: 'Healthy', version: '1.0', since: 0 });
    }
    return world;
  }

  const before = (kind: string) => objects.filter((object) => object.kind === kind);
  const named = (list: readonly Recorded[], name: string) =>
    list.find(({ metadata }) => metadata.name === name) as unknown as KubeObject;

  it('has what this test is about', () => {
    expect(before('Deployment').map(({ metadata }) => metadata.name)).toEqual([...RUNNING, ...RESTING].toSorted());
    expect(before('CronJob').map(({ metadata }) => metadata.name)).toEqual(['expiring-cleanup', 'resting-cleanup']);
  });

  it('is taken over without a write to a Deployment; of a CronJob only the image changes', async () => {
    await using world = await takenOver({ operatorImage: NEW_OPERATOR, maxConcurrentRollouts: 0 });
    for (const server of RUNNING) {
      await world.patch(PersistentVolumeClaim, server, { status: { phase: 'Bound' } }, 'status');
      const [tenant = '', index] = server.split('-');
      await world.startPod(tenant, Number(index));
    }
    for (const server of RESTING) await world.observeDeployment(server, { replicas: 0, updatedReplicas: 0 });
    await world.fill();
    const specs = (await world.client.listAll(Deployment, { namespace: NAMESPACE })).items;
    await world.settle();
    await world.advance(2 * 60_000);
    await world.settle();
    for (const spec of specs) {
      const now = await world.get(Deployment, spec.metadata.name);
      expect(now?.spec).toEqual(spec.spec);
      expect(now?.metadata.annotations).toEqual(spec.metadata.annotations);
      expect(now?.metadata.resourceVersion).toBe(spec.metadata.resourceVersion);
    }
    // That of the suspended tenant: the other one has another scope as soon as servers run.
    const name = 'resting-cleanup';
    const cronJob = await world.get(CronJob, name);
    const paths = pathsThatDiffer(cronJob, named(before('CronJob'), name));
    // For the older build, which ran without a Deployment controller, its server had not stopped yet.
    expect(paths.toSorted()).toEqual([IMAGE, ...furtherFields, HASH, 'spec.suspend'].toSorted());
    expect(cronJob?.spec?.suspend).toBe(false);
    for (const { metadata } of before('CronJob')) {
      const now = await world.get(CronJob, metadata.name);
      expect(JSON.stringify(now?.spec)).not.toContain(OPERATOR_IMAGE);
      expect(JSON.stringify(now?.spec)).toContain(NEW_OPERATOR);
    }
  });

  it('then gets another default image and template, one server at a time with a budget of one', async () => {
    await using world = await takenOver({
      operatorImage: NEW_OPERATOR,
      serverImage: NEW_SERVER,
      maxConcurrentRollouts: 1,
    });
    await world.fill();
    await world.advance(SETTLE_MS);
    expect(await playRollout(world)).toEqual(RUNNING.map((server) => [server]));
    for (const server of RUNNING) {
      const { metadata, spec } = (await world.get(Deployment, server)) ?? {};
      expect(spec?.template.spec?.containers[0]?.image).toBe(NEW_SERVER);
      expect(metadata?.annotations?.['copilot-operator.dev/template-revision']).toBe('2');
    }
    // A suspended server gets it when it is resumed.
    for (const server of RESTING) {
      const { spec } = (await world.get(Deployment, server)) ?? {};
      expect(spec?.template).toEqual((named(before('Deployment'), server) as unknown as Deployment).spec?.template);
    }
  });
});

const HASH = 'metadata.annotations.copilot-operator.dev/applied-hash';
const IMAGE = 'spec.jobTemplate.spec.template.spec.containers[name=cleanup].image';

/** Of the fields of `now`; those that are gone are found in the other direction. */
function pathsThatDiffer(now: CronJob | undefined, then: KubeObject): string[] {
  if (now === undefined) return ['it is gone'];
  const paths = [...differences(now, then), ...differences(then, now)].map(({ path }) => path);
  return [...new Set(paths)];
}
