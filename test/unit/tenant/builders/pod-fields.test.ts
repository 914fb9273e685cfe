// The fields that users set on pods, on every kind of pod that they apply to.
import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Deployment } from '../../../../src/kube/types/builtins.ts';
import { removalJob } from '../../../../src/session/builders/removaljob.ts';
import { cronJob } from '../../../../src/tenant/builders/cronjob.ts';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { serviceAccount } from '../../../../src/tenant/builders/serviceaccount.ts';
import { sweepJob } from '../../../../src/tenant/builders/sweepjob.ts';
import { restrictedViolations } from '../../../support/pod-security.ts';
import { sampleSession } from '../../../support/sessions.ts';
import { sampleTenant } from '../../../support/tenants.ts';

type Template = NonNullable<Deployment['spec']>['template'];

const IMAGE = 'example.com/operator:1';
const FACTS = {
  image: { image: 'example.com/copilot-cli:1', isDefault: true },
  running: true,
  credentialsHash: 'hash',
};

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the builder made no pod template');
  return value;
}

const tenantWith = (spec: CopilotTenantSpecInput) =>
  sampleTenant({ ...spec, sessions: { ttl: '1h', ...spec.sessions } });

const server = (spec: CopilotTenantSpecInput): Template => found(deployment(tenantWith(spec), 0, FACTS).spec?.template);

/** The pods that run the operator's image. */
const CLEANUPS: Record<string, (spec: CopilotTenantSpecInput) => Template> = {
  'the cleanup': (spec) => {
    const scope = { servers: [0], volumes: [0], reason: 'ThroughServers', message: '' } as const;
    return found(cronJob(tenantWith(spec), { image: IMAGE, scope, paused: false }).spec?.jobTemplate.spec?.template);
  },
  'a sweep': (spec) =>
    found(sweepJob(tenantWith(spec), 0, { image: IMAGE, at: '', besideServer: true }).spec?.template),
  'the removal of a session': (spec) =>
    found(removalJob(tenantWith(spec), 0, { image: IMAGE, sessions: [sampleSession()] }).spec?.template),
};
const PODS = Object.entries({ 'a server': server, ...CLEANUPS });

const containerOf = ({ spec }: Template) => found(spec?.containers[0]);
const environmentOf = (spec: CopilotTenantSpecInput) => containerOf(server(spec)).env ?? [];
const valueOf = (spec: CopilotTenantSpecInput, name: string) =>
  environmentOf(spec).find((variable) => variable.name === name)?.value;

describe.each(PODS)('the pod of %s', (_, templateOf) => {
  it('has the labels and annotations of spec.pods', () => {
    const pods = { labels: { 'example.com/team': 'a' }, annotations: { 'example.com/note': 'b' } };
    expect(templateOf({ pods }).metadata).toMatchObject(pods);
  });

  it('keeps its own labels and annotations, which selectors and the operator use', () => {
    const own = templateOf({}).metadata;
    const overwritten = (map: Record<string, string> = {}) =>
      Object.fromEntries(Object.keys(map).map((key) => [key, 'changed']));
    const pods = { labels: overwritten(own?.labels), annotations: overwritten(own?.annotations) };
    expect(templateOf({ pods }).metadata).toEqual(own);
  });

  it('names no user and no group where the cluster chooses them', () => {
    const { spec } = templateOf({ pods: { securityContext: 'FromCluster' } });
    const named = ['runAsUser', 'runAsGroup', 'fsGroup', 'supplementalGroups'];
    for (const field of named) {
      expect(spec?.securityContext).not.toHaveProperty(field);
      expect(containerOf({ spec } as Template).securityContext).not.toHaveProperty(field);
    }
  });

  it.each(['Fixed', 'FromCluster'] as const)('passes the standard "restricted" with user %s', (securityContext) => {
    const { spec } = templateOf({ pods: { securityContext } });
    expect(restrictedViolations(found(spec))).toEqual([]);
  });

  it('is the same without these fields and with their defaults', () => {
    expect(templateOf({ pods: {} })).toEqual(templateOf({}));
    expect(templateOf({ pods: { securityContext: 'Fixed' } })).toEqual(templateOf({}));
  });
});

describe.each(Object.entries(CLEANUPS))('the pod of %s', (_, templateOf) => {
  it('has the resources of spec.sessions.cleanupResources, as text', () => {
    const cleanupResources = { requests: { cpu: 1 }, limits: { cpu: '2', memory: '1Gi' } };
    expect(containerOf(templateOf({ sessions: { cleanupResources } })).resources).toEqual({
      requests: { cpu: '1' },
      limits: { cpu: '2', memory: '1Gi' },
    });
  });

  it('gets no sidecar of a service mesh, which would keep its Job from completing, whatever the spec says', () => {
    const injected = { 'sidecar.istio.io/inject': 'true', 'kuma.io/sidecar-injection': 'enabled' };
    const meshed = { ...injected, 'linkerd.io/inject': 'enabled', 'consul.hashicorp.com/connect-inject': 'true' };
    const { labels, annotations } = templateOf({ pods: { labels: injected, annotations: meshed } }).metadata ?? {};
    expect(labels).toMatchObject({ 'sidecar.istio.io/inject': 'false', 'kuma.io/sidecar-injection': 'disabled' });
    expect(annotations).toMatchObject({
      'sidecar.istio.io/inject': 'false',
      'linkerd.io/inject': 'disabled',
      'consul.hashicorp.com/connect-inject': 'false',
    });
  });

  it('has small ones by default', () => {
    expect(containerOf(templateOf({})).resources).toEqual({
      requests: { cpu: '50m', memory: '64Mi' },
      limits: { memory: '256Mi' },
    });
  });

  it('gets no variables, no proxy and no CA bundle: it only connects to the servers of the tenant', () => {
    const spec: CopilotTenantSpecInput = {
      server: { env: [{ name: 'EXTRA', value: 'x' }], githubHost: 'example.ghe.com' },
      network: { proxy: { httpProxy: 'http://proxy:1' }, caBundle: { configMapKeyRef: { name: 'ca' } } },
    };
    expect(templateOf(spec)).toEqual(templateOf({}));
  });
});

describe('the variables of a server', () => {
  const secretKeyRef = { name: 'login', key: 'token' };

  it('are the operator’s and then those of spec.server.env, in their order', () => {
    const env = [
      { name: 'ONE', value: '1' },
      { name: 'TWO', valueFrom: { secretKeyRef } },
      { name: 'THREE', valueFrom: { configMapKeyRef: { name: 'settings', key: 'three' } } },
    ];
    expect(environmentOf({ server: { env } })).toEqual([...environmentOf({}), ...env]);
  });

  it('have no empty value, which the API server does not store', () => {
    expect(environmentOf({ server: { env: [{ name: 'EMPTY', value: '' }] } }).at(-1)).toEqual({ name: 'EMPTY' });
  });

  it('are never there twice: a variable of the operator that a user may set is replaced', () => {
    const env = [{ name: 'GIT_CONFIG_COUNT', value: '0' }];
    const found = environmentOf({ server: { env } }).filter(({ name }) => name === 'GIT_CONFIG_COUNT');
    expect(found).toEqual(env);
  });

  it('let git work in the workspace, whose volume belongs to root, from revision 2 on', () => {
    expect(valueOf({}, 'GIT_CONFIG_VALUE_0')).toBe(containerOf(server({})).workingDir);
    const first = deployment(sampleTenant(), 0, { ...FACTS, revision: 1 }).spec?.template;
    expect(containerOf(found(first)).env?.filter(({ name }) => name.startsWith('GIT_'))).toEqual([]);
  });

  it('have the GitHub host', () => {
    expect(valueOf({ server: { githubHost: 'example.ghe.com' } }, 'COPILOT_GH_HOST')).toBe('example.ghe.com');
  });
});

describe('the proxy of a server', () => {
  const proxy = { httpProxy: 'http://proxy:1', httpsProxy: 'http://proxy:2', noProxy: ['10.0.0.0/8', 'example.com'] };
  const spec = { network: { proxy } };
  const direct = 'localhost,127.0.0.1,::1,.svc,.cluster.local';

  it.each([
    ['HTTP_PROXY', 'http://proxy:1'],
    ['http_proxy', 'http://proxy:1'],
    ['HTTPS_PROXY', 'http://proxy:2'],
    ['https_proxy', 'http://proxy:2'],
    ['NO_PROXY', `${direct},10.0.0.0/8,example.com`],
    ['no_proxy', `${direct},10.0.0.0/8,example.com`],
  ])('is in %s', (name, value) => {
    expect(valueOf(spec, name)).toBe(value);
  });

  it('never applies to the loopback and to Services, and only where it is set', () => {
    const names = environmentOf({ network: { proxy: { httpsProxy: 'http://proxy:2' } } }).map(({ name }) => name);
    expect(names).not.toContain('HTTP_PROXY');
    expect(valueOf({ network: { proxy: { httpsProxy: 'http://proxy:2' } } }, 'NO_PROXY')).toBe(direct);
  });

  it('comes after the variables of users, which its address may refer to', () => {
    const env = [{ name: 'PROXY_LOGIN', valueFrom: { secretKeyRef: { name: 'login', key: 'proxy' } } }];
    const names = environmentOf({ ...spec, server: { env } }).map(({ name }) => name);
    expect(names.indexOf('HTTPS_PROXY')).toBeGreaterThan(names.indexOf('PROXY_LOGIN'));
  });
});

describe('the CA bundle of a server', () => {
  const template = server({ network: { caBundle: { configMapKeyRef: { name: 'ca', key: 'bundle.pem' } } } });
  const container = containerOf(template);
  const file = container.env?.find(({ name }) => name === 'NODE_EXTRA_CA_CERTS')?.value ?? '';

  it('is a file of the ConfigMap’s key, which the server reads', () => {
    const mount = container.volumeMounts?.find(({ mountPath }) => file === `${mountPath}/ca.crt`);
    const volume = template.spec?.volumes?.find(({ name }) => name === mount?.name);
    expect(mount?.readOnly).toBe(true);
    expect(volume?.configMap).toEqual({ name: 'ca', items: [{ key: 'bundle.pem', path: 'ca.crt' }] });
  });
});

describe('the ServiceAccount of the pods', () => {
  it('has the annotations of spec.pods.serviceAccountAnnotations', () => {
    const serviceAccountAnnotations = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/agents' };
    expect(serviceAccount(sampleTenant({ pods: { serviceAccountAnnotations } })).metadata.annotations).toEqual(
      serviceAccountAnnotations,
    );
    expect(serviceAccount(sampleTenant()).metadata).not.toHaveProperty('annotations');
  });
});
