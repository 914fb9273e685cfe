import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import * as fc from 'fast-check';
import { CallLimit } from '../../../../src/kube/client/call-limit.ts';
import { settle } from '../../../support/fake-clock.ts';

describe('the limit of one caller', () => {
  it('lets the first ones through, and the next in order as these end', async () => {
    const limit = new CallLimit(2);
    const { signal } = new AbortController();
    const begun: number[] = [];
    const ends = new Map<number, () => void>();
    const call = async (n: number): Promise<void> => {
      using _turn = await limit.acquire(signal);
      begun.push(n);
      await new Promise<void>((resolve) => ends.set(n, resolve));
    };
    const calls = [1, 2, 3, 4].map(call);
    await settle();
    expect(begun).toEqual([1, 2]);
    ends.get(2)?.();
    await settle();
    expect(begun).toEqual([1, 2, 3]);
    for (const n of [1, 3]) ends.get(n)?.();
    await settle();
    ends.get(4)?.();
    await Promise.all(calls);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('is not that of another, and there is none without a signal', async () => {
    const limit = new CallLimit(1);
    await limit.acquire(new AbortController().signal);
    await limit.acquire(new AbortController().signal);
    await limit.acquire(undefined);
    await limit.acquire(undefined);
  });

  it('frees the place of a caller that gives up while it waits', async () => {
    const limit = new CallLimit(1);
    const stop = new AbortController();
    const first = await limit.acquire(stop.signal);
    const second = limit.acquire(stop.signal);
    stop.abort(new Error('stopped'));
    await expect(second).rejects.toThrow('stopped');
    await expect(limit.acquire(stop.signal)).rejects.toThrow('stopped');
    first[Symbol.dispose]();
    (await limit.acquire(stop.signal))[Symbol.dispose]();
  });

  it('is never exceeded, and every call gets its turn', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (turns, most) => {
        const limit = new CallLimit(most);
        const { signal } = new AbortController();
        let running = 0;
        let highest = 0;
        let ended = 0;
        await Promise.all(
          turns.map(async (n) => {
            using _turn = await limit.acquire(signal);
            running += 1;
            highest = Math.max(highest, running);
            for (let i = 0; i < n; i++) await Promise.resolve();
            running -= 1;
            ended += 1;
          }),
        );
        expect(highest).toBeLessThanOrEqual(most);
        expect(ended).toBe(turns.length);
      }),
    );
  });
});
