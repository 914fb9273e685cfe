// The internal port: who may ask, by the key that the operator shares with the gateway, TokenReview and RBAC of a real API server, and how what it says comes into the status of a tenant. Gateway
// and operator have the rights of the chart and no others.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect as dial } from 'node:net';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GROUP } from '../../../src/api/names.ts';
import { GATEWAY_OPERATOR_PERMISSIONS } from '../../../src/commands/operator/permissions.ts';
import { GATEWAY_AUDIENCE } from '../../../src/gateway/admission/reviews.ts';
import { Secret } from '../../../src/kube/types/builtins.ts';
import type { NamedKey } from '../../../src/kube/types/keys.ts';
import { INTERNAL_AUDIENCE } from '../../../src/resources/gateway-internal.ts';
import { keysIn, newKeySecret, PEER_KEYS } from '../../../src/resources/key-secret.ts';
import { askGateway } from '../../../src/tenant/ask-gateway.ts';
import { GatewayClients } from '../../../src/tenant/gateway-clients.ts';
import { freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { GATEWAY_FACTS, GATEWAY_NAMESPACE, gatewayKubeconfig } from '../../support/gateway-rights.ts';
import { connect } from '../../support/kube.ts';
import { RawClient } from '../../support/raw-client.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { serviceAccount, type Rule } from '../../support/service-account.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

const SERVICE = 'copilot-gateway';
const REPLICA = '192.0.2.1';
/** Of this machine, but not the address that is open to people who come by `kubectl port-forward`. */
const NETWORK = '127.0.0.2';
let api: TenantApi;
let gateway: GatewayProcess;
let keys: { readonly all: readonly NamedKey[] };
let tokenFile: string;
let operator: ReturnType<typeof connect>;
let clients: GatewayClients;
let tenants: ReconcilerWorld & AsyncDisposable;
let ports: Record<'clients' | 'internal', number>;
const directory = mkdtempSync(join(tmpdir(), 'copilot-operator-internal-'));

beforeAll(async () => {
  api = await startTenantApi();
  const kubeconfig = await gatewayKubeconfig(api);
  const rules = GATEWAY_OPERATOR_PERMISSIONS.map(({ resource, subresource, verbs, resourceNames }) => ({
    apiGroups: [resource.group],
    resources: [[resource.plural, subresource].filter((part) => part !== undefined).join('/')],
    verbs,
    ...(resourceNames && { resourceNames }),
  }));
  const account = (name: string, ...granted: Rule[]) => serviceAccount({ name, namespace: GATEWAY_NAMESPACE }, granted);
  const views = ['gateways/clients', 'gateways/sessions'];
  const secret = newKeySecret(PEER_KEYS, GATEWAY_NAMESPACE, randomBytes);
  keys = { all: keysIn(PEER_KEYS, secret) };
  const items = [
    ...account('operator', ...rules),
    ...account('viewer', { apiGroups: [GROUP], resources: views, verbs: ['get'] }),
    ...account('keeper', { apiGroups: [GROUP], resources: ['gateways/tenants'], verbs: ['pause', 'kick'] }),
    ...account('stranger'),
    endpoints(),
    secret,
  ];
  await api.kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
  ports = { clients: await freePort(), internal: await freePort() };
  gateway = await GatewayProcess.start(kubeconfig, [
    `--listen-port=${ports.clients}`,
    `--internal-port=${ports.internal}`,
    '--drain-timeout=0s',
  ]);
  operator = connect(api.server.kubeconfig({ identity: { token: await tokenOf('operator') } }));
  tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, await tokenOf('operator', INTERNAL_AUDIENCE));
  clients = new GatewayClients({
    client: operator.client,
    clock: { sleep: () => Promise.resolve(), monotonic: () => 0 },
    log: { warn: (fields) => expect(fields).toBe('nothing to warn of'), info: () => undefined },
    namespace: GATEWAY_NAMESPACE,
    service: SERVICE,
    // Only the address is another one: the API server takes none of the loopback into an EndpointSlice.
    ask: (address, signal) =>
      askGateway(address === REPLICA ? NETWORK : address, { port: ports.internal, tokenFile, keys }, signal),
  });
  tenants = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway: GATEWAY_FACTS, clients });
}, 120_000);
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await gateway.kill();
  await tenants[Symbol.asyncDispose]();
  await operator.transport.close();
  await api.stop();
});

/** As the EndpointSlice controller writes it. */
function endpoints(): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${SERVICE}-1`, namespace: GATEWAY_NAMESPACE, labels: { 'kubernetes.io/service-name': SERVICE } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [REPLICA], conditions: { ready: true } }],
    ports: [{ name: 'copilot', port: 4321, protocol: 'TCP' }],
  };
}

async function tokenOf(name: string, audience?: string): Promise<string> {
  const args = audience === undefined ? [] : [`--audience=${audience}`];
  return (await api.kubectl.ok(['create', 'token', name, '-n', GATEWAY_NAMESPACE, ...args])).trim();
}

async function ask(path: string, token?: string, method = 'GET'): Promise<[status: number, text: string]> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${ports.internal}${path}`, { method, headers });
  return [response.status, await response.text()];
}

/** A client with this token, once the gateway knows the tenant, of which it learns by a watch of its own. */
function admitted(token: string): Promise<RawClient> {
  return waitFor(
    'a client is admitted',
    async () => {
      const client = new RawClient(dial(ports.clients, '127.0.0.1'));
      client.connect(token);
      if ((await client.answer(1, 30_000)).error === undefined) return client;
      client.stream.destroy();
      return undefined;
    },
    { withinMs: 60_000 },
  );
}

describe('the internal port', () => {
  it('answers who has the right to it, by a token of its own audience', async () => {
    const token = await tokenOf('operator', INTERNAL_AUDIENCE);
    expect(await ask('/tenants', token)).toEqual([200, expect.stringMatching(/^\{"tenants":\[\],"upMs":\d+\}$/)]);
    expect(await ask('/drains', token)).toEqual([200, '{"drains":[]}']);
    expect(await ask('/clients', token)).toEqual([
      403,
      'the user needs the verb get on gateways/clients in namespace operator\n',
    ]);
    expect(await ask('/tenants')).toEqual([401, expect.stringContaining('Authorization: Bearer')]);
    expect(await ask('/tenants', 'made-up')).toEqual([401, expect.stringContaining('does not accept')]);
    for (const audience of [GATEWAY_AUDIENCE, undefined]) {
      const other = await ask('/tenants', await tokenOf('operator', audience));
      expect(other).toEqual([401, expect.stringContaining(INTERNAL_AUDIENCE)]);
    }
    const stranger = await ask('/tenants', await tokenOf('stranger', INTERNAL_AUDIENCE));
    expect(stranger).toEqual([403, 'the user needs the verb get on gateways/tenants in namespace operator\n']);
    expect((await ask('/tenants', token, 'POST'))[0]).toBe(405);
    expect((await ask('/metrics', token))[0]).toBe(404);
    expect(gateway.output).not.toContain(token);
  }, 60_000);

  it('speaks with nobody who comes by the network and has no key, whatever token he has', async () => {
    const ask = (all: readonly NamedKey[]) =>
      askGateway(NETWORK, { port: ports.internal, tokenFile, keys: { all } }, new AbortController().signal);
    await waitFor('who has the key is answered', () => ask(keys.all), { withinMs: 30_000 });
    await expect(ask([{ id: 'made-up', key: randomBytes(32) }])).rejects.toThrow('no TLS by a key that both know');
    await expect(fetch(`http://${NETWORK}:${ports.internal}/tenants`)).rejects.toThrow('fetch failed');
  }, 60_000);

  it('shows clients to a person with the right to them', async () => {
    const token = await tokenOf('viewer', INTERNAL_AUDIENCE);
    const socket = dial(ports.clients, '127.0.0.1');
    const raw = new RawClient(socket);
    raw.send({ id: 1, method: 'ping' });
    await raw.answer(1, 30_000);
    const [, text] = await ask('/clients', token);
    expect((JSON.parse(text) as { clients: object[] }).clients).toMatchObject([{ state: 'Greeting' }]);
    expect(await ask('/clients?tenant=team/acme', token)).toEqual([200, '{"clients":[]}']);
    expect(await ask('/sessions', token)).toEqual([200, '{"sessions":[]}']);
    socket.destroy();
  }, 60_000);
});

it('brings the number of its clients into the status of a tenant, and takes it away again', async () => {
  await tenants.createTenant('acme');
  await tenants.settle();
  const { data } = await tenants.client.get(Secret, tenants.ref('acme-binding'));
  const token = Buffer.from(data?.['token'] ?? '', 'base64').toString();
  /** What the operator does periodically, until the status says it. */
  const statusSays = (count: number) =>
    waitFor(
      `the status says ${count}`,
      async () => {
        await clients.poll(new AbortController().signal);
        await tenants.advance(20_000);
        await tenants.settle();
        return (await tenants.tenant('acme')).status?.clients === count;
      },
      { withinMs: 60_000, everyMs: 250 },
    );
  const connected = [await admitted(token), await admitted(token)];
  await statusSays(2);
  expect(await api.kubectl.ok(['get', 'ct', 'acme', '-n', tenants.namespace, '-o', 'wide'])).toMatch(/ CLIENTS /);
  for (const client of connected) client.stream.destroy();
  await statusSays(0);
}, 180_000);

describe('a tenant that somebody with the right to it', () => {
  const at = () => `/tenants/${tenants.namespace}/held`;
  let token: string;
  let keeper: string;

  beforeAll(async () => {
    await tenants.createTenant('held');
    await tenants.settle();
    const { data } = await tenants.client.get(Secret, tenants.ref('held-binding'));
    token = Buffer.from(data?.['token'] ?? '', 'base64').toString();
    keeper = await tokenOf('keeper', INTERNAL_AUDIENCE);
  }, 60_000);

  /** What a new client is answered. */
  async function presented(): Promise<unknown> {
    const client = new RawClient(dial(ports.clients, '127.0.0.1'));
    client.connect(token);
    const { error, result } = await client.answer(1, 30_000);
    client.stream.destroy();
    return error ?? result;
  }
  const isPausedFor = (what: string, isPaused: boolean) =>
    waitFor(what, async () => 'message' in ((await presented()) as object) === isPaused, { withinMs: 60_000 });
  const annotate = (...annotations: string[]) =>
    api.kubectl.ok(['annotate', 'ct', 'held', '-n', tenants.namespace, '--overwrite', ...annotations]);

  it('has paused takes no further client until it is resumed', async () => {
    const connected = await admitted(token);
    expect(await ask(`${at()}/pause`, keeper, 'POST')).toEqual([200, '{"paused":true,"closed":0}']);
    expect(await presented()).toMatchObject({ message: expect.stringContaining('is paused') });
    connected.send({ id: 2, method: 'ping' });
    expect(await connected.answer(2, 30_000)).toMatchObject({ result: expect.any(Object) });
    expect(await ask(`${at()}/resume`, keeper, 'POST')).toEqual([200, '{"paused":false,"closed":0}']);
    expect(await presented()).toMatchObject({ ok: true });
    connected.stream.destroy();
  }, 60_000);

  it('has kicked loses its clients, who may come back', async () => {
    const connected = await admitted(token);
    const [status, text] = await ask(`${at()}/kick`, keeper, 'POST');
    expect([status, (JSON.parse(text) as { closed: number }).closed]).toEqual([200, 1]);
    await waitFor('the client is closed', () => connected.isClosed, { withinMs: 30_000 });
    expect(await presented()).toMatchObject({ ok: true });
    await waitFor('the audit log says who', () => gateway.output.includes('"action":"kick"'), { withinMs: 30_000 });
    expect(gateway.output).toMatch(/"action":"kick".*"user":"system:serviceaccount:operator:keeper"/);
  }, 60_000);

  it('has paused by an annotation is so until that is removed, and a changed one closes its clients', async () => {
    const connected = await admitted(token);
    await annotate('copilot-operator.dev/gateway-kick=1');
    await waitFor('the client is closed', () => connected.isClosed, { withinMs: 30_000 });
    await annotate('copilot-operator.dev/gateway-paused=true');
    await isPausedFor('no client is admitted', true);
    expect(await ask(`${at()}/resume`, keeper, 'POST')).toEqual([
      409,
      expect.stringContaining('its annotation copilot-operator.dev/gateway-paused: remove that'),
    ]);
    await annotate('copilot-operator.dev/gateway-paused-');
    await isPausedFor('clients are admitted', false);
  }, 120_000);

  it('has no effect for whoever has no right, or on what does not exist', async () => {
    const viewer = await tokenOf('operator', INTERNAL_AUDIENCE);
    expect(await ask(`${at()}/kick`, viewer, 'POST')).toEqual([
      403,
      'the user needs the verb kick on gateways/tenants in namespace operator\n',
    ]);
    expect((await ask(`${at()}/pause`, undefined, 'POST'))[0]).toBe(401);
    expect((await ask(`${at()}/pause`, keeper))[0]).toBe(405);
    expect((await ask(`${at()}/explode`, keeper, 'POST'))[0]).toBe(404);
    const unknown = await ask('/tenants/none/none/pause', keeper, 'POST');
    expect(unknown).toEqual([404, 'there is no tenant none/none\n']);
    expect((await ask('/tenants', keeper))[0]).toBe(403);
  }, 60_000);
});
