import { describe, expect, it } from '@jest/globals';
import { Informer } from '../../../../src/kube/cache/informer.ts';
import { Outage } from '../../../../src/kube/cache/outage.ts';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { SimulatedApi } from '../simulated-api.ts';

/** Informers of one API server that share what is known of its outages. */
function informers(count: number) {
  const api = new SimulatedApi();
  const clock = new FakeClock();
  let n = 0;
  // Spread over [0, 1), and the same in every run.
  const random = (): number => (n++ * 0.618) % 1;
  const outage = new Outage({ client: api, clock, random });
  const stop = new AbortController();
  const all = Array.from({ length: count }, () => {
    return new Informer<ConfigMap>({ client: api, type: ConfigMap, clock, random, outage });
  });
  const done = Promise.all(all.map((informer) => informer.run(stop.signal)));
  return {
    api,
    clock,
    outage,
    /** ms until every informer watches again, looked at every 10 ms. */
    async backWithin(limitMs: number): Promise<number> {
      for (let passed = 0; passed <= limitMs; passed += 10) {
        if (api.openWatches === count) return passed;
        await clock.advance(10);
      }
      throw new Error(`${api.openWatches} of ${count} watch again after ${limitMs} ms`);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await clock.advance(0);
      await done;
      expect(clock.pendingTimers).toBe(0);
    },
  };
}

describe('an outage of the API server', () => {
  it.each([2_000, 20_000, 21_100, 60_000, 600_000])(
    'of %d ms: all watches are open again within 2.6 s, at different moments',
    async (outageMs) => {
      await using world = informers(15);
      const { api, clock } = world;
      await settle();
      api.goDown();
      await clock.advance(outageMs);
      const { requests, watches } = api;
      api.down = false;
      // One and a half seconds between probes, one for the spread.
      expect(await world.backWithin(30_000)).toBeLessThanOrEqual(2_600);
      // One watch each, and the cheap list before it.
      expect(api.watches - watches).toBe(15);
      expect(api.requests - requests).toBe(30);
    },
  );

  it.each([2_000, 9_000, 20_000, 21_100, 23_000, 60_000])(
    'of %d ms, after which the server has forgotten our versions (410): all watches are open again within 5 s',
    async (outageMs) => {
      await using world = informers(15);
      const { api, clock } = world;
      for (const name of ['a', 'b', 'a']) api.put(name);
      await settle();
      api.goDown();
      await clock.advance(outageMs);
      // As kube-apiserver 1.36 when it was restarted: its cache of changes is empty.
      api.put('a');
      api.compact();
      const { lists } = api;
      api.down = false;
      expect(await world.backWithin(30_000)).toBeLessThanOrEqual(5_000);
      expect(api.lists - lists).toBe(15);
    },
  );

  it('is not what an ERROR event in an open watch is: the server answers, and nothing is probed or checked', async () => {
    await using world = informers(1);
    const { api, clock } = world;
    await settle();
    api.fault('error500');
    await clock.advance(2_000);
    expect([api.requests, api.watches, api.probes]).toEqual([2, 2, 0]);
  });

  it('costs about one probe a second, however many watches there are', async () => {
    await using world = informers(100);
    await settle();
    world.api.goDown();
    await world.clock.advance(10 * 60_000);
    expect(world.api.probes).toBeGreaterThan(300);
    expect(world.api.probes).toBeLessThanOrEqual(810);
  });

  it('is no reason to hurry while the server answers but cuts our watches', async () => {
    await using world = informers(1);
    const { api, clock } = world;
    for (let passed = 0; passed < 600; passed++) {
      api.fault('reset');
      await clock.advance(1_000);
    }
    // 0.8, 1.6, 3.2, 6.4, 12.8 s and then at least 15 s: less than 50 requests in ten minutes.
    expect(api.watches).toBeLessThan(50);
    // Each lost connection is one probe, which is answered.
    expect(api.probes).toBeLessThanOrEqual(api.watches);
  });

  it('after which the server fails again soon is waited for with the shortest back-off', async () => {
    await using world = informers(3);
    const { api, clock } = world;
    await settle();
    api.goDown();
    await clock.advance(60_000);
    api.down = false;
    await world.backWithin(4_000);
    api.fault('error500');
    await settle();
    // At most 1.6 s with its jitter.
    expect(await world.backWithin(1_700)).toBeGreaterThan(0);
  });

  it('that began in the middle of an attempt and is over when it fails is not waited for', async () => {
    await using world = informers(1);
    const { api, clock, outage } = world;
    await settle();
    const before = outage.returns;
    api.goDown();
    await clock.advance(20_000);
    api.down = false;
    await world.backWithin(4_000);
    const late = outage.wait(30_000, before, new AbortController().signal);
    await clock.advance(1_500);
    expect(await late).toBe(true);
  });

  it('is not probed for when nobody waits, and stops being probed for with the last who does', async () => {
    const api = new SimulatedApi();
    api.down = true;
    const clock = new FakeClock();
    const outage = new Outage({ client: api, clock, random: () => 0.5 });
    const stop = new AbortController();
    const waiting = outage.wait(30_000, 0, stop.signal);
    await clock.advance(5_000);
    const { probes } = api;
    expect(probes).toBeGreaterThan(2);
    stop.abort();
    expect(await waiting).toBe(false);
    await clock.advance(60_000);
    expect(api.probes).toBe(probes);
    expect(clock.pendingTimers).toBe(0);
  });
});
