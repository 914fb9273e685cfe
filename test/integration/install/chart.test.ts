import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BASE, RENDER_ARGS, baseManifests } from '../../../scripts/render-base.ts';
import { parseOidcConfig } from '../../../src/gateway/admission/oidc/config.ts';
import { parseGatewayOptions } from '../../../src/commands/gateway/options.ts';
import { parseOperatorOptions } from '../../../src/commands/operator/options.ts';
import { FIELD_MANAGER, GATEWAY_APP_NAME, Label } from '../../../src/api/names.ts';
import { gatewayRole } from '../../../src/tenant/builders/gatewayrole.ts';
import { serviceAccount } from '../../../src/tenant/builders/serviceaccount.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { ALERT_FILES, alertsIn, type AlertGroups } from '../../support/alerts.ts';
import { CHART, REQUIRED_VALUES, helm, helmFailure, objectsOf, render, type PolicyRule } from '../../support/chart.ts';
import { yamlUnder } from '../../support/docs-examples.ts';
import { startOperator } from '../../support/operator.ts';
import { PROMETHEUS_RULE, SERVICE_MONITOR } from '../../support/prometheus-crd.ts';
import { PROJECT, startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  // The plugin that requires the permission to block the deletion of an owner; on by default on OpenShift.
  api = await startTenantApi({ flags: ['--enable-admission-plugins=OwnerReferencesPermissionEnforcement'] });
  for (const namespace of ['operators', 'team-a', 'team-b', 'elsewhere', 'copilot-operator-system']) {
    await api.kubectl.ok(['create', 'namespace', namespace]);
  }
  await api.kubectl.ok(['label', 'namespace', 'operators', 'pod-security.kubernetes.io/enforce=restricted']);
});
afterAll(() => api.stop());

/** An OIDC issuer, as the values have it. */
const oidc = {
  issuer: { url: 'https://login.example.com', audiences: ['copilot-gateway'] },
  claimMappings: { username: { claim: 'sub', prefix: 'example:' } },
};
const MEMORY = { resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '256Mi' } } };
const TEMPLATE = ['template', 'copilot-operator', CHART];
const dryRun = (manifests: string) =>
  api.kubectl.ok(['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'], manifests);

describe('the chart', () => {
  it('passes helm lint', async () => {
    await helm(['lint', '--strict', CHART], REQUIRED_VALUES);
  });

  it.each<[string, object, string]>([
    ['the operator image', { ...REQUIRED_VALUES, image: {} }, 'image.repository is not set: name the operator image'],
    [
      'the server image',
      { ...REQUIRED_VALUES, serverImage: '' },
      'serverImage is not set: name the Copilot CLI server',
    ],
  ])('asks for %s, and says where it comes from', async (_case, values, message) => {
    const failure = await helmFailure(TEMPLATE, values);
    expect(failure).toContain(message);
    expect(failure).toContain('make images CLUSTER=current IMAGE_REGISTRY=');
  });

  it.each<[string, object, string]>([
    ['a misspelt value', { replica: 3 }, "additional properties 'replica' not allowed"],
    ['a misspelt value inside', { crds: { keeps: true } }, "additional properties 'keeps' not allowed"],
    ['a namespace that is none', { watchNamespaces: ['Team A'] }, '/watchNamespaces/0'],
    ['a log level that is none', { logLevel: 'loud' }, '/logLevel'],
    ['a place of runbooks that is none', { metrics: { prometheusRule: { runbookURL: 'a b' } } }, '/runbookURL'],
    ...[4321, 4322, 4323, 4324, 8081, 8082].map((port): [string, object, string] => [
      `metrics on port ${port}, which is taken`,
      { metrics: { port } },
      '/metrics/port',
    ]),
    [
      'an OIDC issuer without a prefix for its users',
      { gateway: { oidc: { jwt: [{ ...oidc, claimMappings: { username: { claim: 'sub' } } }] } } },
      '/gateway/oidc/jwt/0/claimMappings/username',
    ],
    ['an address of the gateway without a port', { gateway: { address: 'gateway.example.com' } }, '/gateway/address'],
    [
      'a range of replicas that is none',
      { gateway: { autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 2 } } },
      'gateway.autoscaling.minReplicas is 3 and maxReplicas 2',
    ],
  ])('refuses %s', async (_case, values, message) => {
    expect(await helmFailure(TEMPLATE, { ...REQUIRED_VALUES, ...values })).toContain(message);
  });

  it.each([
    ['marks its CRDs as to be kept, for Helm and for Argo CD', true],
    ['leaves the marks out when they are not to be kept', false],
  ])('%s', async (_case, keep) => {
    const marks = { 'helm.sh/resource-policy': 'keep', 'argocd.argoproj.io/sync-options': 'Prune=false' };
    const crds = objectsOf(await render({ crds: { keep } })).filter(({ kind }) => kind === 'CustomResourceDefinition');
    expect(crds.map(({ metadata }) => metadata.annotations)).toEqual(keep ? [marks, marks] : [undefined, undefined]);
  });

  it('refuses a ServiceMonitor without a Service to select', async () => {
    const metrics = { service: { enabled: false }, serviceMonitor: { enabled: true } };
    expect(await helmFailure(TEMPLATE, { ...REQUIRED_VALUES, metrics })).toContain('needs metrics.service.enabled');
  });

  it.each<[string, object, string[]]>([
    ['alerts of operator and gateway', {}, ['copilot-operator', 'copilot-gateway']],
    ['alerts of the operator alone where there is no gateway', { gateway: { enabled: false } }, ['copilot-operator']],
  ])('has %s, about this release and with their pages', async (_case, values, names) => {
    const prometheusRule = { enabled: true, labels: { a: 'b' }, runbookURL: 'https://docs.example.com/runbooks/' };
    const rules = objectsOf(await render({ ...values, metrics: { prometheusRule } })).filter(
      ({ kind }) => kind === 'PrometheusRule',
    );
    expect(rules.map(({ metadata }) => metadata.name)).toEqual(names);
    for (const { metadata, spec } of rules) {
      expect(metadata).toMatchObject({ namespace: 'operators', labels: { a: 'b' } });
      const text = JSON.stringify(spec);
      expect(text).toContain('namespace=\\"operators\\"');
      expect(text).toContain('"runbook_url":"https://docs.example.com/runbooks/');
      expect(text).not.toMatch(/RELEASE_NAMESPACE|RUNBOOK_URL|runbooks\/\//);
    }
    const alerts = rules.flatMap(({ spec }) => (spec as unknown as AlertGroups).groups.flatMap((group) => group.rules));
    const files = ALERT_FILES.slice(0, names.length);
    expect(alerts.map(({ alert }) => alert)).toEqual(files.flatMap(alertsIn).map(({ alert }) => alert));
  });

  it('has no alerts by default', async () => {
    expect(objectsOf(await render()).map(({ kind }) => kind)).not.toContain('PrometheusRule');
  });

  it('starts the operator with flags that it accepts', async () => {
    const values = {
      watchNamespaces: ['team-a', 'team-b'],
      clusterCIDRs: ['198.51.100.0/24'],
      logLevel: 'debug',
      maxConcurrentRollouts: 0,
    };
    const clusterDNS = ['10.96.0.10', 'fd00::/64', 'dns/example.com/app=unbound'];
    const rendered = await render({ ...values, clusterDNS, requireSecretLabel: 'tenants=yes' });
    const { spec } = objectsOf(rendered).find(({ kind }) => kind === 'Deployment') ?? {};
    const pod = (spec?.['template'] as { spec: { containers: { args: string[] }[] } } | undefined)?.spec;
    const [command, ...flags] = pod?.containers[0]?.args ?? [];
    expect(command).toBe('operator');
    expect(parseOperatorOptions(flags, {})).toMatchObject({
      ...values,
      requireSecretLabel: { key: 'tenants', value: 'yes' },
      clusterDNS: [
        { cidr: '10.96.0.10/32' },
        { cidr: 'fd00::/64' },
        { namespace: 'dns', label: { key: 'example.com/app', value: 'unbound' } },
      ],
      serverImage: REQUIRED_VALUES.serverImage,
      leaderElect: true,
      metrics: { port: 8080 },
      healthProbe: { port: 8081 },
    });
  });

  it.each<[string, object, object | undefined]>([
    ['none is installed', { gateway: { enabled: false } }, undefined],
    ['it is installed', {}, { host: 'copilot-gateway.operators.svc', port: 4321, serviceAccount: 'copilot-gateway' }],
    [
      'it has another name, and clients come by a load balancer',
      {
        fullnameOverride: 'ai',
        gateway: { address: 'copilot.example.com:443', serviceAccount: { name: 'door' } },
      },
      { host: 'copilot.example.com', port: 443, serviceAccount: 'door' },
    ],
  ])('tells the operator where the gateway is if %s', async (_case, values, gateway) => {
    const deployments = objectsOf(await render(values)).filter(({ kind }) => kind === 'Deployment');
    const commands = deployments.map(({ spec }) => {
      const { template } = spec as { template: { spec: { containers: { args: string[] }[] } } };
      return template.spec.containers[0]?.args ?? [];
    });
    const [, ...flags] = commands.find(([command]) => command === 'operator') ?? [];
    expect(parseOperatorOptions(flags, {}).gateway).toEqual(gateway);
    const tokenFile = '/var/run/secrets/copilot-gateway/token';
    const objects = objectsOf(await render(values));
    const service = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name.endsWith('gateway'));
    const internal = { service: service?.metadata.name, port: 4323, tokenFile };
    expect(parseOperatorOptions(flags, {}).gatewayInternal).toEqual(gateway && internal);
    expect(commands.some(([command]) => command === 'gateway')).toBe(gateway !== undefined);
  });

  it('starts the gateway with flags that it accepts', async () => {
    const gatewayFlags = async (values: object) => {
      const objects = objectsOf(await render({ ...values, watchNamespaces: ['team-a', 'team-b'] }));
      const { spec } =
        objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'copilot-gateway') ?? {};
      const template = spec?.['template'] as { spec: { containers: { args: string[] }[] } } | undefined;
      return template?.spec.containers[0]?.args.slice(1) ?? [];
    };
    const common = {
      listenPort: 4321,
      healthPort: 8081,
      metricsPort: 8080,
      internalPort: 4323,
      watchNamespaces: ['team-a', 'team-b'],
    };
    expect(parseGatewayOptions(await gatewayFlags({}))).toMatchObject({
      ...common,
      tls: undefined,
      proxies: undefined,
      maxConnections: 20_000,
      maxConnectionsPerTenant: 5_000,
      maxUnreadBytes: 134_217_728,
      maxKeptBytes: 67_108_864,
      drainTimeoutMs: 3_595_000,
    });
    const tls = { secretName: 'certificate', clientCertificates: true };
    const proxyProtocolFrom = ['198.51.100.7', 'fd00::/64'];
    const all = {
      tls,
      proxyProtocolFrom,
      maxConnections: 100,
      maxConnectionsPerTenant: 90,
      serverMetrics: true,
      keepaliveMessages: '45s',
      maxUnreadBytes: '64Mi',
      maxKeptBytes: '32Mi',
    };
    const options = parseGatewayOptions(await gatewayFlags({ gateway: all, logLevel: 'debug' }));
    const folder = '/etc/copilot-gateway/tls';
    expect(options).toMatchObject({
      ...common,
      tls: { port: 4322, cert: `${folder}/tls.crt`, key: `${folder}/tls.key`, clientCA: `${folder}/ca.crt` },
      maxConnections: 100,
      maxConnectionsPerTenant: 90,
      serverMetrics: true,
      keepaliveMs: 45_000,
      maxUnreadBytes: 67_108_864,
      maxKeptBytes: 33_554_432,
      logLevel: 'debug',
    });
    expect(options.proxies?.check('198.51.100.7')).toBe(true);
  });

  it('starts the gateway with the flags of node for which the image has compiled it', async () => {
    const objects = objectsOf(await render());
    const isGateway = ({ kind, metadata }: (typeof objects)[number]) =>
      kind === 'Deployment' && metadata.name === 'copilot-gateway';
    const template = objects.find(isGateway)?.spec?.['template'] as
      { spec: { containers: { command: string[] }[] } } | undefined;
    const { command = [] } = template?.spec.containers[0] ?? {};
    const dockerfile = readFileSync(join(PROJECT, 'Dockerfile'), 'utf8');
    expect(command.slice(0, 1)).toEqual(['node']);
    expect(dockerfile).toContain(`RUN ${command.join(' ')} gateway --kubeconfig=/nonexistent`);
  });

  it('mounts the issuers of OIDC tokens as a file that the gateway follows, so that a change replaces no pod', async () => {
    const gatewayWith = async (jwt: object[]) => {
      const objects = objectsOf(await render({ gateway: { oidc: { jwt } } }));
      const config = objects.find(({ kind }) => kind === 'ConfigMap') as { data?: Record<string, string> } | undefined;
      const deployment = objects.find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name.endsWith('gateway'),
      );
      return { content: config?.data?.['oidc.yaml'], template: JSON.stringify(deployment?.spec?.['template']) };
    };
    const { content = '', template } = await gatewayWith([oidc]);
    expect(parseOidcConfig(content, () => '')).toMatchObject([
      { url: oidc.issuer.url, audiences: ['copilot-gateway'] },
    ]);
    expect(template).toContain('--oidc-config=/etc/copilot-gateway/oidc/oidc.yaml');
    const audiences = ['another'];
    expect((await gatewayWith([{ ...oidc, issuer: { ...oidc.issuer, audiences } }])).template).toBe(template);
    expect((await gatewayWith([])).content).toBeUndefined();
    expect((await gatewayWith([])).template).not.toContain('oidc');
  });

  it('names Service and ServiceAccount of the gateway as the operator knows them', async () => {
    const objects = objectsOf(await render());
    const names = (kind: string) =>
      objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
    expect(names('Service')).toContain('copilot-gateway');
    expect(names('ServiceAccount')).toContain('copilot-gateway');
  });

  it("gives the gateway's pods the label that the NetworkPolicies of tenants let in, and not the operator's", async () => {
    const objects = objectsOf(await render());
    const labelsOf = (name: string) => {
      const found = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name);
      return (found?.spec as { template: { metadata: { labels: Record<string, string> } } } | undefined)?.template
        .metadata.labels;
    };
    expect(labelsOf('copilot-gateway')?.[Label.name]).toBe(GATEWAY_APP_NAME);
    expect(labelsOf('copilot-operator')?.[Label.name]).toBe(FIELD_MANAGER);
  });

  it('prints the next two commands, and what to do before an uninstall', async () => {
    const notes = await helm(['install', 'copilot-operator', CHART, '--dry-run=client', '--namespace=operators'], {
      ...REQUIRED_VALUES,
      watchNamespaces: ['team-a'],
    });
    expect(notes).toMatch(/kubectl -n team-a create -f - .*CopilotTenant/);
    expect(notes).toContain('kubectl -n team-a wait ct/acme --for=condition=Ready');
    expect(notes).toContain('Before that, delete the CopilotSessions that you no longer need');
  });
});

describe('an API server accepts what the chart renders', () => {
  beforeAll(async () => {
    for (const crd of [SERVICE_MONITOR, PROMETHEUS_RULE]) await api.kubectl.ok(['create', '-f', '-'], crd);
  });

  it.each<[string, object]>([
    ['by default', {}],
    ['for some namespaces', { watchNamespaces: ['team-a', 'team-b'], clusterCIDRs: ['198.51.100.0/24'] }],
    [
      'with everything set',
      {
        image: { repository: 'registry.example.com/op', digest: `sha256:${'0'.repeat(64)}` },
        imagePullSecrets: [{ name: 'registry' }],
        metrics: {
          serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
          prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
        },
        networkPolicy: {
          metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'mon' } } }],
        },
        serviceAccount: { name: 'operator', annotations: { purpose: 'test' } },
        podAnnotations: { a: 'b' },
        podLabels: { c: 'd' },
        nodeSelector: { pool: 'system' },
        tolerations: [{ operator: 'Exists' }],
        affinity: { nodeAffinity: {} },
        priorityClassName: 'system-cluster-critical',
      },
    ],
    ['without the gateway', { gateway: { enabled: false } }],
    [
      'with everything of the gateway set',
      {
        metrics: { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } },
        gateway: {
          address: '[fd00::1]:443',
          service: { type: 'LoadBalancer', annotations: { a: 'b' } },
          tls: { secretName: 'certificate', clientCertificates: true },
          proxyProtocolFrom: ['198.51.100.0/24'],
          oidc: { jwt: [oidc] },
          maxConnections: 100,
          maxConnectionsPerTenant: 90,
          serverMetrics: true,
          maxUnreadBytes: '64Mi',
          clientsFrom: [{ namespaceSelector: { matchLabels: { clients: 'yes' } } }],
          autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 5, metrics: [{ type: 'Resource', ...MEMORY }] },
          serviceAccount: { name: 'door', annotations: { purpose: 'test' } },
          podAnnotations: { a: 'b' },
          podLabels: { c: 'd' },
          nodeSelector: { pool: 'edge' },
          tolerations: [{ operator: 'Exists' }],
          affinity: { nodeAffinity: {} },
          priorityClassName: 'system-cluster-critical',
        },
      },
    ],
    ['with an autoscaler by connections', yamlUnder('gateway.md', '### Scaling the gateway')[1] as object],
  ])('%s', async (_case, values) => {
    const manifests = await render(values);
    expect((await dryRun(manifests)).trim().split('\n')).toHaveLength(objectsOf(manifests).length);
  });

  it.each(['copilot-operator', 'copilot-gateway'])(
    'in a namespace that enforces the Pod Security standard "restricted": %s',
    async (name) => {
      const objects = objectsOf(await render());
      const found = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name);
      const template = found?.spec?.['template'] as { spec: Record<string, unknown> } | undefined;
      // It is created with the chart. A pod is refused without it, and one that names none cannot have a token of it.
      const account = String(template?.spec['serviceAccountName']);
      await api.kubectl.ok(['create', 'serviceaccount', account, '--namespace=operators']);
      const metadata = { name, namespace: 'operators' };
      await dryRun(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec: template?.spec }));
    },
  );

  it('as the kustomize overlay too', async () => {
    await dryRun(await api.kubectl.ok(['kustomize', join(PROJECT, 'config/local')]));
  });
});

describe('config/base', () => {
  it('is what the chart renders: run `node scripts/render-base.ts` if this fails', async () => {
    expect(readFileSync(BASE, 'utf8')).toBe(baseManifests(await helm(RENDER_ARGS)));
  });
});

/** The service account, as RBAC names it. */
const OPERATOR = 'system:serviceaccount:operators:copilot-operator';

describe('the permissions of the operator', () => {
  const canI = async (verb: string, resource: string, namespace: string, ...more: string[]) =>
    (
      await api.kubectl.try(['auth', 'can-i', verb, resource, `--namespace=${namespace}`, `--as=${OPERATOR}`, ...more])
    ).stdout.trim();
  /** Account, roles and bindings, `rules` changed as told. Returns how to take them away. */
  const install = async (values: object, change = (rules: PolicyRule[]) => rules) => {
    const objects = objectsOf(await render(values)).filter(
      ({ apiVersion, kind }) => apiVersion.startsWith('rbac.') || kind === 'ServiceAccount',
    );
    const items = objects.map((object) => (object.rules ? { ...object, rules: change(object.rules) } : object));
    const list = { apiVersion: 'v1', kind: 'List', items };
    await api.kubectl.ok(['apply', '-f', '-'], list);
    return () => api.kubectl.ok(['delete', '--ignore-not-found', '-f', '-'], list);
  };

  it('reach every namespace by default, but never all Secrets of one', async () => {
    const uninstall = await install({});
    try {
      expect(await canI('list', 'copilottenants', 'elsewhere')).toBe('yes');
      expect(await canI('get', 'secrets/acme-token', 'elsewhere')).toBe('yes');
      for (const verb of ['list', 'watch', 'deletecollection']) {
        expect([verb, await canI(verb, 'secrets', 'elsewhere')]).toEqual([verb, 'no']);
      }
    } finally {
      await uninstall();
    }
  });

  it('are limited to the watched namespaces', async () => {
    const uninstall = await install({ watchNamespaces: ['team-a', 'team-b'] });
    try {
      expect(await canI('list', 'copilottenants', 'team-a')).toBe('yes');
      expect(await canI('create', 'deployments.apps', 'team-b')).toBe('yes');
      expect(await canI('list', 'copilottenants', 'elsewhere')).toBe('no');
      expect(await canI('get', 'secrets/acme-token', 'operators')).toBe('no');
    } finally {
      await uninstall();
    }
  });

  it.each<[string, boolean, string]>([
    ['let it remove the finalizer of a session where its Role is gone, and no more', true, 'yes'],
    ['end with its Role where they must', false, 'no'],
  ])('%s', async (_case, sessionsClusterWide, answer) => {
    const uninstall = await install({ watchNamespaces: ['team-a', 'team-b'], rbac: { sessionsClusterWide } });
    try {
      await api.kubectl.ok(['delete', 'rolebinding', 'copilot-operator-tenants', '-n', 'team-a']);
      const gone = async () => (await canI('get', 'copilottenants', 'team-a')) === 'no';
      await waitFor('the Role counts no longer', gone, { withinMs: 20_000 });
      for (const verb of ['get', 'list', 'watch', 'patch']) {
        expect([verb, await canI(verb, 'copilotsessions', 'team-a')]).toEqual([verb, answer]);
      }
      for (const verb of ['create', 'update', 'delete', 'deletecollection']) {
        expect([verb, await canI(verb, 'copilotsessions', 'team-a')]).toEqual([verb, 'no']);
      }
      expect(await canI('update', 'copilotsessions', 'team-a', '--subresource=status')).toBe('no');
      for (const resource of ['copilottenants', 'secrets', 'persistentvolumeclaims', 'events']) {
        expect([resource, await canI('get', resource, 'team-a')]).toEqual([resource, 'no']);
      }
    } finally {
      await uninstall();
    }
  });

  it('of operators in several namespaces never conflict, whatever the names of their releases', async () => {
    const releases = await Promise.all(
      ['team-a', 'team-b'].map((namespace) =>
        helm(['template', 'copilot-operator', CHART, '--namespace', namespace], {
          ...REQUIRED_VALUES,
          watchNamespaces: [namespace],
          crds: { install: false },
          rbac: { aggregate: false },
        }),
      ),
    );
    const names = releases
      .flatMap(objectsOf)
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });

  it('are none, and its ServiceAccount stays, when the roles are to be made by hand', async () => {
    const kinds = objectsOf(await render({ rbac: { create: false, aggregate: false } })).map(({ kind }) => kind);
    expect(kinds).toContain('ServiceAccount');
    expect(kinds.filter((kind) => /Role/.test(kind))).toEqual([]);
  });

  it('include rights on roles only with a gateway, and let it grant the token of a tenant, nothing that it lacks', async () => {
    const without = await install({ gateway: { enabled: false } });
    for (const resource of ['roles', 'rolebindings']) expect(await canI('create', resource, 'team-a')).toBe('no');
    await without();
    const uninstall = await install({});
    try {
      await api.kubectl.ok(['create', '-f', '-'], tenantManifest('acme'));
      const owner = JSON.parse(await api.kubectl.ok(['get', 'ct/acme', '-o', 'json'])) as CopilotTenant;
      const create = (object: object) =>
        api.kubectl.try(['create', `--as=${OPERATOR}`, '--dry-run=server', '-f', '-'], object);
      const role = gatewayRole(owner, { hasToken: true });
      expect((await create(role)).stderr).toBe('');
      const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }];
      expect((await create({ ...role, rules })).stderr).toMatch(
        /attempting to grant RBAC permissions not currently held/,
      );
    } finally {
      await api.kubectl.ok(['delete', 'ct', '--all']);
      await uninstall();
    }
  });

  it('of the gateway are to see tenants, sessions and pods, to review tokens, and to read one Secret of its own', async () => {
    const uninstall = await install({ watchNamespaces: ['team-a'] });
    const gatewayCan = async (verb: string, resource: string, namespace: string) => {
      const as = '--as=system:serviceaccount:operators:copilot-gateway';
      return (await api.kubectl.try(['auth', 'can-i', verb, resource, `--namespace=${namespace}`, as])).stdout.trim();
    };
    try {
      expect(await gatewayCan('watch', 'copilottenants', 'team-a')).toBe('yes');
      expect(await gatewayCan('get', 'replicasets.apps', 'team-a')).toBe('yes');
      expect(await gatewayCan('watch', 'copilotsessions', 'team-a')).toBe('yes');
      expect(await gatewayCan('get', 'secrets/copilot-gateway-stamp', 'operators')).toBe('yes');
      expect(await gatewayCan('get', 'secrets/copilot-gateway-stamp', 'team-a')).toBe('no');
      expect(await gatewayCan('watch', 'copilottenants', 'team-b')).toBe('no');
      expect(await gatewayCan('create', 'tokenreviews.authentication.k8s.io', 'team-a')).toBe('yes');
      for (const [verb, resource] of [
        ['get', 'secrets/acme-token'],
        ['patch', 'copilotsessions'],
        ['patch', 'copilottenants'],
        ['update', 'copilottenants/status'],
        ['delete', 'pods'],
        ['create', 'pods'],
        ['create', 'roles.rbac.authorization.k8s.io'],
      ] as const) {
        expect([verb, resource, await gatewayCan(verb, resource, 'team-a')]).toEqual([verb, resource, 'no']);
      }
    } finally {
      await uninstall();
    }
  });

  it('include only its own Lease', async () => {
    const uninstall = await install({});
    try {
      expect(await canI('update', 'leases.coordination.k8s.io/copilot-operator', 'operators')).toBe('yes');
      expect(await canI('update', 'leases.coordination.k8s.io/another', 'operators')).toBe('no');
      expect(await canI('update', 'leases.coordination.k8s.io/copilot-operator', 'elsewhere')).toBe('no');
    } finally {
      await uninstall();
    }
  });

  it('are enough for the tenants of every namespace', async () => {
    const uninstall = await install({});
    const tenants = ['team-a', 'elsewhere'].map((namespace) => {
      const { metadata, ...rest } = tenantManifest('acme');
      return { ...rest, metadata: { ...metadata, namespace } };
    });
    const token = (await api.kubectl.ok(['create', 'token', 'copilot-operator', '-n', 'operators'])).trim();
    const operator = await startOperator(api.server.kubeconfig({ identity: { token } }));
    try {
      for (const tenant of tenants) await api.kubectl.ok(['create', '-f', '-'], tenant);
      for (const { metadata } of tenants) {
        const made = async () => (await api.kubectl.try(['get', 'deploy/acme-0', '-n', metadata.namespace])).code === 0;
        await waitFor(`a server is made in ${metadata.namespace}`, made, { withinMs: 20_000 });
      }
      expect(operator.errors()).toEqual([]);
    } finally {
      await operator.stop();
      await api.kubectl.ok(['delete', 'ct', '--all', '--all-namespaces']);
      await uninstall();
    }
  });

  it.each<[string, (rules: PolicyRule[]) => PolicyRule[], RegExp | null]>([
    ['suffice', (rules) => rules, null],
    [
      'without copilottenants/finalizers do not suffice',
      (rules) => rules.filter(({ resources }) => !resources.includes('copilottenants/finalizers')),
      /cannot set blockOwnerDeletion/,
    ],
  ])('%s where owners are protected: a child blocks the deletion of its tenant', async (_case, change, refusal) => {
    const uninstall = await install({}, change);
    try {
      await api.kubectl.ok(['create', '-f', '-'], tenantManifest('acme'));
      const owner = JSON.parse(await api.kubectl.ok(['get', 'ct/acme', '-o', 'json'])) as CopilotTenant;
      const child = { ...serviceAccount(owner), apiVersion: 'v1', kind: 'ServiceAccount' };
      expect(child.metadata.ownerReferences).toMatchObject([{ blockOwnerDeletion: true }]);
      const { code, stderr } = await api.kubectl.try(
        ['create', `--as=${OPERATOR}`, '--dry-run=server', '-f', '-'],
        child,
      );
      if (refusal === null) expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      else expect(stderr).toMatch(refusal);
    } finally {
      await api.kubectl.ok(['delete', 'ct', '--all']);
      await uninstall();
    }
  });
});
