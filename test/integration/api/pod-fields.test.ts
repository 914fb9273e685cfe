// Which fields of pods the API server accepts in a tenant, and that what the operator makes of them is stored as it was written.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tenantSpec, type CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { deployment } from '../../../src/tenant/builders/deployment.ts';
import { serviceAccount } from '../../../src/tenant/builders/serviceaccount.ts';
import { startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';
import { sampleTenant } from '../../support/tenants.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
});
afterAll(() => api.stop());

async function refusal(spec: unknown): Promise<string> {
  const { code, stdout, stderr } = await api.kubectl.try(
    ['create', '--dry-run=server', '-f', '-'],
    tenantManifest('acme', spec),
  );
  if (code === 0) throw new Error(`was accepted: ${stdout}`);
  return stderr;
}

const env = (...variables: unknown[]) => ({ server: { env: variables } });
const proxy = (fields: unknown) => ({ network: { proxy: fields } });
const labels = (key: string, value = 'x') => ({ pods: { labels: { [key]: value } } });

/** Every field of this file, as a cluster with a proxy and its own users sets them. */
const EVERYTHING: CopilotTenantSpecInput = {
  pods: {
    labels: { team: 'agents', 'example.com/cost-centre': '', 'azure.workload.identity/use': 'true' },
    annotations: { 'example.com/note': 'a sentence, with a comma', 'kubectl.kubernetes.io/restartedAt': '2026-01-02' },
    serviceAccountAnnotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/agents' },
    securityContext: 'FromCluster',
  },
  server: {
    githubHost: 'example.ghe.com',
    env: [
      { name: 'LOG_LEVEL', value: 'debug' },
      { name: 'EMPTY', value: '' },
      { name: 'PROXY_LOGIN', valueFrom: { secretKeyRef: { name: 'proxy', key: 'login' } } },
      { name: 'REGION', valueFrom: { configMapKeyRef: { name: 'settings', key: 'region' } } },
      { name: 'GH_TOKEN', valueFrom: { secretKeyRef: { name: 'agent', key: 'token' } } },
      { name: 'SSL_CERT_FILE', value: '/etc/copilot-operator/ca/ca.crt' },
    ],
  },
  network: {
    proxy: {
      httpProxy: 'http://proxy.example.com:3128',
      httpsProxy: 'http://$(PROXY_LOGIN)@proxy.example.com:3128/',
      noProxy: ['10.0.0.0/8', '.example.com', 'fd00::1'],
    },
    caBundle: { configMapKeyRef: { name: 'company-ca', key: 'bundle.pem' } },
  },
  sessions: { cleanupResources: { requests: { cpu: 1 }, limits: { cpu: '1', memory: '1Gi' } } },
};

describe('a manifest is refused with the field and the remedy', () => {
  it.each([
    'copilot-operator.dev/tenant',
    'copilot-operator.dev/client-of',
    'app.kubernetes.io/name',
    'app.kubernetes.io/component',
    'batch.kubernetes.io/job-name',
    'pod-template-hash',
    'controller-uid',
    'job-name',
  ])('the label %s, which selectors use', async (key) => {
    expect(await refusal(labels(key))).toContain(
      'spec.pods.labels: keys that begin with copilot-operator.dev/, app.kubernetes.io/, batch.kubernetes.io/, pod-template-hash, controller-uid, job-name are reserved, because controllers and selectors use them: remove them',
    );
  });

  it.each<[string, unknown, string]>([
    ['a label that is no name', labels('a b'), 'spec.pods.labels: a key must be a name such as team'],
    ['a label with two prefixes', labels('a/b/c'), 'spec.pods.labels: a key must be a name such as team'],
    ['a label value with a space', labels('team', 'a b'), 'spec.pods.labels.team in body should match'],
    ['a label value that is too long', labels('team', 'a'.repeat(64)), 'spec.pods.labels.team: Too long'],
    [
      'an annotation of the operator',
      { pods: { annotations: { 'copilot-operator.dev/credentials-hash': 'x' } } },
      'spec.pods.annotations: keys that begin with copilot-operator.dev/ are reserved',
    ],
    [
      'an annotation that limits which Secrets the pods may mount',
      { pods: { serviceAccountAnnotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } } },
      'spec.pods.serviceAccountAnnotations: keys that begin with copilot-operator.dev/, kubernetes.io/',
    ],
    [
      'another security context',
      { pods: { securityContext: 'Root' } },
      'spec.pods.securityContext: Unsupported value: "Root"',
    ],
    ['a variable without a name', env({ value: 'x' }), 'spec.server.env[0].name: Required value'],
    ['a variable with a dash', env({ name: 'a-b' }), 'spec.server.env[0].name in body should match'],
    ['a variable twice', env({ name: 'A' }, { name: 'A' }), 'spec.server.env[1]: Duplicate value'],
    [
      'a variable with two values',
      env({ name: 'A', value: 'x', valueFrom: { secretKeyRef: { name: 'a', key: 'b' } } }),
      'spec.server.env: a variable must not have both value and valueFrom: remove one',
    ],
    [
      'a variable from nowhere',
      env({ name: 'A', valueFrom: {} }),
      'spec.server.env: valueFrom must have either secretKeyRef or configMapKeyRef',
    ],
    [
      'a variable from two places',
      env({
        name: 'A',
        valueFrom: { secretKeyRef: { name: 'a', key: 'b' }, configMapKeyRef: { name: 'a', key: 'b' } },
      }),
      'spec.server.env: valueFrom must have either secretKeyRef or configMapKeyRef',
    ],
    ['a variable from another kind', env({ name: 'A', valueFrom: { fieldRef: { fieldPath: 'x' } } }), 'fieldRef'],
    ['a host with a scheme', { server: { githubHost: 'https://example.ghe.com' } }, 'spec.server.githubHost in body'],
    ['no proxy', proxy({}), 'spec.network.proxy must have httpProxy or httpsProxy'],
    ['a proxy without a scheme', proxy({ httpProxy: 'proxy:3128' }), 'spec.network.proxy.httpProxy in body'],
    [
      'a password that everyone can read',
      proxy({ httpsProxy: 'http://user:secret@proxy:3128' }),
      'spec.network.proxy: a password must not be in the address, where everyone who may read tenants sees it: set a variable from a Secret in spec.server.env, and write $(NAME) here',
    ],
    ['two hosts in one', proxy({ httpProxy: 'http://p:1', noProxy: ['a,b'] }), 'spec.network.proxy.noProxy[0] in body'],
    ['a CA bundle of nothing', { network: { caBundle: {} } }, 'spec.network.caBundle.configMapKeyRef: Required value'],
    [
      'a cleanup resource of no quantity',
      { sessions: { cleanupResources: { limits: { cpu: 'two' } } } },
      'spec.sessions.cleanupResources.limits.cpu in body',
    ],
  ])('%s', async (_case, spec, message) => {
    expect(await refusal(spec)).toContain(message);
  });

  it.each([
    ...['HOME', 'COPILOT_HOME', 'COPILOT_AUTO_UPDATE', 'COPILOT_CONNECTION_TOKEN'].map((name) => [
      name,
      'the server cannot work with another value. Remove the variable',
    ]),
    ['COPILOT_GITHUB_TOKEN', 'set spec.model.github instead'],
    ['COPILOT_GH_HOST', 'set spec.server.githubHost instead'],
    ['HTTPS_PROXY', 'set spec.network.proxy instead'],
    ['no_proxy', 'set spec.network.proxy instead'],
    ['NODE_EXTRA_CA_CERTS', 'set spec.network.caBundle instead'],
  ])('the variable %s: %s', async (name, remedy) => {
    const message = await refusal(env({ name, value: 'x' }));
    expect(message).toContain('spec.server.env must not set ');
    expect(message).toContain(`: ${remedy}`);
  });
});

describe('everything that a cluster may need', () => {
  it('is accepted, and the schema in the operator reads it alike', async () => {
    const created = JSON.parse(
      await api.kubectl.ok(['create', '--dry-run=server', '-o', 'json', '-f', '-'], tenantManifest('acme', EVERYTHING)),
    ) as { spec: unknown };
    expect(created.spec).toEqual(tenantSpec.parse(EVERYTHING));
  });

  it('the most variables and labels are accepted', async () => {
    const most = {
      ...env(...Array.from({ length: 64 }, (_, i) => ({ name: `V${i}`, value: 'x'.repeat(1000) }))),
      pods: { labels: Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`example.com/l${i}`, 'x'])) },
    };
    await api.kubectl.ok(['create', '--dry-run=server', '-f', '-'], tenantManifest('acme', most));
  });

  it('applying the same manifest again changes nothing, so GitOps tools find no difference', async () => {
    const apply = async () => {
      const args = ['apply', '--server-side', '--field-manager=gitops', '-o', 'json', '-f', '-'];
      const applied = await api.kubectl.ok(args, tenantManifest('again', EVERYTHING));
      return (JSON.parse(applied) as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
    };
    const first = await apply();
    expect(await apply()).toBe(first);
    const diff = await api.kubectl.try(['diff', '--server-side', '-f', '-'], tenantManifest('again', EVERYTHING));
    expect(diff.code).toBe(0);
  });
});

describe('kubectl explain', () => {
  it.each([
    ['spec.server.env', 'The agent and its commands can read all of them, also values from Secrets'],
    ['spec.pods.serviceAccountAnnotations', 'Whatever the identity may do, the agent may do'],
    ['spec.network.proxy', 'The NetworkPolicy must allow it'],
  ])('%s says: %s', async (field, text) => {
    const explained = await api.kubectl.ok(['explain', `ct.${field}`]);
    expect(explained.replaceAll(/\s+/g, ' ')).toContain(text);
  });
});

describe('what the operator makes of it', () => {
  const facts = { image: { image: 'i', isDefault: true }, running: true, credentialsHash: 'hash' };

  it('is stored as it was written: the next reconcile finds no difference', async () => {
    const tenant = sampleTenant(EVERYTHING);
    for (const child of [deployment(tenant, 0, facts), serviceAccount(tenant)]) {
      const { ownerReferences: _, ...metadata } = child.metadata;
      const object = { ...child, metadata: { ...metadata, namespace: 'default' } };
      const stored: unknown = JSON.parse(await api.kubectl.ok(['create', '-o', 'json', '-f', '-'], object));
      expect(stored).toMatchObject(object);
    }
  });
});
