// What is wrong with a real Redis that is set up wrongly: each is told with a remedy, and nothing is decided meanwhile.
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../../support/copilot-server.ts';
import { PrivateCA } from '../../../support/private-ca.ts';
import {
  advance,
  endRedis,
  expectAway,
  folder,
  heals,
  key,
  redis,
  won,
  worldOf,
} from '../../../support/redis-faults.ts';
import { SOON } from '../../../support/redis-world.ts';
import { waitFor } from '../../../support/wait.ts';

afterEach(endRedis);

describe('an address of Redis that is wrong', () => {
  it.each([
    ['has a name that nobody knows', async () => 'redis://redis.invalid:6379'],
    ['has a port where nobody listens', async () => `redis://127.0.0.1:${await freePort()}`],
  ])('%s', async (_, url) => {
    await expectAway(worldOf(await url()).open({ times: SOON }), 'Unreachable', '--redis-url');
  });

  it('is that of something else', async () => {
    const web = createHttpServer((_, response) => response.end('hello'));
    await once(web.listen(0, '127.0.0.1'), 'listening');
    const store = worldOf(`redis://127.0.0.1:${(web.address() as AddressInfo).port}`).open({ times: SOON });
    await expectAway(store, 'Unreachable', '--redis-url');
    await store.close();
    web.close();
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
