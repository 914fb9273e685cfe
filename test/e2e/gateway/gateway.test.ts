// The gateway as it is installed: applications read the binding Secret and nothing else, and chat through the one address of all tenants.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { GROUP } from '../../../src/api/names.ts';
import { Deployment, Pod, Secret } from '../../../src/kube/types/builtins.ts';
import { INTERNAL_AUDIENCE } from '../../../src/resources/gateway-internal.ts';
import { bindingFrom, chat, withClient, type Binding } from '../../support/chat.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { portForward, type Forward } from '../../support/port-forward.ts';
import { Release } from '../../support/release.ts';
import { serviceAccount } from '../../support/service-account.ts';
import { toolPath } from '../../support/tools.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
let release: Release;
let gateway: Forward;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  // A tenant from before there was a gateway.
  const operator = await namespace.startOperator();
  await namespace.createTenant('older', { server: { binary: 'runtime' } });
  await namespace.waitForReady('older');
  await operator.stop();
  release = await Release.install(namespace);
  await ModelInCluster.start(namespace);
  await namespace.createTenant('acme', { server: { binary: 'cli' }, ...askingTestModel(namespace.name) });
  await namespace.createTenant('other', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
  await Promise.all(['acme', 'other'].map((name) => namespace.waitForReady(name)));
  gateway = namespace.use(
    await portForward(toolPath('kubectl'), namespace.name, `service/${release.gatewayName}`, 4321),
  );
});
afterAll(async () => {
  await release.uninstall();
  await namespace.close();
});

/** What an application of the tenant knows, with the way to the gateway: the test is no pod. */
async function bindingOf(tenant: string): Promise<Binding> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref(`${tenant}-binding`));
  return { ...bindingFrom(data), host: '127.0.0.1', port: gateway.port };
}

describe('an application behind the gateway', () => {
  it('is given the address of the gateway, and a credential that is not the token of the servers', async () => {
    const { status } = await namespace.tenant('acme');
    const { data = {} } = await namespace.client.get(Secret, namespace.ref('acme-binding'));
    const binding = bindingFrom(data);
    expect(status).toMatchObject({ access: 'Gateway', endpoint: `${binding.host}:${binding.port}` });
    expect(binding).toMatchObject({ host: `${release.gatewayName}.${namespace.name}.svc`, port: 4321 });
    expect(binding.token).toMatch(new RegExp(`^${namespace.name}/acme:cpg_[\\w-]{43}$`));
    const { data: token = {} } = await namespace.client.get(Secret, namespace.ref('acme-token'));
    expect(binding.token).not.toContain(Buffer.from(token['token'] ?? '', 'base64').toString());
  });

  it('chats, and goes on with its session on another connection', async () => {
    const binding = await bindingOf('acme');
    const { answer, sessionId } = await chat(binding, { prompt: 'What is a pod?' });
    expect(answer).toBe('Hello from the test model! You said: What is a pod?');
    const deltas: string[] = [];
    const again = await chat(binding, {
      prompt: 'And a node?',
      resume: sessionId,
      onDelta: (text) => deltas.push(text),
    });
    expect(again.sessionId).toBe(sessionId);
    expect(deltas.join('')).toBe(again.answer);
  });

  it('is counted in the status of its tenant while it is connected', async () => {
    await withClient(await bindingOf('acme'), () =>
      namespace.waitForTenant('acme', 'has a client', ({ status }) => status?.clients === 1),
    );
    await namespace.waitForTenant('acme', 'has no client', ({ status }) => status?.clients === 0);
  });

  it('is shown to a person who has the right to it and comes by kubectl port-forward', async () => {
    const account = { name: 'viewer', namespace: namespace.name };
    const right = { apiGroups: [GROUP], resources: ['gateways/clients'], verbs: ['get'] };
    const items = serviceAccount(account, [right]);
    await namespace.kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
    const create = ['create', 'token', account.name, '-n', namespace.name, `--audience=${INTERNAL_AUDIENCE}`];
    const token = (await namespace.kubectl.ok(create)).trim();
    const target = `deployment/${release.gatewayName}`;
    await using internal = await portForward(toolPath('kubectl'), namespace.name, target, 4323);
    const ask = (path: string) =>
      fetch(`http://127.0.0.1:${internal.port}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const answer = await ask('/clients');
    // It may be the replica to which nobody is connected.
    expect([answer.status, await answer.json()]).toEqual([200, { clients: expect.any(Array) }]);
    expect((await ask('/tenants')).status).toBe(403);
  });

  it('sees no session of another tenant', async () => {
    const { sessionId } = await chat(await bindingOf('acme'), { prompt: 'Only for acme' });
    const listed = await withClient(await bindingOf('other'), async (client) =>
      (await client.listSessions()).map((session) => session.sessionId),
    );
    expect(listed).not.toContain(sessionId);
    await expect(chat(await bindingOf('other'), { prompt: 'Hello', resume: sessionId })).rejects.toThrow(
      /Session not found/,
    );
  });

  it.each([
    ['another credential', (name: string) => `${name}/acme:cpg_${'A'.repeat(43)}`],
    ['a credential of no tenant', (name: string) => `${name}/nobody:cpg_${'A'.repeat(43)}`],
    ['nothing that the gateway knows', () => 'hello'],
  ])('is refused with %s', async (_what, token) => {
    const stranger = { ...(await bindingOf('acme')), token: token(namespace.name) };
    await expect(chat(stranger, { prompt: 'Let me in' })).rejects.toThrow(/AUTHENTICATION_FAILED/);
  });

  it('goes on with its session after the server was replaced, on the same connection', async () => {
    await withClient(await bindingOf('acme'), async (client) => {
      const config = { onPermissionRequest: () => ({ kind: 'approve-once' }) as const };
      const session = await client.createSession({ ...config, ...(await modelOf('acme')) });
      await session.sendAndWait({ prompt: 'Remember 42.' }, 60_000);
      const [before] = await namespace.pods('acme');
      await namespace.client.delete(Pod, namespace.ref(before?.metadata.name ?? ''), {
        uid: before?.metadata.uid ?? '',
      });
      await waitFor(
        'another pod is Ready',
        async () => {
          const pods = await namespace.pods('acme');
          return pods.length === 1 && pods[0]?.metadata.uid !== before?.metadata.uid && isReady(pods[0]);
        },
        { withinMs: READY_MS, everyMs: 250 },
      );
      // A call that comes before the gateway has seen the new pod is answered with a retriable error.
      const message = await waitFor(
        'the session answers',
        async () => ignoreRetriable(session.sendAndWait({ prompt: 'Which?' }, 60_000)),
        {
          withinMs: 60_000,
          everyMs: 500,
        },
      );
      expect(message.data.content).toContain('Which?');
    });
  });

  async function modelOf(tenant: string) {
    const { model, provider } = await bindingOf(tenant);
    return { ...(model !== undefined && { model }), ...(provider && { provider }) };
  }
});

describe('a tenant that was there before the gateway', () => {
  it('stays as it was, until its spec says Gateway; its server is not restarted for it', async () => {
    const before = await namespace.client.get(Deployment, namespace.ref('older-0'));
    expect((await namespace.tenant('older')).status).toMatchObject({
      access: 'Direct',
      endpoint: `older-0.${namespace.name}.svc:4321`,
    });
    await namespace.patchTenant('older', { spec: { access: 'Gateway' } });
    await namespace.waitForTenant('older', 'is behind the gateway', ({ status }) => status?.access === 'Gateway');
    const answer = await withClient(await bindingOf('older'), (client) => client.ping('still there'));
    expect(answer.message).toContain('still there');
    const after = await namespace.client.get(Deployment, namespace.ref('older-0'));
    expect(after.spec?.template).toEqual(before.spec?.template);
    expect(conditionOf(await namespace.waitForReady('older'), 'Stalled').status).toBe('False');
  });
});

const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

/** Undefined: the call may be repeated. */
async function ignoreRetriable<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if ((error as { data?: { retryable?: boolean } }).data?.retryable === true) return undefined;
    throw error;
  }
}
