import { describe, expect, it } from '@jest/globals';
import type { LastCleanup } from '../../../../src/api/tenant-status.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { cleanupVerdict } from '../../../../src/tenant/cleanup/cleanup-verdict.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';
import { MINUTE, NOW } from '../fixtures.ts';

const tenant = sampleTenant({ sessions: { ttl: '1h' } });
const last = (failuresInARow = 0): LastCleanup => ({
  time: timestamp(NOW - MINUTE),
  job: 'previous',
  result: failuresInARow > 0 ? 'Failed' : 'Succeeded',
  failuresInARow,
});

describe('the condition CleanupHealthy', () => {
  const failed = (failuresInARow: number): LastCleanup => ({ ...last(failuresInARow), message: 'No answer.' });

  it.each<[string, LastCleanup | undefined, string]>([
    ['no run has ended', undefined, 'Unknown AwaitingFirstRun'],
    ['the last run succeeded', last(), 'True CleanupSucceeded'],
    ['one run failed', failed(1), 'True CleanupRetrying'],
    ['one run could not start', { ...failed(1), timedOut: true }, 'False CleanupFailing'],
    ['two runs failed', failed(2), 'False CleanupFailing'],
    ['nine runs failed', failed(9), 'False CleanupFailing'],
  ])('when %s', (_, lastCleanup, expected) => {
    const { status, reason } = cleanupVerdict(tenant, lastCleanup);
    expect(`${status} ${reason}`).toBe(expected);
  });

  it('is False while a run cannot end, whatever the last one did', () => {
    for (const before of [undefined, last(), failed(1)]) {
      expect(cleanupVerdict(tenant, before, 'Job x is suspended.')).toEqual({
        status: 'False',
        reason: 'CleanupBlocked',
        message: 'Job x is suspended.',
      });
    }
  });

  it('is False when no date matches the schedule', () => {
    const never = sampleTenant({ sessions: { ttl: '1h', cleanupSchedule: '0 0 30 2 *' } });
    expect(cleanupVerdict(never, last())).toEqual({
      status: 'False',
      reason: 'ScheduleNeverComes',
      message:
        'No date matches spec.sessions.cleanupSchedule 0 0 30 2 *, so no cleanup run starts. Correct the schedule.',
    });
  });

  it('is True without a TTL', () => {
    expect(cleanupVerdict(sampleTenant(), undefined)).toMatchObject({ status: 'True', reason: 'NotScheduled' });
  });

  it('says why the cleanup fails and where its logs are, in the same message after the next failure', () => {
    const { message } = cleanupVerdict(tenant, failed(2));
    expect(message).toMatch(/No answer\..*kubectl logs.*CronJob acme-cleanup/);
    expect(cleanupVerdict(tenant, failed(3)).message).toBe(message);
  });
});

describe('the condition CleanupHealthy of servers that share a volume', () => {
  const through = { server: { index: 1, name: 'acme-1' }, reason: 'Kept', message: 'It works.' } as const;
  const shared = (sessions: object = {}, spec: object = {}) =>
    sampleTenant({ ...SHARED_STORAGE, ...spec, sessions: { ttl: '1h', ...sessions } });

  it('names the server that deletes, whatever the last run did', () => {
    const { status, reason, message } = cleanupVerdict(shared(), last(3), undefined, through);
    expect(`${status} ${reason}`).toBe('True ThroughOneServer');
    expect(message).toContain('Server acme-1 deletes expired sessions from the volume that all servers share');
  });

  it('says that nothing is deleted, for want of a server or by the spec', () => {
    const none = { reason: 'NoneReady', message: 'No server is ready.' } as const;
    expect(cleanupVerdict(shared(), undefined, undefined, none)).toMatchObject({ status: 'Unknown' });
    expect(cleanupVerdict(shared({ cleanupDryRun: true }), undefined, undefined, through).message).toContain(
      'deletes no expired session',
    );
  });

  it('is that of the runs while no server runs', () => {
    expect(cleanupVerdict(shared({}, { suspend: true }), last(2)).reason).toBe('CleanupFailing');
    expect(cleanupVerdict(shared({}, { replicas: 0 }), last()).reason).toBe('CleanupSucceeded');
  });
});
