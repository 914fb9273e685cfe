import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionStatus } from '../../../../src/api/session.ts';
import { MIN_WRITE_INTERVAL_MS, writeDelay } from '../../../../src/session/decisions/write-delay.ts';

const NOW = 1_000_000;
const idle: CopilotSessionStatus = {
  phase: 'Idle',
  server: 'acme-0',
  sizeBytes: 1,
  usage: { turns: 1, inputTokens: 1, outputTokens: 1 },
  lastActivityTime: '2026-01-01T00:00:00Z',
};
const later = '2026-01-01T00:00:10Z';
const usage = { turns: 2, inputTokens: 2, outputTokens: 2 };
const active: CopilotSessionStatus = { ...idle, phase: 'Active' };

describe('a status that has changed', () => {
  it.each<[string, CopilotSessionStatus | undefined, CopilotSessionStatus]>([
    ['for the first time', undefined, idle],
    ['in its phase', idle, active],
    ['in its server', idle, { ...idle, server: 'acme-1' }],
    ['in what it was computed from', idle, { ...idle, observedGeneration: 2 }],
    ['in its conditions', idle, { ...idle, conditions: [] }],
    ['because a turn has ended between two polls', idle, { ...idle, usage, lastActivityTime: later }],
  ])('%s is written at once', (_case, before, after) => {
    expect(writeDelay(before, after, NOW, NOW)).toBe(0);
  });

  it.each<[string, CopilotSessionStatus, CopilotSessionStatus]>([
    ['its size', idle, { ...idle, sizeBytes: 2 }],
    ['its activity', active, { ...active, lastActivityTime: later, expiresAt: later }],
    ['whose turn it is', active, { ...active, lock: { holder: 'bob', since: later, epoch: 2 } }],
    ['its usage in the middle of a turn', active, { ...active, usage }],
  ])('in nothing but %s waits for the interval', (_case, before, after) => {
    expect(writeDelay(before, after, NOW - 10_000, NOW)).toBe(MIN_WRITE_INTERVAL_MS - 10_000);
    expect(writeDelay(before, after, NOW - MIN_WRITE_INTERVAL_MS, NOW)).toBe(0);
  });

  it('is written at once by a process that has written nothing yet', () => {
    expect(writeDelay(idle, { ...idle, sizeBytes: 2 }, undefined, NOW)).toBe(0);
  });
});
