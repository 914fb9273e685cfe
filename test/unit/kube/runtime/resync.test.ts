import { describe, expect, it } from '@jest/globals';
import { resync } from '../../../../src/kube/runtime/resync.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const HOUR = 3_600_000;

/** When each key is due, within `ms`. */
async function dueWithin(ms: number, keys: readonly string[], random: () => number): Promise<[string, number][]> {
  const clock = new FakeClock();
  const due: [string, number][] = [];
  const stop = new AbortController();
  const done = resync(
    {
      clock,
      random,
      periodMs: 10 * HOUR,
      keys: () => keys,
      enqueueAfter: ({ namespace, name }, delayMs) => due.push([`${namespace}/${name}`, clock.monotonic() + delayMs]),
    },
    stop.signal,
  );
  await clock.advance(ms);
  stop.abort();
  await done;
  expect(clock.pendingTimers).toBe(0);
  return due;
}

describe('the resync', () => {
  it('enqueues every key once a period, and none in the first nine hours', async () => {
    const keys = ['a/one', 'a/two', 'b/one'];
    expect(await dueWithin(8.9 * HOUR, keys, () => 0.5)).toEqual([]);
    const twice = await dueWithin(21 * HOUR, keys, () => 0.5);
    expect(twice.map(([key]) => key)).toEqual([...keys, ...keys]);
  });

  it('spreads periods over two hours and the keys over one', async () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `a/${i}`);
    let n = 0;
    const due = (await dueWithin(12 * HOUR, keys, () => (n++ * 0.618) % 1)).map(([, at]) => at);
    expect(due).toHaveLength(1_000);
    const perMinute = new Map<number, number>();
    for (const at of due) perMinute.set(Math.floor(at / 60_000), (perMinute.get(Math.floor(at / 60_000)) ?? 0) + 1);
    // An even spread is 17 a minute.
    expect(Math.max(...perMinute.values())).toBeLessThan(25);
    expect(await dueWithin(9.1 * HOUR, ['a/one'], () => 0)).toHaveLength(1);
    expect(await dueWithin(10.9 * HOUR, ['a/one'], () => 1)).toHaveLength(0);
  });
});
