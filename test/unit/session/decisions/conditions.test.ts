import { describe, expect, it } from '@jest/globals';
import { readyVerdict, reconcilingVerdict, stalledVerdict } from '../../../../src/session/decisions/conditions.ts';
import type { Findings } from '../../../../src/session/model.ts';

const cause = { reason: 'TenantNotFound', message: 'CopilotTenant acme does not exist.' } as const;
const unavailable = (transient: boolean) =>
  ({ reason: transient ? 'TenantUnavailable' : 'TenantSuspended', message: 'It waits.', transient }) as const;
const work = { reason: 'Expiring', message: 'Server acme-0 failed to delete it.' } as const;

describe('the conditions of a session', () => {
  it.each<[string, Findings, string, string, string]>([
    ['before its first turn', { phase: 'Pending' }, 'True AwaitingFirstTurn', 'False UpToDate', 'False NotStalled'],
    ['without a turn', { phase: 'Idle' }, 'True SessionIdle', 'False UpToDate', 'False NotStalled'],
    ['in a turn', { phase: 'Active' }, 'True TurnRunning', 'False UpToDate', 'False NotStalled'],
    ['that has expired', { phase: 'Expired' }, 'False SessionExpired', 'False UpToDate', 'False NotStalled'],
    ['whose data is gone', { phase: 'Lost' }, 'False SessionLost', 'False UpToDate', 'False NotStalled'],
    ['that is being expired', { phase: 'Idle', work }, 'True SessionIdle', 'True Expiring', 'False NotStalled'],
    [
      'whose tenant is missing',
      { phase: 'Idle', cause },
      'False TenantNotFound',
      'False Blocked',
      'True TenantNotFound',
    ],
    [
      'whose server does not answer',
      { phase: 'Idle', unavailable: unavailable(true) },
      'False TenantUnavailable',
      'True WaitingForTenant',
      'False NotStalled',
    ],
    [
      'whose tenant is suspended',
      { phase: 'Idle', unavailable: unavailable(false) },
      'False TenantSuspended',
      'False UpToDate',
      'False NotStalled',
    ],
    ['that is being deleted', { deleting: 'Waiting.' }, 'False Deleting', 'True DeletingData', 'False NotStalled'],
    [
      'that is being deleted while a permission is missing',
      { deleting: 'Waiting.', cause: { reason: 'Forbidden', message: 'No.' } },
      'False Deleting',
      'True DeletingData',
      'True Forbidden',
    ],
  ])('%s', (_case, findings, ready, reconciling, stalled) => {
    const verdicts = [readyVerdict, reconcilingVerdict, stalledVerdict].map((verdict) => verdict(findings));
    expect(verdicts.map(({ status, reason }) => `${status} ${reason}`)).toEqual([ready, reconciling, stalled]);
  });
});
