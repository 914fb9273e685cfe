import { describe, expect, it } from '@jest/globals';
import { timestamp } from '../../../src/kube/types/time.ts';
import { takesWakePlace } from '../../../src/tenant/hibernation.ts';
import { sampleTenant } from '../../support/tenants.ts';
import { MINUTE, NOW } from './fixtures.ts';

describe('a wake', () => {
  const SLEEPY = { hibernation: { afterIdle: '15m', wakeTimeout: '2m' } };
  const since = (agoMs: number) => ({
    hibernation: { phase: 'Waking' as const, epoch: 1, since: timestamp(NOW - agoMs) },
  });

  it.each(['5s', '2m', '1h'])(
    'of at most %s takes a place for a minute: what it waits for then keeps nobody else waiting',
    (wakeTimeout) => {
      const takes = (agoMs: number) =>
        takesWakePlace(sampleTenant({ hibernation: { ...SLEEPY.hibernation, wakeTimeout } }, {}, since(agoMs)), NOW);
      expect([takes(0), takes(MINUTE - 1000), takes(MINUTE)]).toEqual([true, true, false]);
    },
  );

  it('takes none since a time that is long to come: the clock was set back', () => {
    expect(takesWakePlace(sampleTenant(SLEEPY, {}, since(-60 * MINUTE)), NOW)).toBe(false);
  });

  it('is none of a tenant that is not to sleep any more', () => {
    expect(takesWakePlace(sampleTenant({}, {}, since(0)), NOW)).toBe(false);
  });
});
