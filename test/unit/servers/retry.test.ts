import { describe, expect, it } from '@jest/globals';
import { retryDelay } from '../../../src/servers/retry.ts';
import type { UnhealthyReason } from '../../../src/copilot/index.ts';

describe('the time to the next try', () => {
  const middle = () => 0.5;
  const after = (reason: UnhealthyReason, awayMs: number, intervalMs = 10_000, random = middle) =>
    retryDelay(reason, { awayMs, intervalMs, random });

  it('is a quarter of the time that a server could not be reached, from 0.2 s to the interval', () => {
    expect([0, 1000, 8000, 40_000, 3_600_000].map((away) => after('Unreachable', away))).toEqual([
      200, 250, 2000, 10_000, 10_000,
    ]);
  });

  it('is never over 30 s, so that a server with a long interval is soon connected again', () => {
    expect(after('Unreachable', 3_600_000, 3_600_000)).toBe(30_000);
    expect(after('Timeout', 0, 3_600_000)).toBe(30_000);
  });

  it.each(['AuthFailed', 'Timeout', 'ProtocolError'] as const)('is an interval after %s', (reason) => {
    expect(after(reason, 0)).toBe(10_000);
  });

  it('has a jitter of a tenth', () => {
    expect(after('Timeout', 0, 10_000, () => 0)).toBe(9000);
    expect(after('Unreachable', 4000, 10_000, () => 0.999)).toBeCloseTo(1100, 0);
  });
});
