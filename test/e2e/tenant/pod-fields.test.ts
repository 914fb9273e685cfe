// The fields that users set on pods, with their effect in real pods: variables, proxy, CA bundle, metadata, and a cluster that chooses the
// user of every pod, as OpenShift does.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Pod, ServiceAccount } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { cleanUp } from '../../support/cleanup-by-hand.ts';
import { chooseUser } from '../../support/chosen-user.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { PrivateCA } from '../../support/private-ca.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const runtime = { binary: 'runtime' } as const;

describe('the fields of pods', () => {
  let namespace: TestNamespace;
  let operator: OperatorProcess;
  const ca = new PrivateCA();

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    operator = await namespace.startOperator();
    await namespace.putSecret('proxy', { login: 'user:password' });
    await putConfigMap('company-ca', { 'ca.crt': ca.pem });
    await namespace.createTenant('acme', {
      pods: {
        labels: { 'example.com/team': 'agents' },
        annotations: { 'example.com/note': 'a note' },
        serviceAccountAnnotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/agents' },
      },
      server: {
        ...runtime,
        githubHost: 'example.ghe.com',
        env: [
          { name: 'LOG_LEVEL', value: 'debug' },
          { name: 'EMPTY', value: '' },
          { name: 'LOGIN', valueFrom: { secretKeyRef: { name: 'proxy', key: 'login' } } },
        ],
      },
      network: {
        proxy: { httpsProxy: 'http://$(LOGIN)@proxy.example.com:3128', noProxy: ['10.0.0.0/8'] },
        caBundle: { configMapKeyRef: { name: 'company-ca' } },
      },
    });
    await namespace.waitForReady('acme');
  });
  afterAll(async () => {
    ca[Symbol.dispose]();
    await namespace.close();
  });

  const putConfigMap = (name: string, data: Record<string, string>) =>
    namespace.kubectl.ok(['apply', '--server-side', '-n', namespace.name, '-f', '-'], {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data,
    });
  const variable = async (name: string) =>
    (await namespace.exec('acme-0', 'sh', '-c', `printf %s "\${${name}-unset}"`)).trim();

  it.each([
    ['LOG_LEVEL', 'debug'],
    ['EMPTY', ''],
    ['LOGIN', 'user:password'],
    ['COPILOT_GH_HOST', 'example.ghe.com'],
    ['HTTPS_PROXY', 'http://user:password@proxy.example.com:3128'],
    ['https_proxy', 'http://user:password@proxy.example.com:3128'],
    ['HTTP_PROXY', 'unset'],
    ['NO_PROXY', 'localhost,127.0.0.1,::1,.svc,.cluster.local,10.0.0.0/8'],
  ])('the variable %s is %s in the server', async (name, value) => {
    expect(await variable(name)).toBe(value);
  });

  it('the CA bundle is where the server reads it', async () => {
    expect((await namespace.exec('acme-0', 'sh', '-c', 'cat "$NODE_EXTRA_CA_CERTS"')).trim()).toBe(ca.pem.trim());
  });

  it('the pod has its labels and annotations, and the ServiceAccount its own', async () => {
    const [pod] = await namespace.list(Pod, 'example.com/team=agents');
    expect(pod?.metadata.annotations).toMatchObject({ 'example.com/note': 'a note' });
    const account = await namespace.client.get(ServiceAccount, namespace.ref('acme-servers'));
    expect(account.metadata.annotations).toMatchObject({ 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/agents' });
  });

  it('git works in the workspace, whose volume belongs to root', async () => {
    expect(await namespace.exec('acme-0', 'sh', '-c', 'git init -q . && git status')).toContain('No commits yet');
  });

  it('an operator that starts finds nothing to write', async () => {
    const versions = async () => {
      const objects = [await namespace.deployment('acme-0'), await namespace.get(ServiceAccount, 'acme-servers')];
      return objects.map((object) => object?.metadata.resourceVersion);
    };
    const before = await versions();
    await operator.stop();
    operator = await namespace.startOperator();
    await waitFor('it pinged the server', () => operator.log.some(({ msg }) => msg === 'server is Healthy'), {
      withinMs: 30_000,
    });
    expect(await versions()).toEqual(before);
  });

  it('a changed Secret replaces the server within a minute', async () => {
    await namespace.putSecret('proxy', { login: 'user:changed' });
    await waitFor('the server was replaced', async () => (await variableOfReady('LOGIN')) === 'user:changed', {
      withinMs: 60_000 + READY_MS,
      everyMs: 500,
    });
    await namespace.waitForReady('acme');
  });

  /** The variable in the pod that runs now; undefined while it is being replaced. */
  async function variableOfReady(name: string): Promise<string | undefined> {
    const args = [
      'exec',
      '-n',
      namespace.name,
      'deploy/acme-0',
      '-c',
      'server',
      '--',
      'sh',
      '-c',
      `printf %s "$${name}"`,
    ];
    const { code, stdout } = await namespace.kubectl.try(args);
    return code === 0 ? stdout : undefined;
  }

  it('a CA bundle that goes is reported, with a server that serves on, until it is back', async () => {
    await namespace.kubectl.ok(['delete', 'configmap', 'company-ca', '-n', namespace.name]);
    await expectStalled(
      namespace,
      'acme',
      'CABundleNotUsable',
      ['ConfigMap company-ca not found. Create it with key ca.crt.', 'spec.network.caBundle'],
      { serves: true },
    );
    await putConfigMap('company-ca', { 'ca.crt': ca.pem });
    await namespace.waitForTenant(
      'acme',
      'is as specified again',
      (tenant) => conditionOf(tenant, 'Stalled').reason === 'NotStalled',
    );
  });

  it('a tenant whose Secret is missing starts no server, and starts it once it is there', async () => {
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'later', key: 'key' } } }];
    await namespace.createTenant('late', { server: { ...runtime, env } });
    await expectStalled(namespace, 'late', 'EnvironmentNotUsable', [
      'Secret later not found. Create it with key key.',
      'variable KEY of spec.server.env',
    ]);
    expect(await namespace.pods('late')).toEqual([]);
    await namespace.putSecret('later', { key: 'value' });
    await expectRecovered(namespace, 'late');
    expect((await namespace.exec('late-0', 'sh', '-c', 'printf %s "$KEY"')).trim()).toBe('value');
  });
});

describe.each(['cli', 'runtime'] as const)('binary %s on a platform that chooses the user of every pod', (binary) => {
  let namespace: TestNamespace;

  const USER = 1_000_680_000;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await ModelInCluster.start(namespace);
    namespace.use(await chooseUser(namespace, USER));
    await namespace.createTenant('acme', {
      ...askingTestModel(namespace.name),
      pods: { securityContext: 'FromCluster', labels: { 'example.com/team': 'agents' } },
      server: { binary },
      sessions: {
        ttl: '24h',
        cleanupSchedule: '0 0 29 2 *',
        cleanupResources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { cpu: '1', memory: '128Mi' } },
      },
    });
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  it('a server with the user of the image is refused there, and the tenant says so', async () => {
    await namespace.createTenant('fixed', { server: { binary } });
    await expectStalled(namespace, 'fixed', 'AdmissionDenied', ['runAsUser must be in the range of the namespace']);
    await namespace.deleteTenant('fixed');
  });

  it('the server runs as that user of group 0, and answers a turn whose tools write files', async () => {
    expect((await namespace.exec('acme-0', 'id', '-u')).trim()).toBe(String(USER));
    const { answer } = await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'first' });
    expect(answer).toContain('Hello');
    const owner = await namespace.exec('acme-0', 'stat', '-c', '%u', `${SESSIONS}/first`);
    expect(owner.trim()).toBe(String(USER));
    await namespace.exec('acme-0', 'sh', '-c', 'touch "$HOME/a" /tmp/a a && git init -q . && git status');
  });

  it('the cleanup deletes its sessions as the same user, with its own resources and labels', async () => {
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'old' });
    await namespace.exec('acme-0', 'touch', '-d', '2 days ago', `${SESSIONS}/old/events.jsonl`);
    expect(await cleanUp(namespace, 'acme')).toMatchObject({ result: 'Succeeded', deleted: 1 });
    const [pod] = await namespace.list(Pod, 'app.kubernetes.io/component=cleanup,example.com/team=agents');
    expect(pod?.spec?.securityContext?.runAsUser).toBe(USER);
    expect(pod?.spec?.containers[0]?.resources?.limits).toEqual({ cpu: '1', memory: '128Mi' });
  });

  it('a session that is deleted while its tenant is suspended is removed from the volume', async () => {
    await namespace.createSession('first', 'acme');
    await namespace.waitForPhase('first', 'Idle');
    await namespace.patchTenant('acme', { spec: { suspend: true } });
    await waitFor('the server has stopped', async () => (await namespace.pods('acme', 'acme-0')).length === 0, {
      withinMs: 60_000,
    });
    await namespace.kubectl.ok(['delete', 'csn', 'first', '-n', namespace.name, '--timeout=90s']);
    expect(await namespace.get(CopilotSession, 'first')).toBeUndefined();
    const left = (await namespace.events('first', 'CopilotSession')).filter(({ reason }) =>
      reason.includes('LeftBehind'),
    );
    expect(left).toEqual([]);
    await namespace.patchTenant('acme', { spec: { suspend: false } });
    const tenant = await namespace.waitForReady('acme');
    expect(conditionOf(tenant, 'Healthy').status).toBe('True');
    expect((await namespace.exec('acme-0', 'ls', '-A', SESSIONS)).split('\n')).not.toContain('first');
  });
});
