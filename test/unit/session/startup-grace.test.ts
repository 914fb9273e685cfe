import { describe, expect, it } from '@jest/globals';
import { setConditions, verdictFalse } from '../../../src/kube/write/conditions.ts';
import { StartupGrace } from '../../../src/session/startup-grace.ts';
import { sampleSession, serverView } from '../../support/sessions.ts';

const reported = sampleSession({}, {}, { conditions: [] });
const silent = [serverView(0, { answer: undefined })];

describe('a server that does not answer', () => {
  it('is not reported in the first minute of a process that has not reached it yet', () => {
    const grace = new StartupGrace();
    expect(grace.remainingMs(reported, silent, 1_000)).toBe(60_000);
    expect(grace.remainingMs(reported, silent, 41_000)).toBe(20_000);
    expect(grace.remainingMs(reported, silent, 61_001)).toBe(0);
  });

  it('is reported at once when it has answered this process before', () => {
    const grace = new StartupGrace();
    expect(grace.remainingMs(reported, [serverView(0)], 1_000)).toBe(0);
    expect(grace.remainingMs(reported, silent, 2_000)).toBe(0);
  });

  it('is reported at once on a session of a tenant that was resumed, whose status would stay TenantSuspended', () => {
    const suspended = sampleSession(
      {},
      {},
      { conditions: setConditions(undefined, [['Ready', verdictFalse('TenantSuspended', 'x')]], 1, 0) },
    );
    expect(new StartupGrace().remainingMs(suspended, silent, 1_000)).toBe(0);
  });

  it('is reported at once on a session without a status', () => {
    expect(new StartupGrace().remainingMs(sampleSession(), silent, 1_000)).toBe(0);
  });
});
