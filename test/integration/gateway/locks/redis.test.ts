// The store in a real Redis, alone and as a cluster.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keysOf } from '../../../../src/gateway/locks/redis/keys.ts';
import { itIsACoordinationStore, place } from '../../../support/coordination-suite.ts';
import { RedisServer, startRedisCluster } from '../../../support/redis-server.ts';
import { RedisWorld } from '../../../support/redis-world.ts';
import { PROJECT } from '../../../support/tenant-api.ts';

let server: RedisServer;
let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
beforeAll(async () => {
  server = await RedisServer.start();
  cluster = await startRedisCluster();
}, 60_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

describe('the store in Redis', () => {
  itIsACoordinationStore(async () => new RedisWorld(server.url));
});

describe('the store in a cluster of Redis', () => {
  itIsACoordinationStore(async () => new RedisWorld(cluster.url));
});

describe('what is kept in Redis', () => {
  const to = { seen: undefined, floor: 0, place: place('0'), holder: 'gateway' };

  it('is two keys for each tenant', async () => {
    await using world = new RedisWorld(server.url);
    await server.admin.flushall();
    const store = world.open();
    const tenant = randomUUID();
    const { records, epochs } = keysOf(tenant);
    for (let session = 0; session < 10; session += 1) {
      const won = await store.advance({ tenant, session: `s-${session}` }, to);
      if (session > 4 && won.record !== undefined) await store.forget({ tenant, session: `s-${session}` }, won.record);
    }
    const keys = async () => (await server.admin.keys('*')).filter((key) => key.includes('{')).toSorted();
    expect(await keys()).toEqual([epochs, records]);
    expect(await server.admin.hlen(records)).toBe(5);
    await store.forgetTenant(tenant);
    expect(await keys()).toEqual([]);
  });

  it('needs the rights that the documentation gives its user, and no other', async () => {
    const [, rule = ''] =
      /ACL SETUSER copilot-gateway (.+)/.exec(readFileSync(join(PROJECT, 'docs/gateway.md'), 'utf8')) ?? [];
    await server.admin.call(
      'ACL',
      'SETUSER',
      'copilot-gateway',
      'reset',
      ...rule.replace('>PASSWORD', '>hush').split(' '),
    );
    const folder = mkdtempSync(join(tmpdir(), 'redis-user-'));
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, 'hush\n');
    await using world = new RedisWorld(server.url);
    const store = world.open({ username: 'copilot-gateway', passwordFile });
    const key = { tenant: randomUUID(), session: 's' };
    const won = await store.advance(key, to);
    if (won.record === undefined) throw new Error('lost');
    expect((await store.settle(key, won.record)).outcome).toBe('Won');
    for await (const page of store.list(key.tenant)) expect(page).toHaveLength(1);
    const placed = await store.read(key);
    if (placed !== undefined) expect((await store.forget(key, placed)).outcome).toBe('Forgotten');
    await store.forgetTenant(key.tenant);
    const denied = await server.admin.call('ACL', 'LOG');
    expect(denied).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it('is refused if somebody else wrote it, and only that', async () => {
    await using world = new RedisWorld(server.url);
    const store = world.open();
    const [spoilt, good] = [
      { tenant: randomUUID(), session: 's' },
      { tenant: randomUUID(), session: 's' },
    ];
    await server.admin.set(keysOf(spoilt.tenant).records, 'theirs');
    expect(await store.read(spoilt).catch((error: unknown) => error)).toMatchObject({ reason: 'Unreadable' });
    expect(await store.read(good)).toBeUndefined();
    await server.admin.del(keysOf(spoilt.tenant).records);
    await server.admin.hset(keysOf(spoilt.tenant).records, '"s"', 'theirs');
    expect(await store.read(spoilt).catch((error: unknown) => error)).toMatchObject({
      reason: 'Unreadable',
      message: expect.stringContaining(keysOf(spoilt.tenant).records),
    });
    expect(store.availability.state).toBe('Available');
    expect(world.log).toEqual([]);
  });
});
