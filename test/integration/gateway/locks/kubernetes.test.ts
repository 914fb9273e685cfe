// The store in Leases, with a real API server.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Annotation } from '../../../../src/api/names.ts';
import { KubernetesStore } from '../../../../src/gateway/locks/kubernetes/kubernetes-store.ts';
import { nameOfSession, selectorOf } from '../../../../src/gateway/locks/kubernetes/session-lease.ts';
import type { CoordinationStore, SessionKey } from '../../../../src/gateway/locks/store.ts';
import { systemClock, type Clock } from '../../../../src/kube/clock/clock.ts';
import { Lease } from '../../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { itHasLocks } from '../../../support/coordination-locks.ts';
import { itIsACoordinationStore, place, type StoreWorld } from '../../../support/coordination-suite.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';

const NAMESPACE = 'default';

let api: ApiServer;
let admin: ReturnType<typeof connect>;
beforeAll(async () => {
  api = await startApiServer();
  admin = connect(api.kubeconfig());
}, 120_000);
afterAll(async () => {
  await admin.transport.close();
  await api.stop();
});

/** Real time that can be made to pass. */
function movedClock(): Clock & { pass(ms: number): void } {
  let ahead = 0;
  return { ...systemClock, monotonic: () => systemClock.monotonic() + ahead, pass: (ms) => void (ahead += ms) };
}

async function makeWorld(): Promise<StoreWorld> {
  const clock = movedClock();
  const stores: CoordinationStore[] = [];
  return {
    open: () => {
      const store = new KubernetesStore({ client: admin.client, clock, namespace: NAMESPACE });
      stores.push(store);
      return store;
    },
    pass: async (ms) => clock.pass(ms),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

describe('the store in Leases', () => {
  itIsACoordinationStore(makeWorld);
});

describe('locks in Leases', () => {
  itHasLocks(makeWorld);
});

describe('Leases of sessions', () => {
  const keyOf = (session = 's'): SessionKey => ({ tenant: randomUUID(), session });
  const to = { seen: undefined, floor: 0, place: place('0'), holder: 'gateway' };
  const open = (clock: Clock = systemClock, client = admin.client) =>
    new KubernetesStore({ client, clock, namespace: NAMESPACE });
  const leasesOf = async ({ tenant }: SessionKey) =>
    (await admin.client.list(Lease, { namespace: NAMESPACE, labelSelector: selectorOf(tenant) })).items;

  it('are no more than there are sessions, with one for the tenant', async () => {
    const store = open();
    const key = keyOf();
    const won = await store.advance(key, to);
    const acquired = await store.acquire(key, { holder: 'alice', ttlMs: 60_000, floor: 0 });
    expect(await leasesOf(key)).toHaveLength(1);
    if (won.record !== undefined) await store.forget(key, won.record);
    expect(new Set((await leasesOf(key)).map(({ spec }) => spec?.holderIdentity))).toEqual(new Set(['', 'alice']));
    if (acquired.outcome === 'Acquired') await store.release(acquired.lock);
    expect(await leasesOf(key)).toHaveLength(1);
    await store.forgetTenant(key.tenant);
    expect(await leasesOf(key)).toEqual([]);
    await store.close();
  });

  it('of dead holders are taken over, whatever their clock said', async () => {
    const key = keyOf();
    const hourAhead = { ...systemClock, now: () => systemClock.now() + 3_600_000 };
    const clock = { ...systemClock, now: () => systemClock.now() - 3_600_000, monotonic: () => at };
    let at = 0;
    const [dead, observer] = [open(hourAhead), open(clock)];
    await dead.acquire(key, { holder: 'dead', ttlMs: 2_000, floor: 0 });
    const wish = { holder: 'next', ttlMs: 2_000, floor: 0 };
    expect((await observer.acquire(key, wish)).outcome).toBe('Held');
    at = 1_999;
    expect((await observer.acquire(key, wish)).outcome).toBe('Held');
    at = 2_000;
    expect(await observer.acquire(key, wish)).toMatchObject({ outcome: 'Acquired', lock: { epoch: 2 } });
    await Promise.all([dead.close(), observer.close()]);
  });

  it('are refused with another key in them, or spoilt, and named', async () => {
    const store = open();
    for (const annotation of [
      { [Annotation.sessionKey]: '["other","s"]' },
      { [Annotation.sessionRecord]: 'hello' },
      { [Annotation.sessionLockEpoch]: 'x' },
    ]) {
      const key = keyOf();
      await store.advance(key, to);
      const name = nameOfSession(key);
      const contentType = 'application/merge-patch+json' as const;
      await admin.client.patch(
        Lease,
        { namespace: NAMESPACE, name },
        { metadata: { annotations: annotation } },
        { contentType },
      );
      const error = await store.read(key).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ reason: 'Unreadable', message: expect.stringContaining(name) });
      expect((await store.advance(key, to).catch((thrown: unknown) => thrown)) as object).toMatchObject({
        reason: 'Unreadable',
      });
    }
    await store.close();
  });

  it('keep what others write to their metadata', async () => {
    const store = open();
    const key = keyOf();
    const won = await store.advance(key, to);
    const ref = { namespace: NAMESPACE, name: nameOfSession(key) };
    const metadata = { labels: { theirs: 'label' }, annotations: { theirs: 'annotation' } };
    await admin.client.patch(Lease, ref, { metadata }, { contentType: 'application/merge-patch+json' });
    if (won.record !== undefined) expect((await store.settle(key, won.record)).outcome).toBe('Won');
    const lease = await admin.client.get(Lease, ref);
    expect([lease.metadata.labels?.['theirs'], lease.metadata.annotations?.['theirs']]).toEqual([
      'label',
      'annotation',
    ]);
    await store.close();
  });

  it('cannot be used while the API server is away, and can by themselves when it is back', async () => {
    const proxy = await FaultProxy.start(api);
    await using behind = connect(api.kubeconfig({ server: proxy.url }));
    const hasty: Clock = { ...systemClock, setTimer: (ms, fn) => systemClock.setTimer(ms === 5_000 ? 100 : ms, fn) };
    const store = new KubernetesStore({ client: behind.client, clock: hasty, namespace: NAMESPACE });
    const key = keyOf();
    proxy.inject({}, { kind: 'respond', status: 503, message: 'etcd is away' }, { times: 1_000 });
    const error = await store.read(key).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'CoordinationUnavailableError', reason: 'NotServing' });
    expect(store.availability.state).toBe('Unavailable');
    proxy.clearFaults();
    await waitFor('it answers again', () => store.availability.state === 'Available');
    expect(await store.read(key)).toBeUndefined();
    await store.close();
    await proxy.stop();
  });

  it('say which right is missing', async () => {
    await using nobody = connect(api.kubeconfig({ identity: { token: 'nobody' } }));
    const denied = open(systemClock, nobody.client);
    const error = await denied.read(keyOf()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'AccessDenied', message: expect.stringContaining('docs/permissions.md') });
    await denied.close();
  });

  it.each(['renew', 'release'] as const)(
    'are not touched by a %s that comes after another has taken the lock',
    async (how) => {
      const proxy = await FaultProxy.start(api);
      await using behind = connect(api.kubeconfig({ server: proxy.url }));
      const clock = movedClock();
      const [late, other] = [open(systemClock, behind.client), open(clock)];
      const key = keyOf();
      const held = await late.acquire(key, { holder: 'alice', ttlMs: 5_000, floor: 0 });
      if (held.outcome !== 'Acquired') throw new Error('held');
      const wish = { holder: 'bob', ttlMs: 5_000, floor: 0 };
      expect((await other.acquire(key, wish)).outcome).toBe('Held');
      const taken: string[] = [];
      // Between what it has read and what it writes.
      const takeOver = async (): Promise<void> => {
        clock.pass(5_000);
        taken.push((await other.acquire(key, wish)).outcome);
      };
      proxy.inject({ verb: how === 'renew' ? 'update' : 'delete' }, { kind: 'first', do: takeOver });
      expect(how === 'renew' ? await late.renew(held.lock, 5_000) : await late.release(held.lock)).toEqual({
        outcome: 'Lost',
      });
      expect([taken, proxy.pendingFaults]).toEqual([['Acquired'], 0]);
      expect(await late.acquire(key, { ...wish, holder: 'carol' })).toMatchObject({
        outcome: 'Held',
        by: { holder: 'bob' },
      });
      await Promise.all([late.close(), other.close()]);
      await proxy.stop();
    },
  );

  it('are written once for each step, also if the answer was lost', async () => {
    const proxy = await FaultProxy.start(api);
    await using behind = connect(api.kubeconfig({ server: proxy.url }));
    const store = open(systemClock, behind.client);
    const key = keyOf();
    const first = await store.advance(key, to);
    proxy.inject({ verb: 'update' }, { kind: 'loseResponse' });
    const seen = first.record;
    const lost = await store.advance(key, { ...to, seen, holder: 'later' }).catch((thrown: unknown) => thrown);
    expect(lost).toMatchObject({ name: 'CoordinationUnavailableError' });
    // It has happened: whoever reads finds its own name.
    expect(await store.read(key)).toMatchObject({ epoch: 2, holder: 'later' });
    expect(proxy.requests({ verb: 'update' })).toHaveLength(2);
    await store.close();
    await proxy.stop();
  });
});
