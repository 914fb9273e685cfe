// Admission by Kubernetes and OIDC tokens: TokenReview, SubjectAccessReview and RBAC of a real API server, and a real issuer.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { createAdmission, type Admission } from '../../../src/gateway/admission/admission.ts';
import { parseOidcConfig } from '../../../src/gateway/admission/oidc/config.ts';
import { Issuers } from '../../../src/gateway/admission/oidc/issuers.ts';
import { credentialHash } from '../../../src/resources/binding.ts';
import { ApiReviews, GATEWAY_AUDIENCE } from '../../../src/gateway/admission/reviews.ts';
import type { GatewayTenant } from '../../../src/gateway/model.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { connect } from '../../support/kube.ts';
import { OidcIssuer } from '../../support/oidc-issuer.ts';
import { PrivateCA } from '../../support/private-ca.ts';
import { waitFor } from '../../support/wait.ts';

const namespace = 'default';
const acme: GatewayTenant = {
  namespace,
  name: 'acme',
  uid: 'uid-1',
  access: 'Gateway',
  isolation: 'Dedicated',
  credentials: [credentialHash(`cpg_${'a'.repeat(43)}`)],
  servers: [],
};

let apiServer: ApiServer;
let proxy: FaultProxy;
let ca: PrivateCA;
let issuer: OidcIssuer;
let gateway: ReturnType<typeof connect>;
let admin: ReturnType<typeof connect>;
/** Moves the caches only: tokens expire by the time that the API server has, too. */
let clock: FakeClock;
let admission: Admission;
let users = 0;

beforeAll(async () => {
  apiServer = await startApiServer();
  proxy = await FaultProxy.start(apiServer);
  ca = new PrivateCA();
  issuer = await OidcIssuer.start({ certificate: ca.issue('IP:127.0.0.1') });
  gateway = connect(apiServer.kubeconfig({ server: proxy.url }));
  admin = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await Promise.all([gateway.transport.close(), admin.transport.close()]);
  await issuer[Symbol.asyncDispose]();
  ca[Symbol.dispose]();
  await proxy.stop();
  await apiServer.stop();
});

beforeEach(() => {
  clock = new FakeClock();
  proxy.journal.length = 0;
  const fleet = {
    isSynced: true,
    find: (ref: { namespace: string; name: string }) =>
      ref.namespace === namespace && ref.name === 'acme' ? acme : undefined,
  };
  admission = createAdmission({
    fleet,
    reviews: new ApiReviews({ client: gateway.client, clock }),
    issuers: new Issuers({
      configs: parseOidcConfig(stringify({ jwt: [issuer.config(ca)] }), () => ''),
      clock: systemClock,
      log: { info: () => undefined, warn: () => undefined },
      observer: { readKeys: () => undefined },
      proxyFor: () => undefined,
    }),
    clock: systemClock,
  });
});
afterEach(() => expect(proxy.pendingFaults).toBe(0));

const post = <T>(path: string, body: object): Promise<T> => admin.transport.request<T>({ method: 'POST', path, body });

/** A ServiceAccount of its own, and what it may do. */
async function serviceAccount(rules: readonly object[] = []): Promise<string> {
  const name = `user-${(users += 1)}`;
  await post(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
  if (rules.length === 0) return name;
  await grant(name, rules);
  return name;
}

/** `subject`: whoever gets the rights; default: the ServiceAccount of that name. */
async function grant(
  name: string,
  rules: readonly object[],
  subject: object = { kind: 'ServiceAccount', name, namespace },
): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await post(`${rbac}/roles`, { metadata: { name }, rules });
  await post(`${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [subject],
  });
}

async function tokenOf(name: string, audiences: readonly string[] = [GATEWAY_AUDIENCE]): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const { status } = await post<{ status: { token: string } }>(path, { spec: { audiences, expirationSeconds: 600 } });
  return status.token;
}

const rule = (verb: string, resource: string, ...resourceNames: string[]) => ({
  apiGroups: ['copilot-operator.dev'],
  resources: [resource],
  verbs: [verb],
  ...(resourceNames.length > 0 && { resourceNames }),
});
const mayConnect = rule('connect', 'copilottenants', 'acme');

async function reasonOf(token: string, tenant = `${namespace}/acme`): Promise<string> {
  const decision = await admission.decide(`${tenant}:${token}`);
  return 'denied' in decision ? decision.denied : `as ${decision.identity.user}`;
}

/** RBAC reaches the authorizer by a watch. */
const eventually = (what: string, token: string, expected: string, tenant?: string) =>
  waitFor(`${what}: ${expected}`, async () => {
    await clock.advance(60_000);
    return (await reasonOf(token, tenant)) === expected;
  });

describe('a token of a ServiceAccount', () => {
  it('admits with the verb connect on the tenant, and to no other tenant', async () => {
    const name = await serviceAccount([mayConnect]);
    const token = await tokenOf(name);
    await eventually('the role', token, `as system:serviceaccount:${namespace}:${name}`);
    expect(await reasonOf(token, 'elsewhere/acme')).toBe('UnknownTenant');
    expect(await reasonOf(token, `${namespace}/acme-0`)).toBe('UnknownTenant');
    const decision = await admission.decide(`${namespace}/acme:${token}`);
    if ('denied' in decision) throw new Error(decision.message);
    const seconds = ((decision.identity.expiresAt ?? 0) - systemClock.now()) / 1000;
    expect(seconds).toBeGreaterThan(540);
    expect(seconds).toBeLessThan(610);
  });

  it('is denied without that verb, even if it may do everything else with tenants', async () => {
    const name = await serviceAccount([rule('get', 'copilottenants'), rule('update', 'copilottenants')]);
    expect(await reasonOf(await tokenOf(name))).toBe('NotAuthorized');
  });

  it('is denied for another audience, as if it were no token', async () => {
    const name = await serviceAccount([mayConnect]);
    expect(await reasonOf(await tokenOf(name, ['https://kubernetes.default.svc']))).toBe('NotAuthenticated');
    expect(await reasonOf(await tokenOf(name, ['copilot-gateway-internal']))).toBe('NotAuthenticated');
    expect(await reasonOf('no.such.token')).toBe('NotAuthenticated');
  });

  it('of the administrator is denied where its authenticator knows no audiences', async () => {
    expect(await reasonOf(apiServer.adminToken)).toBe('NotAuthenticated');
  });

  it('states another user with the verb impersonate for that user', async () => {
    const name = await serviceAccount([mayConnect, rule('impersonate', 'copilottenants/users', 'acme:alice@x.y')]);
    const token = await tokenOf(name);
    await eventually('the role', token, 'as alice@x.y', `${namespace}/acme/alice%40x.y`);
    expect(await reasonOf(token, `${namespace}/acme/bob`)).toBe('NotAuthorized');
    expect(await reasonOf(token, `${namespace}/acme/*`)).toBe('MalformedToken');
    expect(await reasonOf(token, `${namespace}/acme/%2A`)).toBe('NotAuthorized');
  });

  it('states any user with the verb impersonate for all users of the tenant', async () => {
    const name = await serviceAccount([mayConnect, rule('impersonate', 'copilottenants/users', 'acme:*')]);
    await eventually('the role', await tokenOf(name), 'as bob', `${namespace}/acme/bob`);
  });

  it('is denied within a minute once its role or its account is deleted', async () => {
    const name = await serviceAccount([mayConnect]);
    const token = await tokenOf(name);
    await eventually('the role', token, `as system:serviceaccount:${namespace}:${name}`);
    const decision = await admission.decide(`${namespace}/acme:${token}`);
    if ('denied' in decision) throw new Error(decision.message);
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await admin.transport.request({ method: 'DELETE', path: `${rbac}/rolebindings/${name}` });
    await waitFor('the connection has lost its right', async () => {
      await clock.advance(60_000);
      const again = await decision.recheck();
      return 'denied' in again && again.denied === 'NotAuthorized';
    });
    const account = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
    await admin.transport.request({ method: 'DELETE', path: account });
    await waitFor('the connection has lost its user', async () => {
      await clock.advance(60_000);
      const again = await decision.recheck();
      return 'denied' in again && again.denied === 'NotAuthenticated';
    });
  });
});

describe('an OIDC token', () => {
  /** Names of User or Group of the issuer, with their prefix. */
  const oidc = (kind: 'User' | 'Group', name: string) => ({
    apiGroup: 'rbac.authorization.k8s.io',
    kind,
    name: `oidc:${name}`,
  });

  it('admits its user with the verb connect on the tenant, and to no other tenant', async () => {
    await grant('oidc-alice', [mayConnect], oidc('User', 'alice'));
    const token = await issuer.token({ sub: 'alice' });
    await eventually('the role', token, 'as oidc:alice');
    expect(await reasonOf(token, `${namespace}/acme-0`)).toBe('UnknownTenant');
    expect(await reasonOf(token, 'elsewhere/acme')).toBe('UnknownTenant');
    expect(proxy.journal.map(({ resource }) => resource)).not.toContain('tokenreviews');
  });

  it('admits by a group', async () => {
    await grant('oidc-dev', [mayConnect], oidc('Group', 'dev'));
    await eventually('the role', await issuer.token({ sub: 'carol', groups: ['ops', 'dev'] }), 'as oidc:carol');
    expect(await reasonOf(await issuer.token({ sub: 'carol', groups: ['ops'] }))).toBe('NotAuthorized');
  });

  it('is denied to a user without a right, also if a user without the prefix has it', async () => {
    const subject = { ...oidc('User', ''), name: 'bob' };
    await grant('bob', [mayConnect], subject);
    await grant('oidc-bert', [mayConnect], oidc('User', 'bert'));
    await eventually('a later role', await issuer.token({ sub: 'bert' }), 'as oidc:bert');
    expect(await reasonOf(await issuer.token({ sub: 'bob' }))).toBe('NotAuthorized');
    expect(await reasonOf(await issuer.token({ sub: 'bob' }), `${namespace}/acme/bob`)).toBe('NotAuthorized');
  });

  it('has none of the rights that all have whom the API server has authenticated', async () => {
    await grant('authenticated', [mayConnect], { ...oidc('Group', ''), name: 'system:authenticated' });
    const name = await serviceAccount();
    await eventually('the role', await tokenOf(name), `as system:serviceaccount:${namespace}:${name}`);
    expect(await reasonOf(await issuer.token({ sub: 'dave', groups: ['system:masters'] }))).toBe('NotAuthorized');
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await admin.transport.request({ method: 'DELETE', path: `${rbac}/rolebindings/authenticated` });
    await eventually('the end of the role', await tokenOf(name), 'NotAuthorized');
  });

  it('states another user with the verb impersonate for that user', async () => {
    const rules = [mayConnect, rule('impersonate', 'copilottenants/users', 'acme:alice@x.y')];
    await grant('oidc-proxy', rules, oidc('User', 'proxy'));
    const token = await issuer.token({ sub: 'proxy' });
    await eventually('the role', token, 'as alice@x.y', `${namespace}/acme/alice%40x.y`);
    expect(await reasonOf(token, `${namespace}/acme/bob`)).toBe('NotAuthorized');
  });

  it('for another audience is denied, and not sent to the API server', async () => {
    expect(await reasonOf(await issuer.token({ aud: 'elsewhere' }))).toBe('NotAuthenticated');
    expect(proxy.journal).toEqual([]);
  });

  it("of an issuer that is not configured is nobody's, as the API server says", async () => {
    expect(await reasonOf(await issuer.token({ iss: `${issuer.url}/other` }))).toBe('NotAuthenticated');
    expect(proxy.journal.map(({ resource }) => resource)).toEqual(['tokenreviews']);
  });

  it('ends its connection within a minute once the right is taken away', async () => {
    await grant('oidc-erin', [mayConnect], oidc('User', 'erin'));
    const token = await issuer.token({ sub: 'erin' });
    await eventually('the role', token, 'as oidc:erin');
    const decision = await admission.decide(`${namespace}/acme:${token}`);
    if ('denied' in decision) throw new Error(decision.message);
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await admin.transport.request({ method: 'DELETE', path: `${rbac}/rolebindings/oidc-erin` });
    await waitFor('the connection has lost its right', async () => {
      await clock.advance(60_000);
      const again = await decision.recheck();
      return 'denied' in again && again.denied === 'NotAuthorized';
    });
  });
});

describe('reviews', () => {
  it('are asked once for many connections at once, and again after half a minute', async () => {
    const name = await serviceAccount([mayConnect]);
    const token = await tokenOf(name);
    await eventually('the role', token, `as system:serviceaccount:${namespace}:${name}`);
    await clock.advance(60_000);
    proxy.journal.length = 0;
    const asked = () => proxy.journal.map(({ resource }) => resource);
    await Promise.all(Array.from({ length: 200 }, () => reasonOf(token)));
    expect(asked()).toEqual(['tokenreviews', 'subjectaccessreviews']);
    await clock.advance(29_000);
    await reasonOf(token);
    expect(asked()).toHaveLength(2);
    await clock.advance(1_000);
    await reasonOf(token);
    expect(asked()).toHaveLength(4);
  });

  it('admit nobody when the API server does not answer, and do not remember that', async () => {
    const name = await serviceAccount([mayConnect]);
    const token = await tokenOf(name);
    await eventually('the role', token, `as system:serviceaccount:${namespace}:${name}`);
    await clock.advance(60_000);
    proxy.inject({ resource: 'tokenreviews' }, { kind: 'respond', status: 400, message: 'refused by the test' });
    expect(await reasonOf(token)).toBe('Unavailable');
    expect(await reasonOf(token)).toBe(`as system:serviceaccount:${namespace}:${name}`);
  });

  it('put no token into the URL or the message of an error', async () => {
    proxy.inject({ resource: 'tokenreviews' }, { kind: 'respond', status: 400, message: 'refused by the test' });
    const decision = await admission.decide(`${namespace}/acme:sesame-sesame`);
    expect(JSON.stringify([decision, proxy.journal])).not.toContain('sesame');
  });
});
