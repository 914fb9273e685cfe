// A real Redis that goes away: that is told, nothing is decided meanwhile, and it heals by itself.
import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import { ObservedStore } from '../../../../src/gateway/locks/observed-store.ts';
import { CoordinationMetrics } from '../../../../src/gateway/report/coordination-metrics.ts';
import { systemClock } from '../../../../src/kube/clock/clock.ts';
import { advance, endRedis, expectAway, gate, heals, key, redis, won, worldOf } from '../../../support/redis-faults.ts';
import type { RedisServer } from '../../../support/redis-server.ts';
import { SOON } from '../../../support/redis-world.ts';
import { Scrape } from '../../../support/scrape.ts';
import { waitFor } from '../../../support/wait.ts';

/** Ms. */
const PAUSE = 40_000;
afterEach(endRedis);

/** How many commands about hashes Redis has taken. */
async function commandsOf(server: RedisServer): Promise<number> {
  const stats = await server.admin.info('commandstats');
  return [...stats.matchAll(/^cmdstat_(?:eval|evalsha|h[a-z]+):calls=(\d+)/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
}

describe('Redis that goes away', () => {
  it('and comes back empty has no records: epochs go on from what is known elsewhere', async () => {
    const server = await redis();
    const world = worldOf(server.url);
    const [store, other] = [world.open({ times: SOON }), world.open({ times: SOON })];
    let seen = await won(store);
    seen = await won(store, seen);
    await other.read(key);
    await server.kill();
    await expectAway(store, 'Unreachable', '--redis-url', server.url);
    await expectAway(other, 'Unreachable');
    await waitFor('it is refused', () => {
      const now = store.availability;
      return now.state === 'Unavailable' && now.message.includes('ECONNREFUSED');
    });
    await server.start();
    await Promise.all([heals(store), heals(other)]);
    expect(await advance(store, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.settle(key, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.forget(key, seen)).toEqual({ outcome: 'Lost', record: undefined });
    // Both find none, and know the same epoch: one of them wins, above it.
    const results = await Promise.all([advance(store, undefined, seen.epoch), advance(other, undefined, seen.epoch)]);
    expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['Lost', 'Won']);
    expect(results.map(({ record }) => record?.epoch)).toEqual([seen.epoch + 1, seen.epoch + 1]);
    expect(world.log.filter((line) => line.includes('answers again'))).toHaveLength(2);
  });

  it('is told by metrics, with the reason, until it is back', async () => {
    const server = await redis();
    const registry = new Registry();
    const observer = new CoordinationMetrics(registry);
    const store = new ObservedStore({ store: worldOf(server.url).open({ times: SOON }), clock: systemClock, observer });
    observer.watch(store);
    const read = async () => {
      const scrape = new Scrape(await registry.metrics());
      const operations = (result: string) =>
        scrape.value('copilot_coordination_operations_total', { operation: 'advance', result });
      return {
        available: scrape.value('copilot_coordination_available'),
        unreachable: scrape.value('copilot_coordination_unavailable', { reason: 'Unreachable' }),
        done: operations('Done'),
        away: operations('Unavailable'),
      };
    };
    const seen = await won(store);
    expect(await read()).toEqual({ available: 1, unreachable: 0, done: 1, away: 0 });
    await server.kill();
    await expectAway(store, 'Unreachable');
    expect(await read()).toEqual({ available: 0, unreachable: 1, done: 1, away: 1 });
    await server.start();
    await heals(store);
    await won(store, undefined, seen.epoch);
    expect(await read()).toEqual({ available: 1, unreachable: 0, done: 2, away: 1 });
  });

  it('is noticed while it is paused for 40 s, and what was sent meanwhile is done once or not at all', async () => {
    const server = await redis();
    const until = performance.now() + PAUSE;
    const [alice, bob] = [worldOf(server.url).open({ times: SOON }), worldOf(server.url).open({ times: SOON })];
    const seen = await won(alice);
    await bob.read(key);
    server.pause();
    const sent = await Promise.all(
      [alice, bob].map((store) => advance(store, seen).catch((thrown: unknown) => thrown)),
    );
    const message = expect.stringMatching(/no answer.*NetworkPolicy/) as unknown;
    for (const error of sent) expect(error).toMatchObject({ reason: 'TimedOut', message });
    await waitFor('it was paused for long', () => performance.now() > until, { withinMs: 2 * PAUSE });
    for (const store of [alice, bob]) expect(store.availability.state).toBe('Unavailable');
    server.resume();
    await Promise.all([heals(alice), heals(bob)]);
    const found = await alice.read(key);
    expect([seen.epoch, seen.epoch + 1]).toContain(found?.epoch);
    expect(await bob.read(key)).toEqual(found);
    expect((await advance(bob, found)).record?.epoch).toBe((found?.epoch ?? 0) + 1);
  }, 120_000);

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

  it('forgets a record in one step, however slow: not what another has written by then', async () => {
    const server = await redis();
    const { gate: path, url } = await gate(server.port);
    path.slow(400);
    const patient = { ...SOON, operationMs: 15_000, connectMs: 15_000 };
    const [slow, fast] = [worldOf(url).open({ times: patient }), worldOf(server.url).open()];
    const seen = await won(fast);
    // The server has the scripts then, so that each is one command.
    const other = { ...key, session: randomUUID() };
    const first = await advance(fast, undefined, 0, other);
    if (first.record !== undefined) await fast.forget(other, first.record);
    await slow.read(key);
    const before = await commandsOf(server);
    const forgotten = slow.forget(key, seen);
    await waitFor('its first command has come to Redis', async () => (await commandsOf(server)) > before);
    // A second command of it would come after this.
    let next = await advance(fast, seen);
    if (next.outcome === 'Lost') next = await advance(fast, next.record);
    expect(next.outcome).toBe('Won');
    await forgotten;
    expect(await fast.read(key)).toEqual(next.record);
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
