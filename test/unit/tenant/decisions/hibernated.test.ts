import { describe, expect, it } from '@jest/globals';
import { hibernatedVerdict } from '../../../../src/tenant/decisions/hibernated.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const SLEEPY = { hibernation: { afterIdle: '15m', wakeTimeout: '2m' } };

describe('the condition Hibernated', () => {
  it.each([
    ['of a new tenant', {}, 'AwaitingGateway'],
    ['of one that goes to the gateway now', { access: 'Direct' as const }, 'AwaitingGateway'],
    ['where nobody can ask the operator', { access: 'Gateway' as const }, 'WakeNotPossible'],
  ])('%s says why it does not sleep', (_name, status, reason) => {
    const tenant = sampleTenant(SLEEPY, {}, status);
    expect(hibernatedVerdict({ tenant, access: 'Gateway', reason: 'NotWanted' })).toMatchObject({
      status: 'False',
      reason,
    });
  });
});
