import { beforeEach, describe, expect, it } from '@jest/globals';
import { VerdictCache, type VerdictCacheOptions } from '../../../../src/gateway/admission/verdict-cache.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

let clock: FakeClock;
let asked: string[];

beforeEach(() => {
  clock = new FakeClock();
  asked = [];
});

function cache(options: Partial<VerdictCacheOptions<boolean>> = {}): VerdictCache<boolean> {
  const isGood = (verdict: boolean) => verdict;
  const lanes = { Newcomer: { maxRunning: 2, maxWaiting: 2 }, Connected: { maxRunning: 1, maxWaiting: 1 } };
  return new VerdictCache({ clock, isGood, goodMs: 30_000, badMs: 5_000, maxEntries: 3, lanes, ...options });
}

const answer = (key: string, verdict: boolean) => () => {
  asked.push(key);
  return Promise.resolve(verdict);
};

describe('the cache of verdicts', () => {
  it('believes a good answer for longer than a bad one', async () => {
    const verdicts = cache();
    expect(await verdicts.get('a', answer('a', true))).toBe(true);
    expect(await verdicts.get('b', answer('b', false))).toBe(false);
    await clock.advance(4_999);
    await verdicts.get('b', answer('b', false));
    await clock.advance(1);
    await verdicts.get('a', answer('a', true));
    expect(await verdicts.get('b', answer('b', true))).toBe(true);
    await clock.advance(25_000);
    expect(await verdicts.get('a', answer('a', false))).toBe(false);
    expect(asked).toEqual(['a', 'b', 'b', 'a']);
  });

  it('asks once for all who ask at once', async () => {
    const verdicts = cache();
    const all = Array.from({ length: 100 }, () => verdicts.get('a', answer('a', true)));
    expect(await Promise.all(all)).toEqual(all.map(() => true));
    expect(asked).toEqual(['a']);
  });

  it('remembers no error', async () => {
    const verdicts = cache();
    const failing = () => Promise.reject(new Error('the API server is away'));
    await expect(verdicts.get('a', failing)).rejects.toThrow('is away');
    expect(await verdicts.get('a', answer('a', true))).toBe(true);
  });

  it('asks a bounded number at once, in order, and refuses what would wait behind too many', async () => {
    const verdicts = cache();
    const gates = new Map<string, () => void>();
    const held = (key: string) => () => {
      asked.push(key);
      return new Promise<boolean>((resolve) => gates.set(key, () => resolve(true)));
    };
    const all = ['a', 'b', 'c', 'd'].map((key) => verdicts.get(key, held(key)));
    await expect(verdicts.get('e', held('e'))).rejects.toThrow('2 tokens wait for their review');
    await settle();
    expect(asked).toEqual(['a', 'b']);
    for (const key of ['b', 'c', 'a', 'd']) {
      gates.get(key)?.();
      await settle();
    }
    expect(await Promise.all(all)).toEqual([true, true, true, true]);
    expect(asked).toEqual(['a', 'b', 'c', 'd']);
    // The places are free again.
    await Promise.all(['f', 'g'].map((key) => verdicts.get(key, answer(key, true))));
    expect(asked.slice(4)).toEqual(['f', 'g']);
  });

  it('asks for who is connected while newcomers wait, also about the same key', async () => {
    const verdicts = cache();
    const never = () => new Promise<boolean>(() => undefined);
    for (const key of ['a', 'b', 'c', 'd']) void verdicts.get(key, never);
    await expect(verdicts.get('e', never)).rejects.toThrow('2 tokens wait');
    expect(await verdicts.get('e', answer('e', true), 'Connected')).toBe(true);
    expect(await verdicts.get('c', answer('c', true), 'Connected')).toBe(true);
    for (const key of ['f', 'g']) void verdicts.get(key, never, 'Connected');
    await expect(verdicts.get('h', never, 'Connected')).rejects.toThrow('1 tokens wait');
    // What one of them has learned is known to the other.
    expect(await verdicts.get('e', never)).toBe(true);
  });

  it('forgets no good answer for any number of bad ones', async () => {
    const verdicts = cache();
    await verdicts.get('good', answer('good', true));
    for (let n = 0; n < 100; n += 1) await verdicts.get(`junk-${n}`, answer('junk', false));
    asked = [];
    expect(await verdicts.get('good', answer('good', false))).toBe(true);
    expect(asked).toEqual([]);
  });

  it('believes the last answer about a key, good or bad', async () => {
    const verdicts = cache();
    for (const verdict of [true, false, true, false]) {
      await verdicts.get('a', answer('a', verdict));
      expect(await verdicts.get('a', answer('a', !verdict))).toBe(verdict);
      await clock.advance(30_000);
    }
    expect(asked).toHaveLength(4);
  });

  it('keeps a bounded number of answers', async () => {
    const verdicts = cache();
    for (const key of ['a', 'b', 'c', 'd']) await verdicts.get(key, answer(key, true));
    await verdicts.get('d', answer('d', true));
    await verdicts.get('a', answer('a', true));
    expect(asked).toEqual(['a', 'b', 'c', 'd', 'a']);
  });
});
