// CopilotTenant as a resource: everything that kubectl does with it besides creating it.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
});
afterAll(() => api.stop());

const json = async (...args: string[]) => JSON.parse(await api.kubectl.ok([...args, '-o', 'json'])) as unknown;

/** A status as the operator writes it. */
const status = {
  observedGeneration: 1,
  conditions: [
    {
      type: 'Ready',
      status: 'False',
      reason: 'ServersUnhealthy',
      message: 'acme-1 does not answer',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
    {
      type: 'Healthy',
      status: 'False',
      reason: 'Timeout',
      message: 'acme-1 does not answer within 5s',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
  endpoint: 'acme-0.default.svc:4321',
  binding: { name: 'acme-binding' },
  serverVersion: '1.0.102',
  replicas: 3,
  readyReplicas: 2,
  serversReady: '2/3',
  sessions: { active: 1, loaded: 2, total: 7 },
  selector: 'copilot-operator.dev/tenant=acme',
  servers: [{ name: 'acme-0', state: 'Healthy', version: '1.0.102', restarts: 0 }],
};

describe('the CRD', () => {
  it('is established, and structural according to the API server', async () => {
    const crd = (await json('get', 'crd', 'copilottenants.copilot-operator.dev')) as {
      status: { conditions: { type: string; status: string }[] };
    };
    const conditions = Object.fromEntries(crd.status.conditions.map(({ type, status: is }) => [type, is]));
    expect(conditions).toEqual({ NamesAccepted: 'True', Established: 'True' });
  });

  it('is found by its short name and its category', async () => {
    const resources = await api.kubectl.ok(['api-resources', '--categories=copilot', '-o', 'wide', '--no-headers']);
    expect(resources).toMatch(/^copilottenants +ct +copilot-operator\.dev\/v1alpha1 +true +CopilotTenant /m);
    expect(resources).toMatch(/^copilotsessions +csn +copilot-operator\.dev\/v1alpha1 +true +CopilotSession /m);
  });
});

describe('kubectl explain', () => {
  beforeAll(async () => {
    // The API server publishes the schema of a new CRD some time after it is established.
    await waitFor('the schema is published', () => api.kubectl.ok(['explain', 'ct']), {
      withinMs: 30_000,
      everyMs: 500,
    });
  });

  it('describes each field of the spec', async () => {
    const text = await api.kubectl.ok(['explain', 'ct.spec']);
    for (const field of ['suspend', 'replicas', 'server', 'model', 'storage', 'sessions', 'health', 'network']) {
      expect(text).toMatch(new RegExp(`^  ${field}\\t<\\w+>\\n +\\S+ \\S+`, 'm'));
    }
  });

  it('warns where the agent can read a credential', async () => {
    const text = await api.kubectl.ok(['explain', 'ct.spec.model.github.tokenSecretRef']);
    expect(text.replaceAll(/\s+/g, ' ')).toContain('where the agent can read it');
  });
});

describe('a tenant', () => {
  beforeAll(async () => {
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('acme', { replicas: 3 }));
    await api.kubectl.ok([
      'patch',
      'ct/acme',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status }),
    ]);
  });

  it('shows in kubectl get what an administrator needs first', async () => {
    const lines = (await api.kubectl.ok(['get', 'ct'])).trim().split('\n');
    expect(lines.map((line) => line.trim().split(/ {2,}/).slice(0, 5))).toEqual([
      ['NAME', 'READY', 'SERVERS', 'SESSIONS', 'HEALTH'],
      ['acme', 'False', '2/3', '7', 'Timeout'],
    ]);
  });

  it('shows its endpoint and what is wrong with -o wide', async () => {
    const wide = await api.kubectl.ok(['get', 'ct', '-o', 'wide']);
    expect(wide).toMatch(/ENDPOINT +HIBERNATED +MESSAGE/);
    expect(wide).toMatch(/acme-0\.default\.svc:4321 +acme-1 does not answer/);
  });

  it('keeps its status when its spec is replaced, and its spec when its status is written', async () => {
    await api.kubectl.ok(['patch', 'ct/acme', '--type=merge', '-p', '{"status": {"replicas": 9}}']);
    await api.kubectl.ok([
      'patch',
      'ct/acme',
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"spec": {"replicas": 9}}',
    ]);
    expect(await json('get', 'ct/acme')).toMatchObject({ spec: { replicas: 3 }, status: { replicas: 3 } });
  });

  it('has its conditions and servers merged one by one by server-side apply', async () => {
    const patch = {
      conditions: [{ ...status.conditions[0], status: 'True' }],
      servers: [{ name: 'acme-1', state: 'Starting', restarts: 1 }],
    };
    const tenant = { ...tenantManifest('acme'), status: patch };
    await api.kubectl.ok(
      ['apply', '--server-side', '--subresource=status', '--force-conflicts', '--field-manager=test', '-f', '-'],
      tenant,
    );
    expect(await json('get', 'ct/acme')).toMatchObject({
      status: {
        conditions: [{ type: 'Ready', status: 'True' }, { type: 'Healthy' }],
        servers: [{ name: 'acme-0' }, { name: 'acme-1' }],
      },
    });
  });

  it.each<[string, unknown, string]>([
    [
      'a state that does not exist',
      { servers: [{ name: 'acme-0', state: 'Fine', restarts: 0 }] },
      'status.servers[0].state',
    ],
    [
      'a condition without a reason',
      { conditions: [{ ...status.conditions[0], reason: '' }] },
      'status.conditions[0].reason',
    ],
  ])('takes no status with %s', async (_case, patch, message) => {
    const args = ['patch', 'ct/acme', '--subresource=status', '--type=merge', '--dry-run=server'];
    const { stderr } = await api.kubectl.try([...args, '-p', JSON.stringify({ status: patch })]);
    expect(stderr).toContain(message);
  });
});

describe('the scale subresource', () => {
  beforeAll(async () => {
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('scaled'));
    const observed = { replicas: 1, selector: 'copilot-operator.dev/tenant=scaled' };
    await api.kubectl.ok([
      'patch',
      'ct/scaled',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status: observed }),
    ]);
  });

  it('is what an autoscaler reads', async () => {
    expect(JSON.parse(await api.kubectl.ok(['get', 'ct/scaled', '--subresource=scale', '-o', 'json']))).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 1 },
      status: { replicas: 1, selector: 'copilot-operator.dev/tenant=scaled' },
    });
  });

  it('is what kubectl scale writes', async () => {
    await api.kubectl.ok(['scale', 'ct/scaled', '--replicas=3']);
    expect(await json('get', 'ct/scaled')).toMatchObject({ spec: { replicas: 3 } });
  });

  it('has the bounds of the field', async () => {
    const { code, stderr } = await api.kubectl.try(['scale', 'ct/scaled', '--replicas=1000']);
    expect(stderr).toContain('spec.replicas in body should be less than or equal to 64');
    expect(code).not.toBe(0);
  });
});
