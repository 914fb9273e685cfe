// Operator and gateway together: an application reads the binding Secret and nothing else, and the real SDK chats through the gateway.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { GROUP } from '../../../src/api/names.ts';
import { GATEWAY_AUDIENCE } from '../../../src/gateway/admission/reviews.ts';
import { PEER_LEASES } from '../../../src/gateway/peers/lease.ts';
import { Lease, Role, Secret } from '../../../src/kube/types/builtins.ts';
import { auditMark, recordsSince, type AuditMark } from '../../support/audit.ts';
import type { PolicyRule } from '../../support/chart.ts';
import { bindingFrom, chat, type Binding, type ChatOptions } from '../../support/chat.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { grantedRights, usage } from '../../support/rights.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(2 * READY_MS);

let namespace: TestNamespace;
let model: ModelInCluster;
let mark: AuditMark;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  const port = await freePort();
  // The tests are no pods: this is where they reach the gateway, as pods do by its Service.
  await namespace.startOperator({ args: [`--gateway-address=127.0.0.1:${port}`] });
  mark = auditMark();
  await startReplica(port);
  for (const binary of ['cli', 'runtime'] as const) {
    await namespace.createTenant(binary, { server: { binary }, ...askingTestModel(namespace.name) });
  }
  model = await ModelInCluster.start(namespace);
  await namespace.waitForReady('cli');
  await namespace.waitForReady('runtime');
}, 4 * READY_MS);
afterAll(() => namespace.close());

/** A replica of the gateway, from source, with the rights of the chart. */
async function startReplica(port: number): Promise<GatewayProcess> {
  const flags = [`--watch-namespaces=${namespace.name}`, '--drain-timeout=1s', `--peer-port=${await freePort()}`];
  const kubeconfig = await namespace.operatorKubeconfig('copilot-gateway');
  const gateway = await GatewayProcess.start(kubeconfig, [`--listen-port=${port}`, ...flags], namespace.name);
  namespace.use({ [Symbol.asyncDispose]: () => gateway.kill() });
  return gateway;
}

async function bindingOf(tenant: string): Promise<Binding> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref(`${tenant}-binding`));
  return bindingFrom(data);
}
const say = async (tenant: string, options: ChatOptions) => chat(await bindingOf(tenant), options);

describe.each(['cli', 'runtime'] as const)(
  'an application of a tenant with binary %s, which reads the binding Secret',
  (tenant) => {
    it('chats with its server through the gateway', async () => {
      const { token } = await bindingOf(tenant);
      expect(token).toMatch(new RegExp(`^${namespace.name}/${tenant}:cpg_`));
      const { answer } = await say(tenant, { prompt: `What is ${tenant}?` });
      expect(answer).toBe(`Hello from the test model! You said: What is ${tenant}?`);
    });

    it('sees the answer grow while it is being written', async () => {
      await model.script({ match: `count ${tenant}`, steps: [{ text: 'one two three', delayMs: 50 }] });
      const deltas: string[] = [];
      const { answer } = await say(tenant, { prompt: `count ${tenant}`, onDelta: (text) => deltas.push(text) });
      expect(answer).toBe('one two three');
      expect(deltas.join('')).toBe(answer);
      expect(deltas.length).toBeGreaterThan(1);
    });

    it('continues its session after the server was replaced', async () => {
      const { sessionId } = await say(tenant, { prompt: `Remember the number 42, ${tenant}.` });
      await namespace.kubectl.ok([
        'delete',
        'pod',
        '-n',
        namespace.name,
        '-l',
        `copilot-operator.dev/tenant=${tenant}`,
      ]);
      await namespace.waitForReady(tenant);
      await say(tenant, { prompt: `Which number, ${tenant}?`, resume: sessionId });
      const [request] = await model.journal(`Which number, ${tenant}?`);
      expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
    });
  },
);

describe('the gateway', () => {
  it('refuses the credential of one tenant for another, and the connection token of the servers', async () => {
    const binding = await bindingOf('cli');
    const { token } = await bindingOf('runtime');
    const borrowed = `${namespace.name}/cli:${token.split(':')[1]}`;
    const { data = {} } = await namespace.client.get(Secret, namespace.ref('cli-token'));
    const connectionToken = Buffer.from(data['token'] ?? '', 'base64').toString();
    for (const wrong of [borrowed, connectionToken, `${namespace.name}/cli:${connectionToken}`]) {
      await expect(chat({ ...binding, token: wrong }, { prompt: 'Let me in' })).rejects.toThrow(
        /AUTHENTICATION_FAILED/,
      );
    }
    expect(await model.journal('Let me in')).toEqual([]);
  });

  it('admits an application with a token of its ServiceAccount, to the tenant that a role names and no other', async () => {
    const metadata = { name: 'app', namespace: namespace.name };
    const rbac = 'rbac.authorization.k8s.io';
    const rule = { apiGroups: [GROUP], resources: ['copilottenants'], resourceNames: ['cli'], verbs: ['connect'] };
    const items = [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      { apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules: [rule] },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata,
        roleRef: { apiGroup: rbac, kind: 'Role', name: 'app' },
        subjects: [{ kind: 'ServiceAccount', ...metadata }],
      },
    ];
    await namespace.kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
    const create = ['create', 'token', 'app', '-n', namespace.name, `--audience=${GATEWAY_AUDIENCE}`];
    const credential = (await namespace.kubectl.ok(create)).trim();
    const binding = await bindingOf('cli');
    const mine = { ...binding, token: `${namespace.name}/cli:${credential}` };
    expect((await chat(mine, { prompt: 'It is me' })).answer).toContain('It is me');
    const other = { ...binding, token: `${namespace.name}/runtime:${credential}` };
    await expect(chat(other, { prompt: 'And here?' })).rejects.toThrow(/AUTHENTICATION_FAILED/);
  });

  it('accepts both credentials after a rotation', async () => {
    const former = await bindingOf('cli');
    await namespace.kubectl.ok(['delete', 'secret', 'cli-binding', '-n', namespace.name]);
    await namespace.waitForTenant('cli', 'two credentials are valid', ({ status }) => {
      return status?.binding?.credentials?.length === 2;
    });
    const binding = await bindingOf('cli');
    expect(binding.token).not.toBe(former.token);
    for (const each of [former, binding]) {
      const { answer } = await chat(each, { prompt: 'Still there?' });
      expect(answer).toContain('Still there?');
    }
  });

  // Last: it is about all that the tests before it have had the gateway do.
  it('uses each right that it has, and needs no other', async () => {
    // Only one that stops gives its Lease up.
    const other = await startReplica(await freePort());
    const peers = () => namespace.list(Lease, PEER_LEASES);
    await waitFor('it has a Lease as the first one has', async () => (await peers()).length === 2);
    expect(await other.stop()).toBe(0);
    const roles = await namespace.list(Role);
    const names = ['copilot-gateway', 'copilot-gateway-tenants', 'cli-gateway'];
    const own = roles.filter(({ metadata: { name } }) => names.includes(name));
    const reviews = ['get', 'clusterrole', `copilot-gateway-${namespace.name}-reviews`, '-o', 'json'];
    const { rules: everywhere } = JSON.parse(await namespace.kubectl.ok(reviews)) as { rules: PolicyRule[] };
    const granted = grantedRights([...own.flatMap(({ rules = [] }) => rules as PolicyRule[]), ...everywhere]);
    const user = `system:serviceaccount:${namespace.name}:copilot-gateway`;
    const found = usage(recordsSince(mark, `"${user}"`).filter((record) => record.user === user));
    expect([...found.refused]).toEqual([]);
    expect([...found.used].toSorted()).toEqual([...granted].filter((right) => !UNSEEN.has(right)).toSorted());
  });
});

/** A present API server streams lists, as a watch. And the operator, not the API server, is asked to wake a tenant: hibernation.test.ts does. */
const UNSEEN = new Set([
  'create copilot-operator.dev/gateways/wakes',
  ...[
    'copilot-operator.dev/copilottenants',
    'copilot-operator.dev/copilotsessions',
    '/pods',
    'coordination.k8s.io/leases',
  ].map((of) => `list ${of}`),
]);
