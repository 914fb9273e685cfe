// Redis whose servers are replaced by Sentinel when they fail.
import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CoordinationStore, SessionRecord } from '../../../../src/gateway/locks/store.ts';
import { place } from '../../../support/coordination-suite.ts';
import { RedisServer } from '../../../support/redis-server.ts';
import { RedisWorld, SOON } from '../../../support/redis-world.ts';
import { waitFor } from '../../../support/wait.ts';

const key = { tenant: randomUUID(), session: 's' };
const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});
function keep<T extends AsyncDisposable>(made: T): T {
  opened.push(made);
  return made;
}

/** A server with a replica, a Sentinel that looks after them, and the stores of two gateways. */
async function startFailover() {
  const main = keep(await RedisServer.start());
  const replica = keep(await RedisServer.start({ config: [`replicaof 127.0.0.1 ${main.port}`] }));
  const config = [
    `sentinel monitor main 127.0.0.1 ${main.port} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 3000',
  ];
  const sentinel = keep(await RedisServer.start({ mode: 'sentinel', config }));
  await waitFor('the Sentinel knows the replica', async () =>
    String(await sentinel.admin.call('SENTINEL', 'REPLICAS', 'main')).includes(String(replica.port)),
  );
  const world = keep(new RedisWorld(`redis+sentinel://127.0.0.1:1,127.0.0.1:${sentinel.port}/main`));
  return { main, replica, sentinel, stores: [world.open({ times: SOON }), world.open({ times: SOON })] as const };
}

async function won(store: CoordinationStore, seen?: SessionRecord, floor = 0): Promise<SessionRecord> {
  const result = await store.advance(key, { seen, floor, place: place('0'), holder: `gateway-${randomUUID()}` });
  if (result.outcome !== 'Won') throw new Error(`lost to ${JSON.stringify(result.record)}`);
  return result.record;
}

/** Operations are tried again, as gateways do. */
const answered = <T>(work: () => Promise<T>): Promise<T> =>
  waitFor('the store answers', async () => ({ value: await work() }), { withinMs: 30_000 }).then(({ value }) => value);

describe('Redis with Sentinels', () => {
  it('goes on at the replica, with the records that it has', async () => {
    const { main, stores } = await startFailover();
    const [store, other] = stores;
    const seen = await answered(() => won(store));
    await main.admin.wait(1, 5_000);
    await main.kill();
    expect(await answered(() => other.read(key))).toEqual(seen);
    expect((await answered(() => won(store, seen))).epoch).toBe(2);
  }, 60_000);

  it('loses what the replica had not got, and says so to whoever saw it', async () => {
    const { main, replica, stores } = await startFailover();
    const [store, other] = stores;
    const old = await answered(() => won(store));
    await main.admin.wait(1, 5_000);
    // It loses the connection to the main one, and cannot have another.
    await replica.admin.config('SET', 'masterauth', 'wrong');
    await main.admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
    const newer = await won(store, old);
    await main.kill();
    // What is there is older, and does not pass for what was seen.
    const found = await answered(() => other.read(key));
    expect(found).toEqual(old);
    const late = { seen: newer, floor: 0, place: place('1'), holder: 'late' };
    expect(await answered(() => store.advance(key, late))).toEqual({ outcome: 'Lost', record: old });
    // Whoever knows the higher epoch, as from the stamp beside the data, goes on above it.
    expect((await answered(() => won(other, old, newer.epoch))).epoch).toBe(newer.epoch + 1);
    expect(await store.settle(key, newer)).toMatchObject({ outcome: 'Lost', record: { epoch: newer.epoch + 1 } });
  }, 60_000);

  it('are told if none of them answers, or none knows the server', async () => {
    const { sentinel } = await startFailover();
    const away = keep(new RedisWorld('redis+sentinel://127.0.0.1:1/main')).open({ times: SOON });
    expect(await away.read(key).catch((error: unknown) => error)).toMatchObject({ reason: 'Unreachable' });
    const unknown = keep(new RedisWorld(`redis+sentinel://127.0.0.1:${sentinel.port}/other`)).open({ times: SOON });
    expect(await unknown.read(key).catch((error: unknown) => error)).toMatchObject({
      reason: 'NotServing',
      message: expect.stringContaining('"other"'),
    });
    const direct = keep(new RedisWorld(sentinel.url)).open({ times: SOON });
    expect(await direct.read(key).catch((error: unknown) => error)).toMatchObject({
      reason: 'NotServing',
      message: expect.stringContaining('redis+sentinel://'),
    });
  }, 60_000);
});
