import { describe, expect, it } from '@jest/globals';
import { timestamp } from '../../../src/kube/types/time.ts';
import { isWakeOpen } from '../../../src/tenant/hibernation.ts';
import { sampleTenant } from '../../support/tenants.ts';
import { MINUTE, NOW } from './fixtures.ts';

describe('a wake', () => {
  const SLEEPY = { hibernation: { afterIdle: '15m', wakeTimeout: '2m' } };
  const since = (agoMs: number) => ({
    hibernation: { phase: 'Waking' as const, epoch: 1, since: timestamp(NOW - agoMs) },
  });

  it('takes no place any more a minute after its time, though nobody has decided that it has failed', () => {
    const isOpen = (agoMs: number) => isWakeOpen(sampleTenant(SLEEPY, {}, since(agoMs)), NOW);
    expect([isOpen(0), isOpen(2.5 * MINUTE), isOpen(3 * MINUTE)]).toEqual([true, true, false]);
  });

  it('is none of a tenant that is not to sleep any more', () => {
    expect(isWakeOpen(sampleTenant({}, {}, since(0)), NOW)).toBe(false);
  });
});
