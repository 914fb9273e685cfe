import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  createAdmission,
  type Decision,
  type Grant,
  type TokenIssuers,
} from '../../../../src/gateway/admission/admission.ts';
import { credentialHash } from '../../../../src/resources/binding.ts';
import type { Reviews, TenantRight } from '../../../../src/gateway/admission/reviews.ts';
import type { KubeUser, Unauthenticated } from '../../../../src/gateway/admission/user.ts';
import type { GatewayTenant } from '../../../../src/gateway/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const credential = `cpg_${'a'.repeat(43)}`;
const next = `cpg_${'b'.repeat(43)}`;
const acme: GatewayTenant = {
  namespace: 'team',
  name: 'acme',
  uid: 'uid-1',
  access: 'Gateway',
  isolation: 'Dedicated',
  credentials: [credentialHash(credential)],
  servers: [],
};
const bot: KubeUser = { name: 'bot', uid: 'u', groups: ['g'], extra: {}, expiresAt: undefined };

let clock: FakeClock;
let tenants: Map<string, GatewayTenant>;
let isSynced: boolean;
let rights: string[];
let asked: string[];
let askers: string[];
let users: Map<string, KubeUser | Unauthenticated>;
let failure: Error | undefined;
let issuerFailure: Error | undefined;
let isTrusted: boolean;
let isExpired: boolean;

beforeEach(() => {
  clock = new FakeClock();
  tenants = new Map([['team/acme', acme]]);
  isSynced = true;
  rights = ['team connect acme'];
  asked = [];
  askers = [];
  users = new Map([['kube-token', bot]]);
  failure = undefined;
  issuerFailure = undefined;
  isTrusted = true;
  isExpired = false;
});

const reviews: Reviews = {
  authenticate: async (token, asker) => {
    askers.push(asker);
    asked.push('who');
    if (failure) throw failure;
    return Promise.resolve(users.get(token) ?? { problem: 'the API server does not accept the Kubernetes token' });
  },
  isAllowed: (_, { tenant, verb, name }: TenantRight, asker) => {
    askers.push(asker);
    const right = `${tenant.namespace} ${verb} ${name}`;
    asked.push(right);
    return Promise.resolve(rights.includes(right));
  },
};

/** Of tokens that begin with `oidc-`, all of alice. */
const issuers: TokenIssuers = {
  of: (token) =>
    isTrusted && token.startsWith('oidc-')
      ? {
          authenticate: (_, asker): Promise<KubeUser | Unauthenticated> => {
            askers.push(asker);
            asked.push('issuer');
            if (issuerFailure) return Promise.reject(issuerFailure);
            if (token === 'oidc-forged')
              return Promise.resolve({ problem: 'the signature of the OIDC token is wrong' });
            const expiresAt = isExpired ? clock.now() : clock.now() + 60_000;
            return Promise.resolve({ ...bot, name: 'oidc:alice', expiresAt });
          },
        }
      : undefined,
};

function decide(token: unknown): Decision | Promise<Decision> {
  const fleet = {
    find: ({ namespace, name }: { namespace: string; name: string }) => tenants.get(`${namespace}/${name}`),
    get isSynced() {
      return isSynced;
    },
  };
  return createAdmission({ fleet, reviews, issuers, clock }).decide(token);
}

async function granted(token: string): Promise<Grant> {
  const decision = await decide(token);
  if ('denied' in decision) throw new Error(`${decision.denied}: ${decision.message}`);
  return decision;
}

const reasonOf = async (token: unknown): Promise<string> => {
  const decision = await decide(token);
  return 'denied' in decision ? decision.denied : 'granted';
};

describe('a binding credential', () => {
  it('admits to its tenant at once, as whichever user it states, and asks nobody', async () => {
    const decision = decide(`team/acme/alice:${credential}`);
    expect(decision).toMatchObject({
      identity: { tenant: { namespace: 'team', name: 'acme' }, user: 'alice', credential: 'Binding' },
    });
    expect((await granted(`team/acme:${credential}`)).identity.user).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it.each([
    ['of another tenant', `team/other:${credential}`, 'UnknownTenant'],
    ['of a look-alike', `team/acme-0:${credential}`, 'UnknownTenant'],
    ['of the same name in another namespace', `elsewhere/acme:${credential}`, 'UnknownTenant'],
    ['that is wrong', `team/acme:${next}`, 'WrongCredential'],
    ['that is cut off', `team/acme:${credential.slice(0, -1)}`, 'WrongCredential'],
    ['in a malformed token', `acme:${credential}`, 'MalformedToken'],
  ])('%s is denied, and never sent to the API server', async (_, token, reason) => {
    expect(await reasonOf(token)).toBe(reason);
    expect(asked).toEqual([]);
  });

  it('admits to no tenant whose clients do not come through the gateway', async () => {
    tenants.set('team/acme', { ...acme, access: 'Direct' });
    expect(await reasonOf(`team/acme:${credential}`)).toBe('DirectAccess');
  });

  it('is not refused for ever while the tenants are still being listed', async () => {
    isSynced = false;
    tenants.clear();
    expect(await reasonOf(`team/acme:${credential}`)).toBe('Unavailable');
  });

  it('is valid until it is retired, and the next one from when it is listed', async () => {
    const { recheck } = await granted(`team/acme:${credential}`);
    tenants.set('team/acme', { ...acme, credentials: [credentialHash(next), credentialHash(credential)] });
    expect(await recheck()).toHaveProperty('identity');
    expect(await reasonOf(`team/acme:${next}`)).toBe('granted');
    tenants.set('team/acme', { ...acme, credentials: [credentialHash(next)] });
    expect(await recheck()).toMatchObject({ denied: 'WrongCredential' });
  });

  it('is kicked when the annotation gets another value, and not when it is removed', async () => {
    for (const token of [`team/acme:${credential}`, 'team/acme:kube-token']) {
      const { recheck } = await granted(token);
      tenants.set('team/acme', { ...acme, kick: '1' });
      asked = [];
      expect(await recheck()).toMatchObject({ denied: 'Kicked', message: expect.stringContaining('connect again') });
      expect(asked).toEqual([]);
      const again = await granted(token);
      expect(await again.recheck()).toHaveProperty('identity');
      tenants.set('team/acme', acme);
      expect(await again.recheck()).toHaveProperty('identity');
    }
  });

  it('ends with its tenant, even if another one takes its name and credential', async () => {
    const { recheck } = await granted(`team/acme:${credential}`);
    tenants.set('team/acme', { ...acme, uid: 'uid-2' });
    expect(await recheck()).toMatchObject({ denied: 'UnknownTenant' });
    tenants.delete('team/acme');
    expect(await recheck()).toMatchObject({ denied: 'UnknownTenant' });
  });
});

describe('a tenant whose users are kept apart', () => {
  it('takes nobody who states no user by a binding credential; a Kubernetes token has one', async () => {
    for (const isolation of ['Shared', 'SharedTrusted'] as const) {
      tenants.set('team/acme', { ...acme, isolation });
      expect(await reasonOf(`team/acme:${credential}`)).toBe('UserRequired');
      expect((await granted(`team/acme/alice:${credential}`)).identity.user).toBe('alice');
      expect((await granted('team/acme:kube-token')).identity.user).toBe('bot');
    }
    // A wrong credential does not learn that the tenant needs one.
    expect(await reasonOf(`team/acme:${next}`)).toBe('WrongCredential');
  });

  it('keeps no connection from before its isolation changed', async () => {
    const both = [await granted(`team/acme/alice:${credential}`), await granted('team/acme:kube-token')];
    tenants.set('team/acme', { ...acme, isolation: 'Shared' });
    for (const { recheck } of both) expect(await recheck()).toMatchObject({ denied: 'IsolationChanged' });
  });
});

describe('a Kubernetes token', () => {
  it('admits its user where that may connect', async () => {
    const { identity } = await granted('team/acme:kube-token');
    expect(identity).toMatchObject({ user: 'bot', credential: 'Kubernetes' });
    expect(asked).toEqual(['who', 'team connect acme']);
  });

  it('takes no further right to state its own user', async () => {
    expect((await granted('team/acme/bot:kube-token')).identity.user).toBe('bot');
  });

  it.each([
    ['for that user', 'team impersonate acme:alice'],
    ['for all users', 'team impersonate acme:*'],
  ])('states another user with the right %s', async (_, right) => {
    expect(await reasonOf('team/acme/alice:kube-token')).toBe('NotAuthorized');
    rights.push(right);
    expect((await granted('team/acme/alice:kube-token')).identity.user).toBe('alice');
  });

  it('takes both rights to state another user', async () => {
    rights = ['team impersonate acme:*'];
    expect(await reasonOf('team/acme/alice:kube-token')).toBe('NotAuthorized');
  });

  it('asks the same of an unknown tenant as of a foreign one, and denies both', async () => {
    rights = [];
    expect(await reasonOf('team/acme:kube-token')).toBe('NotAuthorized');
    const foreign = asked.splice(0);
    tenants.clear();
    expect(await reasonOf('team/acme:kube-token')).toBe('UnknownTenant');
    expect(asked).toEqual(foreign);
  });

  it('is looked at again in the places of who is connected', async () => {
    const { recheck } = await granted('team/acme:kube-token');
    expect(new Set(askers.splice(0))).toEqual(new Set(['Newcomer']));
    await recheck();
    expect(askers).toEqual(['Connected', 'Connected']);
  });

  it('that the API server does not accept is denied', async () => {
    expect(await reasonOf('team/acme:other-token')).toBe('NotAuthenticated');
    expect(asked).toEqual(['who']);
  });

  it('ends when it expires, when it is revoked, and when its right is taken away', async () => {
    users.set('kube-token', { ...bot, expiresAt: clock.now() + 60_000 });
    const { recheck, identity } = await granted('team/acme:kube-token');
    expect(identity.expiresAt).toBe(clock.now() + 60_000);
    rights = [];
    expect(await recheck()).toMatchObject({ denied: 'NotAuthorized' });
    rights = ['team connect acme'];
    expect(await recheck()).toHaveProperty('identity');
    await clock.advance(60_000);
    expect(await recheck()).toMatchObject({ denied: 'NotAuthenticated', message: 'the Kubernetes token has expired' });
    users.clear();
    expect(await recheck()).toMatchObject({ denied: 'NotAuthenticated' });
  });

  it('admits nobody when the API server does not answer', async () => {
    failure = new Error('POST /apis/authentication.k8s.io/v1/tokenreviews: connection refused');
    expect(await decide('team/acme:kube-token')).toMatchObject({ denied: 'Unavailable' });
  });
});

describe('an OIDC token', () => {
  it('admits its user where that may connect, by the rights that a Kubernetes token needs', async () => {
    const { identity } = await granted('team/acme:oidc-token');
    expect(identity).toMatchObject({ user: 'oidc:alice', credential: 'OIDC', expiresAt: clock.now() + 60_000 });
    expect(asked).toEqual(['issuer', 'team connect acme']);
    expect(await reasonOf('team/acme/bob:oidc-token')).toBe('NotAuthorized');
    rights.push('team impersonate acme:bob');
    expect((await granted('team/acme/bob:oidc-token')).identity.user).toBe('bob');
  });

  it('is never sent to the API server, whether it is good or not', async () => {
    await reasonOf('team/acme:oidc-token');
    expect(await decide('team/acme:oidc-forged')).toMatchObject({
      denied: 'NotAuthenticated',
      message: 'the signature of the OIDC token is wrong',
    });
    expect(asked).not.toContain('who');
  });

  it('asks the same for an unknown tenant as for a foreign one, and is denied for both', async () => {
    rights = [];
    expect(await reasonOf('team/acme:oidc-token')).toBe('NotAuthorized');
    const foreign = asked.splice(0);
    tenants.clear();
    expect(await reasonOf('team/acme:oidc-token')).toBe('UnknownTenant');
    expect(asked).toEqual(foreign);
  });

  it('ends when it expires, and when its right is taken away', async () => {
    const { recheck } = await granted('team/acme:oidc-token');
    expect(askers.splice(0)).toEqual(['Newcomer', 'Newcomer']);
    expect(await recheck()).toHaveProperty('identity');
    expect(askers).toEqual(['Connected', 'Connected']);
    rights = [];
    expect(await recheck()).toMatchObject({ denied: 'NotAuthorized' });
    isExpired = true;
    expect(await recheck()).toMatchObject({ denied: 'NotAuthenticated', message: 'the OIDC token has expired' });
  });

  it('ends when its issuer is trusted no more, and is not sent to the API server, which may trust it', async () => {
    users.set('oidc-token', { ...bot, name: 'oidc:alice' });
    const { recheck } = await granted('team/acme:oidc-token');
    isTrusted = false;
    expect(await recheck()).toMatchObject({
      denied: 'NotAuthenticated',
      message: 'the issuer of the OIDC token is not among those that are configured any more',
    });
    expect(asked).not.toContain('who');
    isTrusted = true;
    expect(await recheck()).toHaveProperty('identity');
  });

  it('of an issuer that is trusted only since is looked at again by the API server, which has admitted it', async () => {
    users.set('oidc-token', bot);
    isTrusted = false;
    const { recheck, identity } = await granted('team/acme:oidc-token');
    expect(identity).toMatchObject({ user: 'bot', credential: 'Kubernetes' });
    isTrusted = true;
    expect(await recheck()).toMatchObject({ identity });
    expect(asked).not.toContain('issuer');
  });

  it('admits nobody while its issuer does not answer, and lets who is connected stay for a while', async () => {
    const { recheck } = await granted('team/acme:oidc-token');
    issuerFailure = new Error('the keys of the issuer are not known');
    const unavailable = {
      denied: 'Unavailable',
      message: expect.stringContaining('the keys of the issuer') as unknown,
    };
    expect(await decide('team/acme:oidc-token')).toMatchObject(unavailable);
    expect(await recheck()).toMatchObject(unavailable);
    expect(await reasonOf('team/acme:kube-token')).toBe('granted');
    expect(await reasonOf(`team/acme:${credential}`)).toBe('granted');
  });
});
