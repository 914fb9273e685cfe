import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import { isControlledBy } from '../../../src/kube/types/owner.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
});
afterAll(() => namespace.close());

describe('a tenant with an empty spec', () => {
  let tenant: CopilotTenant;

  beforeAll(async () => {
    await namespace.createTenant('acme');
    tenant = await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.deleteTenant('acme'));

  it('has a server that responds to pings and reports its version', () => {
    expect(tenant.status).toMatchObject({
      observedGeneration: 1,
      endpoint: `acme-0.${namespace.name}.svc:4321`,
      binding: { name: 'acme-binding' },
      serverVersion: '1.0.102',
      replicas: 1,
      readyReplicas: 1,
      serversReady: '1/1',
      servers: [{ name: 'acme-0', state: 'Healthy', version: '1.0.102', restarts: 0 }],
    });
    expect(conditionOf(tenant, 'Healthy')).toMatchObject({ status: 'True', reason: 'Healthy' });
    expect(conditionOf(tenant, 'Reconciling').status).toBe('False');
    expect(conditionOf(tenant, 'Stalled').status).toBe('False');
    expect(conditionOf(tenant, 'ModelConfigured')).toMatchObject({ status: 'True', reason: 'ClientProvided' });
  });

  it('owns every child except the retained volume', async () => {
    const owned = await Promise.all([
      namespace.deployment('acme-0'),
      namespace.get(Service, 'acme-0'),
      namespace.get(ServiceAccount, 'acme-servers'),
      namespace.get(NetworkPolicy, 'acme-servers'),
      namespace.get(PodDisruptionBudget, 'acme-servers'),
      namespace.get(Secret, 'acme-token'),
      namespace.get(Secret, 'acme-binding'),
    ]);
    for (const child of owned) expect(child && isControlledBy(child, tenant)).toBe(true);
    const claim = await namespace.get(PersistentVolumeClaim, 'acme-0');
    expect(claim?.metadata.ownerReferences).toBeUndefined();
  });

  it('gives clients address and token in the binding Secret; the token is 256 random bits', async () => {
    const binding = await namespace.secret('acme-binding');
    const host = `acme-0.${namespace.name}.svc`;
    expect(binding).toEqual({
      type: 'copilot',
      provider: 'copilot-operator',
      host,
      port: '4321',
      uri: `http://${host}:4321`,
      token: (await namespace.secret('acme-token'))['token'],
    });
    expect(Buffer.from(binding['token'] ?? '', 'base64url')).toHaveLength(32);
  });

  it('is one line of kubectl get with what matters', async () => {
    const [header, row] = (await namespace.kubectl.ok(['get', 'ct', 'acme', '-n', namespace.name])).split('\n');
    expect(header?.split(/\s+/)).toEqual(['NAME', 'READY', 'SERVERS', 'SESSIONS', 'HEALTH', 'VERSION', 'AGE']);
    expect(row).toMatch(/^acme +True +1\/1 +(0 +)?Healthy +1\.0\.102 +\w+$/);
  });

  it('keeps secrets out of its status and of its events', async () => {
    const { token = '' } = await namespace.secret('acme-token');
    expect(JSON.stringify(tenant.status)).not.toContain(token);
    expect(JSON.stringify(await namespace.events('acme'))).not.toContain(token);
  });

  it('reports its start in two events', async () => {
    const events = await waitFor('the events are written', async () => {
      const found = await namespace.events('acme');
      return found.length >= 2 ? found : undefined;
    });
    expect(events.map(({ type, reason, count }) => [type, reason, count])).toEqual([
      ['Normal', 'ServersStarting', 1],
      ['Normal', 'ServersReady', 1],
    ]);
  });
});

describe('a deleted tenant', () => {
  it('is deleted with everything but its volume, and the next one of its name has the sessions', async () => {
    await namespace.createTenant('kept', { server: { binary: 'runtime' } });
    const first = await namespace.waitForReady('kept');
    await namespace.exec('kept-0', 'sh', '-c', `echo kept > ${SESSIONS}/note`);
    const claim = await namespace.get(PersistentVolumeClaim, 'kept-0');
    await namespace.deleteTenant('kept');
    const ours = 'copilot-operator.dev/tenant=kept';
    await waitFor('its Secrets are gone', async () => (await namespace.list(Secret, ours)).length === 0, {
      withinMs: 30_000,
    });
    expect((await namespace.get(PersistentVolumeClaim, 'kept-0'))?.metadata.uid).toBe(claim?.metadata.uid);

    await namespace.createTenant('kept', { server: { binary: 'runtime' } });
    const second = await namespace.waitForReady('kept');
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(await namespace.exec('kept-0', 'cat', `${SESSIONS}/note`)).toBe('kept\n');
    expect(second.status?.servers?.[0]?.volumeUID).toBe(claim?.metadata.uid);
  });

  it('is deleted with its volume if reclaimPolicy is Delete', async () => {
    await namespace.createTenant('brief', { server: { binary: 'runtime' }, storage: { reclaimPolicy: 'Delete' } });
    await namespace.waitForReady('brief');
    await namespace.deleteTenant('brief');
    const gone = async () => (await namespace.get(PersistentVolumeClaim, 'brief-0')) === undefined;
    await waitFor('the claim is gone', gone, { withinMs: 30_000 });
  });

  it('may be recreated at once: the children of the previous one are waited for, not adopted', async () => {
    const { uid } = (await namespace.createTenant('again', { server: { binary: 'runtime' } })).metadata;
    await namespace.waitForReady('again');
    await namespace.kubectl.ok(['delete', 'ct', 'again', '-n', namespace.name, '--wait=true']);
    await namespace.createTenant('again', { server: { binary: 'runtime' } });
    const tenant = await namespace.waitForReady('again');
    expect(tenant.metadata.uid).not.toBe(uid);
    expect(isControlledBy(await namespace.deployment('again-0'), tenant)).toBe(true);
  });
});
