// The restore of a backup on a real cluster, as Velero does it: the objects of the namespace are created again in Velero's order, while the
// operator runs, and everything but names, labels, annotations, finalizers and specs is lost. The volume is the one that the backup names.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, type Pod } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** What kubectl prints of an object. */
interface Saved {
  apiVersion: string;
  kind: string;
  metadata: Record<string, unknown> & { name: string; annotations?: Record<string, string>; labels?: object };
  spec?: Record<string, unknown>;
  status?: unknown;
  [field: string]: unknown;
}

/** The order of Velero's restore: what it knows, then the rest by the alphabet. */
const ORDER = [
  'pvc',
  'serviceaccounts',
  'secrets',
  'configmaps',
  'pods',
  'replicasets',
  'copilotsessions',
  'copilottenants',
  'cronjobs',
  'deployments',
  'networkpolicies',
  'poddisruptionbudgets',
  'services',
] as const;
const OF_TENANT = 'copilot-operator.dev/tenant=acme';
/** What Velero leaves of the metadata. */
const KEPT = new Set(['name', 'namespace', 'labels', 'annotations', 'finalizers']);

let namespace: TestNamespace;
let model: ModelInCluster;
beforeAll(async () => {
  namespace = await TestNamespace.open();
  model = await ModelInCluster.start(namespace);
});
afterAll(() => namespace.close());

const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
const saved = async (...args: string[]) =>
  JSON.parse(await kubectl('get', ...args, '-o', 'json')) as { items: Saved[] };

/** An object as Velero creates it. */
function restored({ status: _status, ...object }: Saved): Saved {
  const metadata = Object.fromEntries(Object.entries(object.metadata).filter(([field]) => KEPT.has(field)));
  metadata['labels'] = { ...object.metadata.labels, 'velero.io/backup-name': 'b', 'velero.io/restore-name': 'r' };
  const spec = { ...object.spec };
  if (object.kind === 'Pod') delete spec['nodeName'];
  if (object.kind === 'Service') for (const field of ['clusterIP', 'clusterIPs']) delete spec[field];
  if (object.kind === 'PersistentVolume') {
    const { uid: _uid, resourceVersion: _version, ...claim } = spec['claimRef'] as Record<string, unknown>;
    spec['claimRef'] = claim;
  }
  if (object.kind === 'PersistentVolume' || object.kind === 'PersistentVolumeClaim') {
    // What binds a claim to its volume is done again by the cluster.
    const annotations = Object.entries(object.metadata.annotations ?? {});
    metadata['annotations'] = Object.fromEntries(annotations.filter(([key]) => !key.includes('kubernetes.io/')));
    metadata['finalizers'] = undefined;
  }
  return { ...object, metadata: { ...metadata, name: object.metadata.name }, ...(object.spec && { spec }) };
}

async function backUp(): Promise<{ volume: Saved; objects: Saved[] }> {
  const objects: Saved[] = [];
  for (const kind of ORDER) {
    const own = kind === 'copilottenants' || kind === 'copilotsessions';
    objects.push(...(await saved(kind, ...(own ? [] : ['-l', OF_TENANT]))).items);
  }
  const claim = objects.find(({ kind }) => kind === 'PersistentVolumeClaim');
  const name = claim?.spec?.['volumeName'];
  const volume = JSON.parse(await kubectl('get', 'pv', String(name), '-o', 'json')) as Saved;
  return { volume, objects };
}

/** The namespace loses everything; what is on the disk stays. The operator does not run, as in a cluster that is lost. */
async function loseEverything({ volume }: { volume: Saved }): Promise<void> {
  await kubectl('patch', 'csn', 'kept', '--type=merge', '--patch', '{"metadata":{"finalizers":null}}');
  await kubectl('delete', 'csn', 'kept');
  await kubectl('delete', 'ct', 'acme', '--cascade=foreground');
  await kubectl('delete', 'pvc', '-l', OF_TENANT);
  await kubectl('delete', 'pv', volume.metadata.name);
  const left = async () =>
    (await saved([...ORDER].join(','), '-l', OF_TENANT)).items.map(({ metadata }) => metadata.name);
  await waitFor('nothing of the tenant is left', async () => (await left()).length === 0, {
    withinMs: 90_000,
    everyMs: 300,
  });
}

it('brings back tenant, session and token, with a pod on the volume that has the conversation, and restarts nothing', async () => {
  const first = await namespace.startOperator();
  await namespace.createTenant('acme', {
    ...askingTestModel(namespace.name),
    server: { binary: 'runtime' },
    sessions: { ttl: '720h' },
  });
  await namespace.waitForReady('acme');
  await namespace.createSession('kept', 'acme');
  await say(namespace, 'acme', { prompt: 'Said before the disaster', sessionId: 'kept' });
  await namespace.waitForPhase('kept', 'Idle');
  const { token } = await namespace.secret('acme-token');
  const claim = await namespace.client.get(PersistentVolumeClaim, namespace.ref('acme-0'));
  const volumeName = claim.spec?.volumeName ?? '';
  const retain = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}';
  await kubectl('patch', 'pv', volumeName, '--type=merge', '--patch', retain);
  const backup = await backUp();
  await first.stop();
  await loseEverything(backup);

  await namespace.startOperator();
  for (const object of [backup.volume, ...backup.objects]) {
    const { code, stderr } = await namespace.kubectl.try(['create', '-f', '-'], restored(object));
    // The API server refuses a pod that it has completed itself (docs/backup.md); its ReplicaSet makes another one.
    if (object.kind === 'Pod') expect(stderr).toContain('exists in both matchLabelKeys and labelSelector');
    // What the operator has created before its turn comes stays as it is.
    else if (code !== 0) expect(stderr).toContain('AlreadyExists');
  }
  const pods = await waitFor(
    'the ReplicaSet of the backup has made a pod',
    async () => {
      const found = await namespace.pods('acme', 'acme-0');
      return found.length > 0 ? found : undefined;
    },
    { withinMs: 60_000, everyMs: 100 },
  );
  await namespace.waitForTenant(
    'acme',
    'is Ready and not Stalled',
    (tenant) => conditionOf(tenant, 'Ready').status === 'True' && conditionOf(tenant, 'Stalled').status === 'False',
  );
  expect((await namespace.secret('acme-token'))['token']).toBe(token);
  expect((await namespace.client.get(PersistentVolumeClaim, namespace.ref('acme-0'))).spec?.volumeName).toBe(
    volumeName,
  );
  // The ReplicaSet of the backup was given to the Deployment, and nothing was restarted for it.
  const uids = (found: readonly Pod[]) => found.map(({ metadata }) => metadata.uid);
  expect(uids(await namespace.pods('acme', 'acme-0'))).toEqual(uids(pods));
  expect(pods).toHaveLength(1);
  await namespace.waitForPhase('kept', 'Idle', READY_MS);
  const { answer } = await say(namespace, 'acme', { prompt: 'Said after the restore', resume: 'kept' });
  expect(answer).not.toBe('');
  const [request] = await model.journal('Said after the restore');
  expect(request?.roles).toEqual(['system', 'user', 'assistant', 'user']);
  const reasons = (await namespace.events('acme')).map(({ reason }) => reason);
  expect(reasons).toContain('ChildrenAdopted');
  // Everything is owned again: what the tenant leaves behind when it is deleted is its volume alone.
  const { metadata } = await namespace.client.get(Deployment, namespace.ref('acme-0'));
  const { metadata: owner } = await namespace.client.get(CopilotTenant, namespace.ref('acme'));
  expect(metadata.ownerReferences?.map(({ uid }) => uid)).toEqual([owner.uid]);
  await kubectl('delete', 'csn', 'kept', '--timeout=60s');
  await namespace.deleteTenant('acme');
  await waitFor(
    'nothing but the volume is left',
    async () => {
      const { items } = await saved([...ORDER].join(','), '-l', OF_TENANT);
      return items.every(({ kind }) => kind === 'PersistentVolumeClaim');
    },
    { withinMs: 60_000, everyMs: 300 },
  );
  // The cluster's provisioner takes its disk back.
  const { annotations } = backup.volume.metadata;
  const provisioned = { metadata: { annotations }, spec: { persistentVolumeReclaimPolicy: 'Delete' } };
  await kubectl('patch', 'pv', volumeName, '--type=merge', '--patch', JSON.stringify(provisioned));
  await kubectl('delete', 'pvc', 'acme-0');
  await kubectl('wait', 'pv', volumeName, '--for=delete', '--timeout=60s');
});
