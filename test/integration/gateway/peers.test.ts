// Replicas of the gateway with a real API server and real connections between them: which of them is the home of a tenant.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { HomeUnavailableError, PeerUnreachableError, type Peer } from '../../../src/gateway/peers/model.ts';
import { leaseNameOf } from '../../../src/gateway/peers/lease.ts';
import { TIMES } from '../../../src/gateway/peers/state.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { Lease } from '../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { connect } from '../../support/kube.ts';
import { ACME, fastClock, nameOf, PeerReplica, PEERS_NAMESPACE } from '../../support/peer-replica.ts';
import { waitFor } from '../../support/wait.ts';

const keys = [{ id: 'first', key: randomBytes(32) }];
const HOUR = 3_600_000;
const members = (replica: PeerReplica): number => replica.peers.counts.members;

let api: ApiServer;
let running: PeerReplica[] = [];
const start: typeof PeerReplica.start = async (...args) => {
  const replica = await PeerReplica.start(...args);
  running.push(replica);
  return replica;
};

/** They know each other. */
async function startAll(...names: string[]): Promise<PeerReplica[]> {
  const all: PeerReplica[] = [];
  for (const name of names) all.push(await start(api, name, keys));
  for (const replica of all)
    await waitFor(`${replica.name} knows the others`, () => members(replica) === names.length - 1);
  return all;
}

beforeAll(async () => {
  api = await startApiServer();
}, 120_000);
afterEach(async () => {
  await Promise.all(running.map((replica) => replica.stop()));
  running = [];
});
afterAll(() => api.stop());

describe('replicas that know each other', () => {
  it('agree on the home of a tenant, and a further one changes nothing', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    const tenants = Array.from({ length: 20 }, (_, index) => ({ namespace: 'team', name: `t-${index}` }));
    const homes = await Promise.all(
      tenants.map(async (tenant) => {
        const first = await a.home(tenant);
        const second = await b.home(tenant, first !== 'Here');
        return first === 'Here' ? [first, second] : [second, first];
      }),
    );
    expect(new Set(homes.map(([here]) => here))).toEqual(new Set(['Here']));
    expect(a.peers.counts.homes + b.peers.counts.homes).toBe(20);
    expect(a.peers.counts.homes).toBeGreaterThan(0);
    expect(b.peers.counts.homes).toBeGreaterThan(0);
    const c = await start(api, 'c', keys);
    const seen = await Promise.all(tenants.map((tenant) => c.home(tenant)));
    expect(seen.filter((home) => home === 'a')).toHaveLength(a.peers.counts.homes);
    expect(seen.filter((home) => home === 'b')).toHaveLength(b.peers.counts.homes);
  }, 60_000);

  it('never both take a tenant that they claim at the same time', async () => {
    const all = await startAll('a', 'b', 'c');
    for (let round = 0; round < 20; round++) {
      const tenant = { namespace: 'team', name: `race-${round}` };
      const homes = await Promise.all(all.map((replica) => replica.claim(tenant)));
      expect(homes.filter((home) => home === 'Here')).toHaveLength(1);
    }
  }, 60_000);

  it('pass a tenant on when it is released, and do not choose one that drains', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    expect(await a.claim()).toBe('Here');
    expect(await b.claim()).toBe('a');
    a.peers.drain();
    expect(await b.home()).toBe('a');
    a.peers.release(ACME);
    await waitFor('b is told', async () => (await b.home()) === 'Here');
    expect(await a.claim()).toBe('b');
  }, 60_000);

  it('open streams for clients to each other, and to nobody without the key', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    const accepted = Promise.withResolvers<{ stream: Duplex; from: string }>();
    b.peers.onForward((stream, from) => {
      stream.write('hello');
      accepted.resolve({ stream, from });
    });
    await b.claim();
    const peer = (await a.peers.route(ACME, { isForwarded: false })) as Peer;
    const stream = await peer.connect('forward');
    const { stream: other, from } = await accepted.promise;
    expect(from).toMatch(/^a\./);
    expect(String((await once(stream, 'data'))[0])).toBe('hello');
    stream.write('and back');
    expect(String((await once(other, 'data'))[0])).toBe('and back');
    const closed = once(other, 'close');
    stream.destroy();
    await closed;

    const stranger = await start(api, 'x', [{ id: 'first', key: randomBytes(32) }]);
    await waitFor('it has tried', () => stranger.log.some((line) => line.includes('there is no connection to a peer')));
    await stranger.stop();
    running = running.filter((replica) => replica !== stranger);
    await b.stop();
    running = running.filter((replica) => replica !== b);
    await expect(peer.connect('forward')).rejects.toThrow(PeerUnreachableError);
  }, 60_000);

  it('reach each other while the key is rotated', async () => {
    const [before] = keys as [(typeof keys)[0]];
    const after = { id: 'second', key: randomBytes(32) };
    const a = await start(api, 'a', [after, before]);
    const b = await start(api, 'b', [before]);
    await waitFor('both claim', async () => (await a.claim()) === 'Here' && (await b.claim()) === 'a');
  }, 60_000);
});

const leaseOfA = { namespace: PEERS_NAMESPACE, name: leaseNameOf('a') };

describe('a replica that waits for its key', () => {
  // Its caches know the others already: what it told them then would be an address where nobody listens.
  it('connects to nobody before it listens itself', async () => {
    const a = await start(api, 'a', keys);
    const late: typeof keys = [];
    const b = await start(api, 'b', late, { mayFail: true });
    const { client, transport } = connect(api.kubeconfig());
    const renewed = async () => (await client.get(Lease, leaseOfA)).spec?.renewTime;
    // The second one is sure to be told to b after its caches were synced.
    for (let times = 0; times < 2; times++) {
      const before = await renewed();
      await waitFor('a renews its Lease', async () => (await renewed()) !== before);
    }
    await transport.close();
    expect(b.log.filter((line) => line.includes('a peer'))).toEqual([]);
    late.push(...keys);
    await waitFor('b has joined', () => b.peers.ready.check().ok);
    await waitFor('both know each other', () => members(a) === 1 && members(b) === 1);
    const known = a.log
      .filter((line) => line.includes('a peer is known'))
      .map((line) => (JSON.parse(line) as { address: string }).address);
    expect(known).toEqual([b.address]);
  }, 60_000);
});

describe('a replica that ends', () => {
  it('by itself: others have its tenants at once, and its Lease is gone', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    const gone: string[] = [];
    expect(await b.claim()).toBe('a');
    b.peers.onPeerGone((peer) => void gone.push(nameOf(peer)));
    await a.stop();
    running = [b];
    await waitFor('it is gone', () => members(b) === 0, { withinMs: 2_000 });
    expect(gone).toEqual(['a']);
    expect(await b.claim()).toBe('Here');
    await using admin = connect(api.kubeconfig());
    const { items } = await admin.client.listAll(Lease, { namespace: PEERS_NAMESPACE });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['copilot-gateway-peer-b']);
  }, 60_000);

  it('without a word: others have its tenants when its Lease has expired', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    await a.crash(b);
    running = [b];
    expect(await b.claim()).toBe('Here');
    expect(b.log.join()).toContain('its Lease has expired: it is dead');
  }, 60_000);

  it('and starts again: others know at once that the one before has ended', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    await a.crash(b);
    running = [b];
    const again = await start(api, 'a', keys);
    const startedAt = performance.now();
    expect(await b.claim()).toBe('Here');
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(await again.claim()).toBe('b');
    expect(b.log.join()).not.toContain('its Lease has expired');
  }, 60_000);
});

describe('a replica that is cut off', () => {
  it('from API server and peers gives up its tenants before another one takes them, and comes back under another id', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    a.cutOffFromApi();
    a.cutOffFromPeers();
    // The link from a to b is by b's address.
    b.cutOffFromPeers();
    expect(await b.claim()).toBe('Here');
    const takenAt = performance.now();
    expect(a.fencedAt).toHaveLength(1);
    expect(a.fencedAt[0]).toBeLessThan(takenAt);
    expect(a.peers.mayAct).toBe(false);
    a.reconnectToApi();
    await waitFor('it joins again', () => a.log.some((line) => line.includes('joins its peers again')));
    await waitFor('it may act again', () => a.peers.mayAct);
    expect(a.peers.counts.homes).toBe(0);
  }, 60_000);

  it('from a peer by connections that are half open has them ended, and is connected again', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    b.peers.onForward((stream) => void stream.resume());
    await b.claim();
    const peer = (await a.peers.route(ACME, { isForwarded: false })) as Peer;
    const gone: string[] = [];
    a.peers.onPeerGone(({ id }) => void gone.push(id));
    b.stallPeers();
    await waitFor('what is forwarded to it is given up', () => gone.includes(peer.id));
    expect(a.log.join('\n')).toContain('nothing was heard of it');
    (await peer.connect('forward')).destroy();
    // Two heartbeats later it would be quiet again, if the new link were none.
    const until = performance.now() + 6_000;
    await waitFor('twice the time in which it must be heard', () => performance.now() > until);
    expect([gone, a.peers.mayAct, b.peers.mayAct, a.fencedAt, b.fencedAt]).toEqual([[peer.id], true, true, [], []]);
    expect(await a.home()).toBe('b');
  }, 90_000);

  it('from its peers only keeps its tenants, and none of the two takes further ones', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    a.cutOffFromPeers();
    b.cutOffFromPeers();
    await expect(b.claim()).rejects.toThrow(HomeUnavailableError);
    expect(a.peers.mayAct).toBe(true);
    expect(a.peers.counts.homes).toBe(1);
    expect(a.fencedAt).toEqual([]);
  }, 60_000);

  it('from its peers is taken for dead by its Lease alone, and not because clocks jump by hours', async () => {
    const ahead = { a: HOUR, b: -HOUR };
    const clockOf = (name: 'a' | 'b') => ({ ...fastClock, now: () => systemClock.now() + ahead[name] });
    const a = await start(api, 'a', keys, { clock: clockOf('a') });
    const b = await start(api, 'b', keys, { clock: clockOf('b') });
    for (const replica of [a, b]) await waitFor('it knows the other', () => members(replica) === 1);
    await a.claim();
    for (const replica of [a, b]) replica.cutOffFromPeers();
    Object.assign(ahead, { a: -HOUR, b: HOUR });
    const until = fastClock.monotonic() + 2 * TIMES.lease;
    await waitFor('a Lease would have expired', () => fastClock.monotonic() > until);
    expect([a.peers.mayAct, b.peers.mayAct, a.fencedAt, b.fencedAt]).toEqual([true, true, [], []]);
    expect(a.log.concat(b.log).join('\n')).not.toContain('it is dead');
    await expect(b.claim()).rejects.toThrow(HomeUnavailableError);
    a.cutOffFromApi();
    expect(await b.claim()).toBe('Here');
    expect(a.fencedAt).toHaveLength(1);
  }, 60_000);

  it('from the API server, with all others, goes on and takes further tenants', async () => {
    const [a, b] = (await startAll('a', 'b')) as [PeerReplica, PeerReplica];
    await a.claim();
    for (const replica of [a, b]) replica.cutOffFromApi();
    await waitFor('the Leases would have expired', () =>
      a.log.filter((line) => line.includes('failed to renew')).length > 0 ? true : undefined,
    );
    const until = performance.now() + 6_000;
    await waitFor('three times the renew deadline', () => performance.now() > until);
    for (const replica of [a, b]) {
      expect(replica.peers.mayAct).toBe(true);
      expect(replica.fencedAt).toEqual([]);
    }
    expect(await b.claim()).toBe('a');
    expect(await b.claim({ namespace: 'team', name: 'other' })).toBe('Here');
    for (const replica of [a, b]) replica.reconnectToApi();
  }, 60_000);
});
