// What goes wrong with a real Redis: each is told with a remedy, nothing is decided meanwhile, and it heals by itself.
import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CoordinationStore, SessionRecord, UnavailableReason } from '../../../../src/gateway/locks/store.ts';
import { freePort } from '../../../support/copilot-server.ts';
import { place } from '../../../support/coordination-suite.ts';
import { PrivateCA } from '../../../support/private-ca.ts';
import { RedisServer } from '../../../support/redis-server.ts';
import { RedisWorld, SOON } from '../../../support/redis-world.ts';
import { TcpGate } from '../../../support/tcp-gate.ts';
import { waitFor } from '../../../support/wait.ts';

const key = { tenant: randomUUID(), session: 's' };
const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});

async function redis(...args: Parameters<typeof RedisServer.start>): Promise<RedisServer> {
  const server = await RedisServer.start(...args);
  opened.push(server);
  return server;
}
function worldOf(url: string): RedisWorld {
  const world = new RedisWorld(url);
  opened.push(world);
  return world;
}
async function gate(port: number): Promise<{ gate: TcpGate; url: string }> {
  const from = { host: '127.0.0.1', port: await freePort() };
  const made = await TcpGate.start(from, { host: '127.0.0.1', port });
  opened.push({ [Symbol.asyncDispose]: async () => made.stop() });
  return { gate: made, url: `redis://127.0.0.1:${from.port}` };
}
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'redis-faults-'));
  opened.push({ [Symbol.asyncDispose]: async () => rmSync(made, { recursive: true }) });
  return made;
}

const advance = (store: CoordinationStore, seen?: SessionRecord, floor = 0, of = key) =>
  store.advance(of, { seen, floor, place: place('0'), holder: `gateway-${randomUUID()}` });

async function won(store: CoordinationStore, seen?: SessionRecord, floor = 0): Promise<SessionRecord> {
  const result = await advance(store, seen, floor);
  if (result.outcome !== 'Won') throw new Error(`lost to ${JSON.stringify(result.record)}`);
  return result.record;
}

/** It says so with these words, nothing is written, and the metric is right. */
async function expectAway(store: CoordinationStore, reason: UnavailableReason, ...words: string[]): Promise<void> {
  const begun = performance.now();
  // A session that has no record: it would be written.
  const of = { ...key, session: randomUUID() };
  const error = await advance(store, undefined, 0, of).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'CoordinationUnavailableError', reason });
  expect(performance.now() - begun).toBeLessThan(5_000);
  for (const word of words) expect((error as Error).message).toContain(word);
  expect(store.availability).toMatchObject({ state: 'Unavailable', reason });
}

const heals = (store: CoordinationStore) =>
  waitFor('the store is back', () => store.availability.state === 'Available', { withinMs: 15_000 });

describe('Redis that goes away', () => {
  it('and comes back empty has no records: epochs go on from what is known elsewhere', async () => {
    const server = await redis();
    const world = worldOf(server.url);
    const [store, other] = [world.open({ times: SOON }), world.open({ times: SOON })];
    let seen = await won(store);
    seen = await won(store, seen);
    const held = await store.acquire(key, { holder: 'alice', ttlMs: 60_000, floor: 0 });
    if (held.outcome !== 'Acquired') throw new Error('held');
    await other.read(key);
    await server.kill();
    await expectAway(store, 'Unreachable', 'ECONNREFUSED', '--redis-url', server.url);
    await expectAway(other, 'Unreachable');
    await server.start();
    await Promise.all([heals(store), heals(other)]);
    expect(await advance(store, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.settle(key, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.renew(held.lock, 60_000)).toEqual({ outcome: 'Lost' });
    expect(await store.release(held.lock)).toEqual({ outcome: 'Lost' });
    // Both find none, and know the same epoch: one of them wins, above it.
    const results = await Promise.all([advance(store, undefined, seen.epoch), advance(other, undefined, seen.epoch)]);
    expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['Lost', 'Won']);
    expect(results.map(({ record }) => record?.epoch)).toEqual([seen.epoch + 1, seen.epoch + 1]);
    const next = await store.acquire(key, { holder: 'bob', ttlMs: 1_000, floor: held.lock.epoch });
    expect(next).toMatchObject({ outcome: 'Acquired', lock: { epoch: held.lock.epoch + 1 } });
    expect(world.log.filter((line) => line.includes('answers again'))).toHaveLength(2);
  });

  it('is noticed while it is paused, and a lock that ran out meanwhile is not held by anybody', async () => {
    const server = await redis();
    const [alice, bob] = [worldOf(server.url).open({ times: SOON }), worldOf(server.url).open({ times: SOON })];
    const seen = await won(alice);
    const held = await alice.acquire(key, { holder: 'alice', ttlMs: 1_500, floor: 0 });
    if (held.outcome !== 'Acquired') throw new Error('held');
    expect((await bob.acquire(key, { holder: 'bob', ttlMs: 1_500, floor: 0 })).outcome).toBe('Held');
    server.pause();
    await expectAway(alice, 'TimedOut', 'no answer', 'NetworkPolicy');
    await expectAway(bob, 'TimedOut');
    await waitFor('the lock has run out by the holder’s clock', () => performance.now() > held.lock.heldUntil);
    server.resume();
    await Promise.all([heals(alice), heals(bob)]);
    expect(await alice.renew(held.lock, 1_000)).toEqual({ outcome: 'Lost' });
    expect(await bob.acquire(key, { holder: 'bob', ttlMs: 1_000, floor: 0 })).toMatchObject({ lock: { epoch: 2 } });
    // What was sent to it while it was paused may have been done, and then by one of those who sent it.
    expect((await alice.read(key))?.epoch).toBeGreaterThanOrEqual(seen.epoch);
  });

  it('is as good when it is slow, until it is too slow', async () => {
    const server = await redis();
    const { gate: path, url } = await gate(server.port);
    path.slow(40);
    const store = worldOf(url).open({ times: SOON });
    const seen = await won(store);
    const results = await Promise.all(Array.from({ length: 20 }, () => advance(store, seen)));
    expect(results.filter(({ outcome }) => outcome === 'Won')).toHaveLength(1);
    path.slow(2_000);
    path.reset();
    await waitFor('it is lost', () => store.availability.state === 'Unavailable');
    await expectAway(store, 'TimedOut');
    path.mend();
    await heals(store);
    expect((await store.read(key))?.epoch).toBe(2);
  });

  it('frees a lock in one step, however slow: not what another holds by then', async () => {
    const server = await redis();
    const { gate: path, url } = await gate(server.port);
    path.slow(400);
    const [slow, fast] = [worldOf(url).open(), worldOf(server.url).open()];
    await Promise.all([slow.read(key), fast.read(key)]);
    const held = await fast.acquire(key, { holder: 'alice', ttlMs: 600, floor: 0 });
    if (held.outcome !== 'Acquired') throw new Error('held');
    // It comes to Redis before the lock has run out. A second step would come after that.
    const released = slow.release(held.lock);
    const next = await waitFor('the lock is to be had', async () => {
      const result = await fast.acquire(key, { holder: 'bob', ttlMs: 30_000, floor: 0 });
      return result.outcome === 'Acquired' ? result.lock : undefined;
    });
    await released;
    await slow.read(key);
    expect((await fast.renew(next, 30_000)).outcome).toBe('Renewed');
  });

  it('is noticed when the path is cut, also if nobody is told', async () => {
    const server = await redis();
    const { gate: path, url } = await gate(server.port);
    const store = worldOf(url).open({ times: SOON });
    const seen = await won(store);
    path.silence();
    await expectAway(store, 'TimedOut');
    path.mend();
    await heals(store);
    // It was not sent again.
    expect(await store.read(key)).toEqual(seen);
    path.cut();
    await waitFor('it is lost', () => store.availability.state === 'Unavailable');
    path.mend();
    await heals(store);
  });
});

describe('Redis that is set up wrongly', () => {
  it('wants another password, which is read again from its file', async () => {
    const server = await redis({ config: ['requirepass right'], connect: { password: 'right' } });
    const passwordFile = join(folder(), 'password');
    writeFileSync(passwordFile, 'wrong');
    const world = worldOf(server.url);
    const [store, without] = [world.open({ passwordFile, times: SOON }), world.open({ times: SOON })];
    await expectAway(without, 'AccessDenied', '--redis-password-file', 'gateway.coordination.redis.secretName');
    await expectAway(store, 'AccessDenied', '--redis-password-file', 'gateway.coordination.redis.secretName');
    writeFileSync(passwordFile, 'right\n');
    await heals(store);
    await won(store);
    // A rotation while it is connected: the connections before stay logged in, new ones must know the new one.
    await server.admin.config('SET', 'requirepass', 'next');
    writeFileSync(passwordFile, 'next\n');
    await waitFor('the change was seen', () =>
      world.log.some((line) => line.includes('login') && line.includes('changed')),
    );
    await heals(store);
    expect((await store.read(key))?.epoch).toBe(1);
    expect(world.log.join('\n')).not.toMatch(/"(wrong|right|next)"/);
  });

  it('speaks TLS with a certificate of nobody who is known', async () => {
    using ca = new PrivateCA();
    const { cert, key: secret } = ca.issue('IP:127.0.0.1');
    const dir = folder();
    writeFileSync(join(dir, 'cert'), cert);
    writeFileSync(join(dir, 'key'), secret);
    const port = await freePort();
    const config = [
      `tls-port ${port}`,
      `tls-cert-file ${join(dir, 'cert')}`,
      `tls-key-file ${join(dir, 'key')}`,
      `tls-ca-cert-file ${ca.file}`,
      'tls-auth-clients no',
    ];
    const server = await redis({ port, config, connect: { tls: { ca: ca.pem } } });
    const world = worldOf(server.url);
    const url = server.url.replace('redis:', 'rediss:');
    await expectAway(world.open({ url, times: SOON }), 'UntrustedTLS', '--redis-ca-file');
    const trusting = world.open({ url, caFile: ca.file, times: SOON });
    expect((await won(trusting)).epoch).toBe(1);
    using other = new PrivateCA('other');
    await expectAway(world.open({ url, caFile: other.file, times: SOON }), 'UntrustedTLS', '--redis-ca-file');
    const plain = await advance(world.open({ times: SOON })).catch((error: unknown) => error);
    expect((plain as Error).message).toContain('rediss://');
    const withoutTLS = await redis();
    const wrong = world.open({ url: withoutTLS.url.replace('redis:', 'rediss:'), times: SOON });
    // Redis takes the beginning of TLS for a command that is not complete.
    await expectAway(wrong, 'TimedOut', 'speaks TLS there');
  });

  it('is a version that is too old', async () => {
    // No such server is to be had any more: what it says of itself is enough.
    const server = createServer((socket) => {
      const hello = '-ERR unknown command `HELLO`\r\n';
      const info = '# Server\r\nredis_version:5.0.14\r\nrole:master\r\n';
      socket.on('error', () => socket.destroy());
      socket.on('data', (piece) => {
        for (const name of piece
          .toString()
          .toLowerCase()
          .match(/\b(hello|info|client)\b/g) ?? [])
          socket.write(name === 'hello' ? hello : name === 'info' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const store = worldOf(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`).open({ times: SOON });
    await expectAway(store, 'TooOld', '5.0.14', '6.2');
    await store.close();
    server.close();
  });

  it('is full', async () => {
    const server = await redis();
    const store = worldOf(server.url).open({ times: SOON });
    const seen = await won(store);
    await server.admin.config('SET', 'maxmemory', '100kb');
    await expectAway(store, 'Full', 'maxmemory');
    await server.admin.config('SET', 'maxmemory', '0');
    await heals(store);
    expect(await store.read(key)).toEqual(seen);
  });

  it('is a replica, until it is made the one that takes writes', async () => {
    const main = await redis();
    const replica = await redis({ config: [`replicaof 127.0.0.1 ${main.port}`] });
    const store = worldOf(replica.url).open({ times: SOON });
    await expectAway(store, 'ReadOnly', '--redis-url', 'Sentinels');
    await replica.admin.call('REPLICAOF', 'NO', 'ONE');
    await heals(store);
    const seen = await won(store);
    // And the other way round, while it is connected.
    await replica.admin.call('REPLICAOF', '127.0.0.1', String(main.port));
    const error = await advance(store, seen).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'CoordinationUnavailableError' });
    await waitFor(
      'it says why',
      () => store.availability.state === 'Unavailable' && store.availability.reason === 'ReadOnly',
    );
  });

  it('has a policy by which it deletes what is in use', async () => {
    const server = await redis({ config: ['maxmemory-policy allkeys-lru'] });
    const world = worldOf(server.url);
    await won(world.open());
    expect(world.log).toEqual([expect.stringContaining('maxmemory-policy is allkeys-lru')]);
  });

  it.each<[string, (url: string) => string, string]>([
    [
      'one server that is said to be Sentinels',
      (url) => `${url.replace('redis:', 'redis+sentinel:')}/main`,
      'no Sentinel',
    ],
    ['one server that is said to be a cluster', (url) => url.replace('redis:', 'redis+cluster:'), 'no cluster'],
  ])('is %s', async (_what, urlOf, word) => {
    const server = await redis();
    await expectAway(worldOf(urlOf(server.url)).open({ times: SOON }), 'NotServing', word);
  });
});
