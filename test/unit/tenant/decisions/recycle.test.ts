import { describe, expect, it } from '@jest/globals';
import { recycleDecision, type RecycleInput } from '../../../../src/tenant/decisions/recycle.ts';
import { MINUTE, NOW } from '../fixtures.ts';

const HEALTHY = { state: 'Healthy', version: '1.0', since: 0 } as const;
const HOUR = 60 * MINUTE;
const input: RecycleInput = {
  server: 'acme-0',
  maxAge: { text: '1h', ms: HOUR },
  maxPingLatency: '2s',
  health: HEALTHY,
  begun: false,
  startedAt: NOW - 59 * MINUTE,
  now: NOW,
};

describe('a server that works', () => {
  it.each<[what: string, change: Partial<RecycleInput>, outcome: string]>([
    ['is left until its age is due', {}, 'wait Young'],
    ['is recycled when it is', { startedAt: NOW - HOUR }, 'recycle MaxAge'],
    ['is left where no age is set', { maxAge: undefined, startedAt: NOW - 99 * HOUR }, 'none NotWanted'],
    ['is left while nobody knows its age', { startedAt: undefined }, 'none NotWanted'],
    ['is recycled when it is slow', { health: { ...HEALTHY, isSlow: true } }, 'recycle MaxPingLatency'],
    [
      'is left when it is slow where no latency is set',
      { health: { ...HEALTHY, isSlow: true }, maxPingLatency: undefined },
      'wait Young',
    ],
    [
      'is left when it is slow and young',
      { health: { ...HEALTHY, isSlow: true }, startedAt: NOW - 9 * MINUTE },
      'wait Young',
    ],
    ['that drains for it goes on when it is quick again', { begun: true }, 'recycle MaxPingLatency'],
    [
      'that drains for its age goes on while a new process knows nothing of it',
      { begun: true, maxPingLatency: undefined, startedAt: NOW - HOUR, health: { state: 'Unknown' } },
      'recycle MaxAge',
    ],
    [
      'that drains for its age says so, also where a latency is set',
      { begun: true, startedAt: NOW - HOUR },
      'recycle MaxAge',
    ],
    ['that drains is left when its age is raised', { begun: true, maxPingLatency: undefined }, 'wait Young'],
    [
      'that does not answer is restarted for that, not recycled',
      {
        startedAt: NOW - HOUR,
        health: { state: 'Unhealthy', reason: 'Timeout', message: 'no answer', since: 0 },
      },
      'none NotHealthy',
    ],
    [
      'of which nothing is known yet is left',
      { startedAt: NOW - HOUR, health: { state: 'Unknown' } },
      'none NotHealthy',
    ],
  ])('%s', (_, change, outcome) => {
    const { action, reason } = recycleDecision({ ...input, ...change });
    expect(`${action} ${reason}`).toBe(outcome);
  });

  it('is looked at again when its age is due', () => {
    expect(recycleDecision(input)).toMatchObject({ dueInMs: MINUTE });
  });

  it('is looked at again when it is slow and no longer young', () => {
    const slow = { health: { ...HEALTHY, isSlow: true as const }, startedAt: NOW - 9 * MINUTE };
    expect(recycleDecision({ ...input, ...slow, maxAge: undefined })).toMatchObject({
      action: 'wait',
      dueInMs: MINUTE,
    });
    expect(recycleDecision({ ...input, ...slow })).toMatchObject({ action: 'wait', dueInMs: MINUTE });
    const first = { text: '10m', ms: 9.5 * MINUTE };
    expect(recycleDecision({ ...input, ...slow, maxAge: first })).toMatchObject({ dueInMs: 0.5 * MINUTE });
  });

  it('names the field that has it recycled, and no measured time: that would be a write with each reconcile', () => {
    expect(recycleDecision({ ...input, startedAt: NOW - 2 * HOUR }).message).toBe(
      'Server acme-0 has run for 1h (spec.server.recycle.maxAge).',
    );
  });
});
