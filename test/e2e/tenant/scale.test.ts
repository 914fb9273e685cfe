import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Service } from '../../../src/kube/types/builtins.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

const runtime = { binary: 'runtime' } as const;
const SOON = { withinMs: 60_000, everyMs: 100 };

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
});
afterAll(() => namespace.close());
afterEach(async () => {
  await namespace.deleteTenant('acme');
  await namespace.kubectl.ok(['delete', 'pvc', '--all', '-n', namespace.name]);
});

const serverNames = (tenant: CopilotTenant) => tenant.status?.servers?.map(({ name }) => name);
const isReady = (tenant: CopilotTenant) => conditionOf(tenant, 'Ready').status === 'True';
const scaleTo = (replicas: number) =>
  namespace.kubectl.ok(['scale', 'ct/acme', '-n', namespace.name, `--replicas=${replicas}`]);
const deployments = async () => (await namespace.list(Deployment)).map(({ metadata }) => metadata.name).toSorted();
const claims = async () =>
  (await namespace.list(PersistentVolumeClaim)).map(({ metadata }) => metadata.name).toSorted();

describe('the number of servers', () => {
  it('follows kubectl scale up and down, highest index first, and the volumes are kept', async () => {
    await namespace.createTenant('acme', { server: runtime });
    await namespace.waitForReady('acme');
    await scaleTo(3);
    const three = await namespace.waitForTenant(
      'acme',
      'has three ready servers',
      (tenant) => isReady(tenant) && tenant.status?.readyReplicas === 3,
    );
    expect(serverNames(three)).toEqual(['acme-0', 'acme-1', 'acme-2']);
    expect(three.status).toMatchObject({ replicas: 3, serversReady: '3/3' });
    const volume = await namespace.get(PersistentVolumeClaim, 'acme-2');
    const [survivor] = await namespace.pods('acme', 'acme-0');

    const deleted: string[] = [];
    const ended = new AbortController();
    const watching = (async () => {
      for await (const { type, object } of namespace.client.watch(Deployment, {
        namespace: namespace.name,
        signal: ended.signal,
        resourceVersion: three.metadata.resourceVersion,
      })) {
        if (type === 'DELETED') deleted.push(object.metadata.name);
      }
    })().catch((error: unknown) => {
      if (!ended.signal.aborted) throw error;
    });
    await scaleTo(1);
    await namespace.waitForTenant(
      'acme',
      'has one server',
      (tenant) => isReady(tenant) && tenant.status?.replicas === 1,
    );
    await waitFor('both deletions were seen', () => deleted.length === 2, SOON);
    ended.abort();
    await watching;
    expect(deleted).toEqual(['acme-2', 'acme-1']);
    expect(await deployments()).toEqual(['acme-0']);
    expect((await namespace.list(Service)).map(({ metadata }) => metadata.name)).toEqual(['acme-0']);
    expect(await claims()).toEqual(['acme-0', 'acme-1', 'acme-2']);
    expect((await namespace.pods('acme', 'acme-0')).map(({ metadata }) => metadata.uid)).toEqual([
      survivor?.metadata.uid,
    ]);

    await scaleTo(3);
    await namespace.waitForTenant(
      'acme',
      'has three ready servers again',
      (tenant) => isReady(tenant) && tenant.status?.readyReplicas === 3,
    );
    expect((await namespace.get(PersistentVolumeClaim, 'acme-2'))?.metadata.uid).toBe(volume?.metadata.uid);
  });

  it('deletes volumes if reclaimPolicy is Delete, but none that was retained before', async () => {
    await namespace.createTenant('acme', { server: runtime, replicas: 3 });
    await namespace.waitForReady('acme');
    await scaleTo(2);
    await waitFor('server 2 is gone', async () => (await deployments()).length === 2, SOON);
    await namespace.patchTenant('acme', { spec: { storage: { reclaimPolicy: 'Delete' } } });
    const isOwned = async () =>
      (await namespace.get(PersistentVolumeClaim, 'acme-1'))?.metadata.ownerReferences !== undefined;
    await waitFor('the volume of server 1 belongs to the tenant', isOwned, SOON);
    await scaleTo(1);
    await waitFor('the volume of server 1 is gone', async () => !(await claims()).includes('acme-1'), SOON);
    expect(await claims()).toEqual(['acme-0', 'acme-2']);
  });

  it('may be zero, which the tenant reports', async () => {
    await namespace.createTenant('acme', { server: runtime, replicas: 0 });
    const tenant = await namespace.waitForTenant(
      'acme',
      'is reconciled',
      (found) => conditionOf(found, 'Ready').reason === 'ScaledToZero',
    );
    expect(tenant.status).toMatchObject({ replicas: 0, serversReady: '0/0', servers: [] });
    expect(conditionOf(tenant, 'Healthy')).toMatchObject({ status: 'Unknown', reason: 'NoServers' });
  });
});

describe('suspend', () => {
  it('stops the server and keeps its sessions; resuming starts it on the same volume', async () => {
    await namespace.createTenant('acme', { server: runtime });
    const before = await namespace.waitForReady('acme');
    await namespace.patchTenant('acme', { spec: { suspend: true } });
    const suspended = await namespace.waitForTenant(
      'acme',
      'is suspended',
      (tenant) =>
        conditionOf(tenant, 'Ready').reason === 'Suspended' && conditionOf(tenant, 'Reconciling').status === 'False',
    );
    expect(await namespace.pods('acme')).toEqual([]);
    expect(suspended.status).toMatchObject({
      replicas: 0,
      serversReady: '0/0',
      servers: [{ name: 'acme-0', state: 'Stopped' }],
    });
    expect(conditionOf(suspended, 'Stalled').status).toBe('False');
    expect(suspended.status?.servers?.[0]?.volumeUID).toBe(before.status?.servers?.[0]?.volumeUID);

    await namespace.patchTenant('acme', { spec: { suspend: false } });
    const resumed = await namespace.waitForReady('acme');
    expect(resumed.status?.servers?.[0]?.volumeUID).toBe(before.status?.servers?.[0]?.volumeUID);
  });

  it('resumed at once, runs no second pod beside the one that is stopping', async () => {
    await namespace.createTenant('acme', { server: runtime });
    await namespace.waitForReady('acme');
    const [first] = await namespace.pods('acme');
    // Uses its whole grace period, as a server that does not stop does.
    await namespace.kubectl.ok([
      'patch',
      'pod',
      first?.metadata.name ?? '',
      '-n',
      namespace.name,
      '--type=json',
      '-p',
      '[{"op":"add","path":"/metadata/finalizers","value":["example.com/slow"]}]',
    ]);
    await namespace.patchTenant('acme', { spec: { suspend: true } });
    await waitFor(
      'the pod is being stopped',
      async () => (await namespace.pods('acme'))[0]?.metadata.deletionTimestamp !== undefined,
      SOON,
    );
    await namespace.patchTenant('acme', { spec: { suspend: false } });
    await namespace.waitForTenant('acme', 'waits for the former pod', (tenant) =>
      conditionOf(tenant, 'Reconciling').message.includes(first?.metadata.name ?? '?'),
    );
    expect((await namespace.pods('acme')).map(({ metadata }) => metadata.name)).toEqual([first?.metadata.name]);
    await namespace.kubectl.ok([
      'patch',
      'pod',
      first?.metadata.name ?? '',
      '-n',
      namespace.name,
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/metadata/finalizers"}]',
    ]);
    await namespace.waitForReady('acme');
  });
});
