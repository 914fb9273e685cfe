import { describe, expect, it } from '@jest/globals';
import { taken, tokensIn, waitMs, type Bucket } from '../../../../src/gateway/client/token-bucket.ts';

const rate = { perSecond: 2, burst: 10 };
const at = (tokens: number): Bucket => ({ tokens, at: 1000 });

describe('a token bucket', () => {
  it.each([
    ['is full before anything was taken', undefined, 1000, 1, 0],
    ['has what is left', at(1), 1000, 1, 0],
    ['has to be waited for when it is empty', at(0), 1000, 1, 500],
    ['has to be waited for longer when it is in debt', at(-3), 1000, 1, 2000],
    ['fills in its time', at(0), 1500, 1, 0],
    ['gives a part of the time back', at(0), 1200, 1, 300],
    ['is enough for what costs more than a full one, if it is full', at(10), 1000, 50, 0],
    ['has to be full for that', at(9), 1000, 50, 500],
    ['does not fill beyond its size', at(0), 1_000_000, 11, 0],
  ] as const)('%s', (_, bucket, now, cost, ms) => {
    expect(waitMs(bucket, rate, now, cost)).toBe(ms);
  });

  it('has as much less as was taken, and never more than its size', () => {
    expect(taken(undefined, rate, 1000, 3)).toEqual({ tokens: 7, at: 1000 });
    expect(taken(at(10), rate, 9000, 30)).toEqual({ tokens: -20, at: 9000 });
    expect(tokensIn(at(8), rate, 1_000_000)).toBe(10);
  });

  it('that was made smaller has at most its new size', () => {
    expect(tokensIn(at(10), { perSecond: 1, burst: 3 }, 1000)).toBe(3);
  });
});
