// What Argo CD shows of real tenants and sessions in each state, by the health checks of config/argocd.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { argoHealth, type ArgoHealth } from '../../support/argo-health.ts';
import { READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { serverPid } from '../../support/processes.ts';
import { RECOVERY_MS } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

/** The light runtime: a dozen of them start at the same time. */
const light: CopilotTenantSpecInput = { server: { binary: 'runtime' } };

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await namespace.createTenant('acme', light);
  await namespace.waitForReady('acme');
  // Its minute passes while the tests of tenants run.
  await createSession('brief', { ttl: '1m' });
});
afterAll(() => namespace.close());

const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);

async function healthOf(resource: string): Promise<ArgoHealth> {
  return argoHealth(JSON.parse(await kubectl('get', resource, '-o', 'json')) as KubeObject);
}

/** Waits until it has this health and message; returns every health that was observed until then, with its last message. */
async function expectHealth(resource: string, status: string, message: RegExp): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  await waitFor(
    `${resource} is ${status}`,
    async () => {
      const found = await healthOf(resource);
      seen.set(found.status, found.message);
      expect(found).toEqual({ status, message: expect.stringMatching(message) });
      return true;
    },
    { withinMs: RECOVERY_MS, everyMs: 200 },
  );
  return seen;
}

const createSession = (name: string, spec: object = {}) =>
  namespace.kubectl.ok(['create', '-f', '-'], {
    apiVersion: 'copilot-operator.dev/v1alpha1',
    kind: 'CopilotSession',
    metadata: { name, namespace: namespace.name },
    spec: { tenantRef: { name: 'acme' }, ...spec },
  });

/** Deletes it while a third-party finalizer blocks that. */
async function whileDeleting(resource: string, look: () => Promise<unknown>): Promise<void> {
  const finalizers = async (operation: object) =>
    kubectl('patch', resource, '--type=json', '--patch', JSON.stringify([operation]));
  const held = JSON.parse(await kubectl('get', resource, '-o', 'json')) as KubeObject;
  const all = [...(held.metadata.finalizers ?? []), 'example.com/hold'];
  await finalizers({ op: 'add', path: '/metadata/finalizers', value: all });
  await kubectl('delete', resource, '--wait=false');
  try {
    await look();
  } finally {
    const { metadata } = JSON.parse(await kubectl('get', resource, '-o', 'json')) as KubeObject;
    const at = (metadata.finalizers ?? []).indexOf('example.com/hold');
    await finalizers({ op: 'remove', path: `/metadata/finalizers/${at}` });
  }
}

describe('a tenant', () => {
  it('is Progressing until its server responds, and never Degraded', async () => {
    const made = await namespace.createTenant('fresh', light);
    expect((await argoHealth(made)).status).toBe('Progressing');
    const seen = await expectHealth('ct/fresh', 'Healthy', /^1 of 1 servers are ready\.$/);
    expect(seen.get('Degraded')).toBeUndefined();
    expect([...seen.keys()].toSorted()).toEqual(['Healthy', 'Progressing']);
  });

  it('is Progressing while its server is replaced, and never Degraded', async () => {
    await namespace.createTenant('changed', light);
    await expectHealth('ct/changed', 'Healthy', /servers are ready/);
    await namespace.patchTenant('changed', { spec: { server: { idleUnload: '20m' } } });
    expect((await healthOf('ct/changed')).status).toBe('Progressing');
    const seen = await expectHealth('ct/changed', 'Healthy', /^1 of 1 servers are ready\.$/);
    expect(seen.get('Degraded')).toBeUndefined();
  });

  it('is Suspended while it is suspended or scaled to zero, and Healthy again afterwards', async () => {
    await namespace.createTenant('asleep', { ...light, suspend: true });
    await expectHealth('ct/asleep', 'Suspended', /^spec\.suspend is true/);
    await namespace.patchTenant('asleep', { spec: { suspend: false, replicas: 0 } });
    await expectHealth('ct/asleep', 'Suspended', /^spec\.replicas is 0/);
    await namespace.patchTenant('asleep', { spec: { replicas: 1 } });
    await expectHealth('ct/asleep', 'Healthy', /servers are ready/);
  });

  it('is Degraded with the message of its condition while user action is required, and Healthy after that', async () => {
    await namespace.createTenant('broken', { server: { ...light.server, image: 'localhost/nothing-here:1' } });
    await expectHealth('ct/broken', 'Degraded', /localhost\/nothing-here:1/);
    await namespace.patchTenant('broken', { spec: { server: { image: SERVER_IMAGE } } });
    await expectHealth('ct/broken', 'Healthy', /servers are ready/);
  });

  it('is Degraded when its server stopped responding', async () => {
    const health = { interval: '1s', timeout: '1s', failureThreshold: 3 };
    await namespace.createTenant('silent', { ...light, health });
    await expectHealth('ct/silent', 'Healthy', /servers are ready/);
    const [pod] = await namespace.pods('silent');
    if (!pod) throw new Error('no pod');
    process.kill(serverPid(pod), 'SIGSTOP');
    await expectHealth('ct/silent', 'Degraded', /silent-0/);
    await expectHealth('ct/silent', 'Healthy', /servers are ready/);
  });

  it('is Progressing while it is being deleted', async () => {
    await namespace.createTenant('leaving', { suspend: true });
    await whileDeleting('ct/leaving', () => expectHealth('ct/leaving', 'Progressing', /being deleted/));
  });
});

describe('a session', () => {
  it('is Healthy before its first turn: it holds its id', async () => {
    await createSession('awaited');
    await expectHealth('csn/awaited', 'Healthy', /\S/);
  });

  it('is Suspended with its tenant, also when that is scaled to zero', async () => {
    await namespace.createTenant('paused', { suspend: true });
    await createSession('paused-too', { tenantRef: { name: 'paused' } });
    await expectHealth('csn/paused-too', 'Suspended', /\S/);
    await namespace.patchTenant('paused', { spec: { suspend: false, replicas: 0 } });
    await expectHealth('csn/paused-too', 'Suspended', /spec\.replicas is 0/);
  });

  it('is Degraded while its tenant does not exist', async () => {
    await createSession('orphan', { tenantRef: { name: 'nobody' } });
    await expectHealth('csn/orphan', 'Degraded', /nobody/);
  });

  it('is Degraded when an older one holds its id, and the older one is not', async () => {
    await createSession('elder', { sessionId: 'shared' });
    await expectHealth('csn/elder', 'Healthy', /\S/);
    await createSession('younger', { sessionId: 'shared' });
    await expectHealth('csn/younger', 'Degraded', /elder/);
    expect((await healthOf('csn/elder')).status).toBe('Healthy');
  });

  it('is Healthy once it has expired', async () => {
    await waitFor(
      'it has expired',
      async () => (await kubectl('get', 'csn/brief', '-o', 'jsonpath={.status.phase}')) === 'Expired',
      { withinMs: 2 * READY_MS, everyMs: 500 },
    );
    await expectHealth('csn/brief', 'Healthy', /\S/);
  });

  it('is Progressing while it is being deleted', async () => {
    await createSession('leaving');
    await whileDeleting('csn/leaving', () => expectHealth('csn/leaving', 'Progressing', /being deleted/));
  });
});
