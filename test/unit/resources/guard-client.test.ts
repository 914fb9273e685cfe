import { describe, expect, it } from '@jest/globals';
import { RpcError } from '../../../src/copilot/index.ts';
import { grantSignerOf, publicGrantKeys } from '../../../src/resources/grant-keys.ts';
import { GuardClient } from '../../../src/resources/guard-client.ts';
import type { PodFates } from '../../../src/resources/pod-fate.ts';
import { GUARD_ERROR, type EpochHolder, type GuardErrorData } from '../../../src/resources/guard-protocol.ts';
import { grantVerifiers, readGrant, type SessionGrant } from '../../../src/resources/session-grant.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const KEY = { id: 'k', key: Buffer.alloc(32, 7) };
const REQUEST = {
  tenant: 'team/acme',
  server: 'team/acme-0',
  podUID: 'uid-0',
  sessionId: 'one',
  intent: 'delete',
} as const;
const OTHER: EpochHolder = { server: 'team/acme-1', pod: 'uid-1' };

function fatesOf(gone: readonly string[]): PodFates {
  return {
    fateOf: (namespace, podUID) => {
      const isGone = gone.includes(podUID);
      return Promise.resolve({ reason: isGone ? 'Deleted' : 'Running', isGone, message: `${namespace} ${podUID}` });
    },
  };
}

/** A guard that answers by what it has seen, and records the grants that it was given. */
function guard(answer: (grant: SessionGrant) => GuardErrorData | undefined, goneHolders: readonly string[] = []) {
  const grants: SessionGrant[] = [];
  const verifiers = grantVerifiers(publicGrantKeys([KEY]) ?? '');
  const client = new GuardClient({
    keys: { all: [KEY] },
    clock: new FakeClock(Date.parse('2026-01-02T03:04:05Z')),
    fates: fatesOf(goneHolders),
  });
  const server = {
    address: 'acme-0:4321',
    request: (_method: string, params: object) => {
      const grant = readGrant((params as { grant: string }).grant, verifiers);
      grants.push(grant);
      const data = answer(grant);
      if (data !== undefined) return Promise.reject(new RpcError('refused', GUARD_ERROR, 'refused', { data }));
      return Promise.resolve({ epoch: grant.epoch });
    },
  };
  const call = { timeoutMs: 1000 };
  return {
    grants,
    grant: (after?: number) => client.grant(server, { ...REQUEST, after }, call),
    epochOf: () => client.epochOf(server, REQUEST, call),
  };
}

describe('a grant for a removal', () => {
  it('is of the epoch after the highest that the guard knows', async () => {
    const { grants, grant } = guard(({ epoch }) => (epoch <= 41 ? { rule: 'StaleEpoch', epoch: 41 } : undefined));
    expect(await grant()).toEqual({});
    expect(grants.map(({ epoch }) => epoch)).toEqual([1, 42]);
    expect(grants[1]).toMatchObject({
      tenant: 'team/acme',
      server: 'team/acme-0',
      pod: 'uid-0',
      session: 'one',
      intent: 'delete',
      issuedAt: '2026-01-02T03:04:05Z',
    });
  });

  it('names the server that has the session, and takes it away from none', async () => {
    const { grants, grant } = guard(({ epoch }) =>
      epoch <= 5 ? { rule: 'StaleEpoch', epoch: 5 } : { rule: 'NotClosed', epoch: 5, holder: OTHER },
    );
    expect(await grant()).toEqual({ heldBy: { server: 'team/acme-1', why: 'team uid-1' } });
    expect(grants.map(({ gone }) => gone)).toEqual([undefined, undefined]);
  });

  it('is given for a session whose server is gone for sure', async () => {
    const { grants, grant } = guard(
      ({ epoch, gone }) =>
        epoch <= 5
          ? { rule: 'StaleEpoch', epoch: 5 }
          : gone?.includes('uid-1')
            ? undefined
            : { rule: 'NotClosed', epoch: 5, holder: OTHER },
      ['uid-1'],
    );
    expect(await grant()).toEqual({});
    expect(grants.at(-1)).toMatchObject({ epoch: 6, gone: ['uid-1'] });
  });

  it('is given up when others raise the epoch again and again', async () => {
    const { grants, grant } = guard(({ epoch }) => ({ rule: 'StaleEpoch', epoch }));
    await expect(grant()).rejects.toThrow(RpcError);
    expect(grants).toHaveLength(5);
  });

  it.each(['BadGrant', 'StorageFailed', 'Busy'] as const)(
    'with one key is not asked for again after %s',
    async (rule) => {
      const { grants, grant } = guard(() => ({ rule }));
      await expect(grant()).rejects.toThrow(RpcError);
      expect(grants).toHaveLength(1);
    },
  );

  it('is signed by the key of before where the guard does not know the present one, and by that one from then on', async () => {
    const old = { id: 'old', key: Buffer.alloc(32, 9) };
    const verifiers = grantVerifiers(publicGrantKeys([old]) ?? '');
    const signedBy: string[] = [];
    const client = new GuardClient({
      keys: { all: [KEY, old] },
      clock: new FakeClock(0),
      fates: fatesOf([]),
    });
    const server = {
      address: 'acme-0:4321',
      request: (_method: string, params: object) => {
        const { grant } = params as { grant: string };
        signedBy.push(grant.split('.')[1] ?? '');
        const isKnown = verifiers.some(({ id }) => id === signedBy.at(-1));
        const epoch = isKnown ? readGrant(grant, verifiers).epoch : 0;
        if (epoch > 3) return Promise.resolve({ epoch });
        const data: GuardErrorData = isKnown ? { rule: 'StaleEpoch', epoch: 3 } : { rule: 'BadGrant' };
        return Promise.reject(new RpcError('refused', GUARD_ERROR, 'refused', { data }));
      },
    };
    expect(await client.grant(server, REQUEST, { timeoutMs: 1 })).toEqual({});
    expect(signedBy).toEqual([grantSignerOf(KEY).id, grantSignerOf(old).id, grantSignerOf(old).id]);
  });

  it('is not made without a key', async () => {
    const client = new GuardClient({
      keys: { all: [] },
      clock: new FakeClock(0),
      fates: fatesOf([]),
    });
    const server = { address: 'acme-0:4321', request: () => Promise.resolve({}) };
    await expect(client.grant(server, REQUEST, { timeoutMs: 1 })).rejects.toThrow('there is no key yet');
  });
});

describe('a grant after an epoch that was learned', () => {
  /** A guard that knows this epoch. */
  const at = (epoch: number) => guard((grant) => (grant.epoch <= epoch ? { rule: 'StaleEpoch', epoch } : undefined));

  it('is of the next one, and of no other', async () => {
    const { grants, grant, epochOf } = at(41);
    expect(await epochOf()).toBe(41);
    expect(await grant(41)).toEqual({});
    expect(grants.map(({ epoch }) => epoch)).toEqual([1, 42]);
  });

  it('is not asked for again when somebody else was granted the session', async () => {
    const { grants, grant } = at(42);
    expect(await grant(41)).toEqual({ isOvertaken: true });
    expect(grants.map(({ epoch }) => epoch)).toEqual([42]);
  });

  it('follows the first one, where the guard knows of none', async () => {
    const { grants, grant, epochOf } = at(0);
    expect(await epochOf()).toBe(1);
    expect(await grant(1)).toEqual({});
    expect(grants.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  it('keeps its epoch while pods that are gone are named', async () => {
    const { grants, grant } = guard(
      ({ gone }) => (gone?.includes('uid-1') ? undefined : { rule: 'NotClosed', epoch: 5, holder: OTHER }),
      ['uid-1'],
    );
    expect(await grant(5)).toEqual({});
    expect(grants.map(({ epoch, gone }) => [epoch, gone])).toEqual([
      [6, undefined],
      [6, ['uid-1']],
    ]);
  });

  it('is not learned from a guard that can not say it', async () => {
    const { epochOf } = guard(() => ({ rule: 'StorageFailed' }));
    await expect(epochOf()).rejects.toThrow(RpcError);
  });
});

describe('the key that signs', () => {
  it('is the present one', () => {
    expect(grantSignerOf(KEY).id).toBe(grantVerifiers(publicGrantKeys([KEY]) ?? '')[0]?.id);
  });
});
