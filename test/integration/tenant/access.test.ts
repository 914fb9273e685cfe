// How clients reach a tenant, over a real API server: who gets the gateway, what an upgrade leaves alone, and the credential's life.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  Role,
  RoleBinding,
  Secret,
} from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { GatewayFacts } from '../../../src/tenant/model.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const gateway: GatewayFacts = { host: 'copilot-gateway.operator.svc', port: 4321, serviceAccount: 'copilot-gateway' };
/** An operator beside a gateway; in the namespace of another world it is the next process, or the next version. */
const withGateway = (namespace?: string) => ReconcilerWorld.open(api.kubeconfig, namespace, { gateway });
const withoutGateway = (namespace?: string) => ReconcilerWorld.open(api.kubeconfig, namespace);

async function binding(world: ReconcilerWorld): Promise<Record<string, string>> {
  const { data = {} } = await world.client.get(Secret, world.ref('acme-binding'));
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
}
const hashOf = (token = '') =>
  createHash('sha256')
    .update(token.slice(token.indexOf(':') + 1))
    .digest('hex');
const status = async (world: ReconcilerWorld) => (await world.tenant('acme')).status;
const hashes = async (world: ReconcilerWorld) =>
  ((await status(world))?.binding?.credentials ?? []).map(({ sha256 }) => sha256);
const peers = async (world: ReconcilerWorld) => {
  const { spec } = await world.client.get(NetworkPolicy, world.ref('acme-servers'));
  return JSON.stringify(spec?.ingress);
};

/** The tenant with one server that runs and answers. */
async function running(world: ReconcilerWorld, spec: object = {}): Promise<void> {
  await world.createTenant('acme', spec);
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  await world.startPod('acme', 0);
  await world.settle();
  answers(world);
  await world.reconcile('acme');
  await world.settle();
}

function answers(world: ReconcilerWorld): void {
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
}

async function deleteSecret(world: ReconcilerWorld, name: string): Promise<void> {
  const { metadata } = await world.client.get(Secret, world.ref(name));
  await world.client.delete(Secret, world.ref(name), { uid: metadata.uid ?? '' });
}

/** Versions of the tenant and of all that exists for it: unchanged if nothing was written. */
async function versions(world: ReconcilerWorld): Promise<Record<string, string | undefined>> {
  const found: Record<string, string | undefined> = {};
  for (const type of [CopilotTenant, Deployment, NetworkPolicy, Secret, Role, RoleBinding] as ResourceType[]) {
    const { items } = await world.client.listAll(type, { namespace: world.namespace });
    for (const { metadata } of items) found[`${type.kind} ${metadata.name}`] = metadata.resourceVersion;
  }
  return found;
}

describe('a new tenant where a gateway is installed', () => {
  it('is reached through it, with a credential that no server has', async () => {
    await using world = await withGateway();
    await running(world);
    const { token = '', ...found } = await binding(world);
    expect(found).toMatchObject({
      host: 'copilot-gateway.operator.svc',
      port: '4321',
      uri: 'http://copilot-gateway.operator.svc:4321',
    });
    expect(token).toMatch(new RegExp(`^${world.namespace}/acme:cpg_[\\w-]{43}$`));
    const { data } = await world.client.get(Secret, world.ref('acme-token'));
    expect(token).not.toContain(Buffer.from(data?.['token'] ?? '', 'base64').toString());
    expect(await status(world)).toMatchObject({ access: 'Gateway', endpoint: 'copilot-gateway.operator.svc:4321' });
    expect(await hashes(world)).toEqual([hashOf(token)]);
    expect(findCondition((await status(world))?.conditions, 'Ready')).toMatchObject({ status: 'True' });
  });

  it('admits the gateway and no client to its servers, and lets the gateway read their token only', async () => {
    await using world = await withGateway();
    await running(world);
    expect(await peers(world)).toContain('copilot-gateway');
    expect(await peers(world)).not.toContain('client-of');
    const review = async (resource: string, verb = 'get') => {
      const as = '--as=system:serviceaccount:operator:copilot-gateway';
      const args = ['auth', 'can-i', verb, resource, `--namespace=${world.namespace}`, as];
      return (await api.kubectl.try(args)).stdout.trim();
    };
    expect(await review('secrets/acme-token')).toBe('yes');
    for (const other of ['secrets/acme-binding', 'secrets', 'copilottenants/acme', 'pods']) {
      expect([other, await review(other)]).toEqual([other, 'no']);
    }
    expect(await review('secrets/acme-token', 'patch')).toBe('no');
  });

  it('keeps its credential when the operator is replaced, and nothing is written', async () => {
    await using world = await withGateway();
    await running(world);
    const before = await versions(world);
    const { token } = await binding(world);
    await using next = await withGateway(world.namespace);
    answers(next);
    await next.fill();
    await next.settle();
    await next.advance(3 * 60_000);
    expect(await versions(next)).toEqual(before);
    expect((await binding(next))['token']).toBe(token);
  });

  it('has two credentials for an hour after its binding was deleted, and an event says so', async () => {
    await using world = await withGateway();
    await running(world);
    const { token: former } = await binding(world);
    await deleteSecret(world, 'acme-binding');
    await world.advance(60_000);
    const { token } = await binding(world);
    expect(token).not.toBe(former);
    expect(await hashes(world)).toEqual([hashOf(token), hashOf(former)]);
    expect(world.events.filter((event) => event === 'Normal CredentialRotated')).toHaveLength(1);
    await world.settle();
    await world.advance(58 * 60_000);
    expect(await hashes(world)).toHaveLength(2);
    await world.advance(3 * 60_000);
    expect(await hashes(world)).toEqual([hashOf(token)]);
    expect((await binding(world))['token']).toBe(token);
  });

  it('keeps its credential when the connection token of its servers is rotated', async () => {
    await using world = await withGateway();
    await running(world);
    const before = await binding(world);
    await deleteSecret(world, 'acme-token');
    await world.advance(60_000);
    await world.settle();
    expect(world.events).toContain('Normal TokenRotated');
    expect(await binding(world)).toEqual(before);
    expect(await hashes(world)).toHaveLength(1);
  });

  it('that asks for access Direct is Direct', async () => {
    await using world = await withGateway();
    await running(world, { access: 'Direct' });
    expect((await binding(world))['host']).toBe(`acme-0.${world.namespace}.svc`);
    expect(await world.get(Role, 'acme-gateway')).toBeUndefined();
  });
});

describe('an existing tenant', () => {
  it('is not written at all when a gateway is installed, and its next status says Direct', async () => {
    await using older = await withoutGateway();
    await running(older);
    // As the operator that knew no gateway left it.
    await older.patch(CopilotTenant, 'acme', { status: { access: null } }, 'status');
    const before = await versions(older);
    await using world = await withGateway(older.namespace);
    answers(world);
    await world.fill();
    await world.settle();
    await world.advance(3 * 60_000);
    expect(await versions(world)).toEqual(before);
    await world.patch(CopilotTenant, 'acme', { spec: { replicas: 2 } });
    await world.settle();
    expect(await status(world)).toMatchObject({ access: 'Direct', endpoint: `acme-0.${world.namespace}.svc:4321` });
  });

  it('changes to the gateway and back by its spec, without a new pod template', async () => {
    await using world = await withGateway();
    await running(world, { access: 'Direct' });
    const { spec } = await world.client.get(Deployment, world.ref('acme-0'));
    const { token } = await binding(world);
    await world.patch(CopilotTenant, 'acme', { spec: { access: 'Gateway' } });
    await world.settle();
    expect((await binding(world))['uri']).toBe('http://copilot-gateway.operator.svc:4321');
    expect(await hashes(world)).toEqual([hashOf((await binding(world))['token'])]);
    expect(await world.get(RoleBinding, 'acme-gateway')).toBeDefined();
    await world.patch(CopilotTenant, 'acme', { spec: { access: 'Direct' } });
    await world.settle();
    expect((await binding(world))['token']).toBe(token);
    expect(await peers(world)).toContain('client-of');
    expect(await hashes(world)).toEqual([]);
    expect([await world.get(Role, 'acme-gateway'), await world.get(RoleBinding, 'acme-gateway')]).toEqual([
      undefined,
      undefined,
    ]);
    expect((await world.client.get(Deployment, world.ref('acme-0'))).spec).toEqual(spec);
    expect(world.events).not.toContain('Normal TokenRotated');
  });
});

/** A Secret of the user with the login of a model. */
async function createLogin(world: ReconcilerWorld, value: string): Promise<void> {
  const data = { key: Buffer.from(value).toString('base64') };
  const metadata = { name: 'login', namespace: world.namespace };
  await world.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data });
}
const LOGIN = { name: 'login', key: 'key' };
const PROVIDER = { baseUrl: 'https://models.example.com/v1', model: 'large', apiKeySecretRef: LOGIN };
const GITHUB = { tokenSecretRef: LOGIN };

/** All that the operator has written but the Secret of the user, as one text. */
async function written(world: ReconcilerWorld): Promise<string> {
  const types = [CopilotTenant, Deployment, Secret, Role, RoleBinding] as ResourceType[];
  const lists = await Promise.all(types.map((type) => world.client.listAll(type, { namespace: world.namespace })));
  const objects = lists.flatMap(({ items }) => items).filter(({ metadata }) => metadata.name !== LOGIN.name);
  return JSON.stringify(objects);
}
const readable = async (world: ReconcilerWorld) =>
  (await world.get(Role, 'acme-gateway'))?.rules?.flatMap(({ resourceNames = [] }) => resourceNames);
const modelConfigured = async (world: ReconcilerWorld) =>
  findCondition((await status(world))?.conditions, 'ModelConfigured');

describe('the login of the model of a new tenant behind a gateway', () => {
  it.each<[string, object]>([
    ['API key', { provider: PROVIDER }],
    ['GitHub token', { github: GITHUB }],
  ])('is read by the gateway: no pod, binding or status has the %s', async (_, model) => {
    await using world = await withGateway();
    await createLogin(world, 'sk-secret-login');
    await running(world, { model });
    expect(await status(world)).toMatchObject({ modelInjection: 'Gateway' });
    expect(await modelConfigured(world)).toMatchObject({ status: 'True' });
    expect((await modelConfigured(world))?.message).toMatch(/^Sessions get the .* from the gateway\.$/);
    expect((await binding(world))['model-injection']).toBe('Gateway');
    expect(await readable(world)).toEqual(['acme-token', 'login']);
    expect((await status(world))?.modelSecret).toMatchObject({ name: 'login' });
    const text = await written(world);
    expect(text).not.toContain('COPILOT_GITHUB_TOKEN');
    for (const encoding of ['utf8', 'base64', 'hex'] as const) {
      expect(text).not.toContain(Buffer.from('sk-secret-login').toString(encoding));
    }
  });

  it('is rotated without a write of the operator, and the gateway may not read it while it cannot be used', async () => {
    await using world = await withGateway();
    await createLogin(world, 'sk-1');
    await running(world, { model: { provider: PROVIDER } });
    const before = await versions(world);
    const data = (value: string) => ({ data: { key: Buffer.from(value).toString('base64') } });
    await world.patch(Secret, 'login', data('sk-2'));
    await world.advance(60_000);
    delete before['Secret login'];
    expect(await versions(world)).toMatchObject(before);
    await world.patch(Secret, 'login', data('sk-2\n'));
    await world.advance(60_000);
    expect(await modelConfigured(world)).toMatchObject({ status: 'False', reason: 'SecretValueInvalid' });
    expect(await readable(world)).toEqual(['acme-token']);
    expect((await status(world))?.modelSecret).toBeUndefined();
  });

  it('is not given by the gateway to sessions of a tenant that was there before, until its owner says so', async () => {
    await using world = await withGateway();
    await createLogin(world, 'gho_login');
    await running(world, { model: { github: GITHUB, injection: 'ServerEnv' } });
    const container = async () =>
      JSON.stringify((await world.client.get(Deployment, world.ref('acme-0'))).spec?.template);
    // As the operator that knew no injection left it.
    await world.patch(CopilotTenant, 'acme', { status: { modelInjection: null } }, 'status');
    await world.patch(CopilotTenant, 'acme', { spec: { model: { injection: null } } });
    await world.settle();
    expect(await container()).toContain('COPILOT_GITHUB_TOKEN');
    expect(await readable(world)).toEqual(['acme-token']);
    await world.patch(CopilotTenant, 'acme', { spec: { model: { injection: 'Gateway' } } });
    await world.settle();
    expect(await status(world)).toMatchObject({ modelInjection: 'Gateway' });
    expect(await container()).not.toContain('COPILOT_GITHUB_TOKEN');
    expect(await readable(world)).toEqual(['acme-token', 'login']);
  });

  it('cannot be given to sessions that do not pass the gateway, and the condition says what to set', async () => {
    await using world = await withoutGateway();
    await createLogin(world, 'sk-1');
    await world.createTenant('acme', { model: { provider: PROVIDER, injection: 'Gateway' } });
    await world.settle();
    expect(await modelConfigured(world)).toMatchObject({ status: 'False', reason: 'GatewayRequired' });
    expect(await world.get(Deployment, 'acme-0')).toBeUndefined();
    expect((await modelConfigured(world))?.message).toContain('or spec.model.injection to ServerEnv');
    await world.patch(CopilotTenant, 'acme', { spec: { model: { injection: 'ServerEnv' } } });
    await world.settle();
    expect(await modelConfigured(world)).toMatchObject({ status: 'True' });
    expect((await binding(world))['model-provider-api-key']).toBe('sk-1');
  });
});

describe('a tenant with access Gateway where none is installed', () => {
  it('says so, and is ready again with access Direct', async () => {
    await using world = await withoutGateway();
    await running(world, { access: 'Gateway' });
    const ready = async () => findCondition((await status(world))?.conditions, 'Ready');
    expect(await ready()).toMatchObject({ status: 'False', reason: 'GatewayNotInstalled' });
    expect((await ready())?.message).toContain('spec.access is Gateway, but no gateway is installed');
    expect(await world.get(Secret, 'acme-binding')).toBeUndefined();
    expect(await peers(world)).not.toContain('client-of');
    await world.patch(CopilotTenant, 'acme', { spec: { access: 'Direct' } });
    await world.settle();
    expect(await ready()).toMatchObject({ status: 'True' });
  });

  it('is served again by an operator that knows the gateway, with the same credential', async () => {
    await using first = await withGateway();
    await running(first);
    const before = await binding(first);
    await using without = await withoutGateway(first.namespace);
    answers(without);
    await without.fill();
    await without.settle();
    const stalled = findCondition((await status(without))?.conditions, 'Stalled');
    expect(stalled).toMatchObject({ status: 'True', reason: 'GatewayNotInstalled' });
    expect(await hashes(without)).toEqual([hashOf(before['token'])]);
    await using again = await withGateway(first.namespace);
    answers(again);
    await again.fill();
    await again.settle();
    expect(await binding(again)).toEqual(before);
    expect(findCondition((await status(again))?.conditions, 'Ready')).toMatchObject({ status: 'True' });
  });
});
