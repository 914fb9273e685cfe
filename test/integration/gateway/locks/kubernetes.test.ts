// The store in Leases, with a real API server.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Annotation } from '../../../../src/api/names.ts';
import { KubernetesStore } from '../../../../src/gateway/locks/kubernetes/kubernetes-store.ts';
import { nameOfSession, nameOfTenant, selectorOf } from '../../../../src/gateway/locks/kubernetes/session-lease.ts';
import type { CoordinationStore, RecordResult, SessionKey } from '../../../../src/gateway/locks/store.ts';
import { systemClock, type Clock } from '../../../../src/kube/clock/clock.ts';
import { Lease } from '../../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
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

async function makeWorld(): Promise<StoreWorld> {
  const stores: CoordinationStore[] = [];
  return {
    open: () => {
      const store = new KubernetesStore({ client: admin.client, clock: systemClock, namespace: NAMESPACE });
      stores.push(store);
      return store;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

describe('the store in Leases', () => {
  itIsACoordinationStore(makeWorld);
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
    expect(await leasesOf(key)).toHaveLength(1);
    if (won.record !== undefined) await store.forget(key, won.record);
    expect((await leasesOf(key)).map(({ metadata }) => metadata.name)).toEqual([nameOfTenant(key.tenant)]);
    await store.forgetTenant(key.tenant);
    expect(await leasesOf(key)).toEqual([]);
    await store.close();
  });

  it('are refused with another key in them, or spoilt, and named', async () => {
    const store = open();
    for (const annotation of [{ [Annotation.sessionKey]: '["other","s"]' }, { [Annotation.sessionRecord]: 'hello' }]) {
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

  it('are not deleted by one who forgets what another has written by then', async () => {
    const proxy = await FaultProxy.start(api);
    await using behind = connect(api.kubeconfig({ server: proxy.url }));
    const [late, other] = [open(systemClock, behind.client), open()];
    const key = keyOf();
    const { record: seen } = await late.advance(key, to);
    if (seen === undefined) throw new Error('none was written');
    const written: RecordResult[] = [];
    // Between what it has read and what it deletes.
    const write = async (): Promise<void> =>
      void written.push(await other.advance(key, { ...to, seen, holder: 'faster' }));
    proxy.inject({ verb: 'delete' }, { kind: 'first', do: write });
    const record = { epoch: 2, holder: 'faster' };
    expect(await late.forget(key, seen)).toMatchObject({ outcome: 'Lost', record });
    expect([written[0]?.outcome, proxy.pendingFaults]).toEqual(['Won', 0]);
    expect(await late.read(key)).toMatchObject(record);
    await Promise.all([late.close(), other.close()]);
    await proxy.stop();
  });

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
