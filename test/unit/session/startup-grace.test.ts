import { describe, expect, it } from '@jest/globals';
import { setConditions, verdictFalse } from '../../../src/kube/write/conditions.ts';
import { StartupGrace } from '../../../src/session/startup-grace.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sampleSession, serverView } from '../../support/sessions.ts';

const reported = sampleSession({}, {}, { conditions: [] });
const silent = [serverView(0, { answer: undefined })];

describe('a server that does not answer', () => {
  it('is not reported in the first minute of a process that has not reached it yet', async () => {
    const clock = new FakeClock();
    const grace = new StartupGrace(clock);
    expect(grace.remainingMs(reported, silent)).toBe(60_000);
    await clock.advance(40_000);
    expect(grace.remainingMs(reported, silent)).toBe(20_000);
    await clock.advance(20_001);
    expect(grace.remainingMs(reported, silent)).toBe(0);
  });

  it.each([3_600_000, -3_600_000])('is reported after a minute when the clock is set by %i ms', async (byMs) => {
    const clock = new FakeClock();
    const grace = new StartupGrace(clock);
    grace.remainingMs(reported, silent);
    clock.jumpWallClock(byMs);
    await clock.advance(40_000);
    expect(grace.remainingMs(reported, silent)).toBe(20_000);
    await clock.advance(20_001);
    expect(grace.remainingMs(reported, silent)).toBe(0);
  });

  it('is reported at once when it has answered this process before', () => {
    const grace = new StartupGrace(new FakeClock());
    expect(grace.remainingMs(reported, [serverView(0)])).toBe(0);
    expect(grace.remainingMs(reported, silent)).toBe(0);
  });

  it('is reported at once on a session of a tenant that was resumed, whose status would stay TenantSuspended', () => {
    const suspended = sampleSession(
      {},
      {},
      { conditions: setConditions(undefined, [['Ready', verdictFalse('TenantSuspended', 'x')]], 1, 0) },
    );
    expect(new StartupGrace(new FakeClock()).remainingMs(suspended, silent)).toBe(0);
  });

  it('is reported at once on a session without a status', () => {
    expect(new StartupGrace(new FakeClock()).remainingMs(sampleSession(), silent)).toBe(0);
  });
});
