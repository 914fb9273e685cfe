import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ReadyReason, StalledReason } from '../../../src/api/conditions.ts';
import type { CopilotTenantStatus } from '../../../src/api/tenant.ts';
import { transitions } from '../../../src/tenant/transitions.ts';

type TestCondition = readonly [status: 'True' | 'False' | 'Unknown', reason: string, message?: string];

/** A status with these conditions. */
function status(conditions: Readonly<Record<string, TestCondition>>): CopilotTenantStatus {
  return {
    conditions: Object.entries(conditions).map(([type, [status, reason, message = `It is ${reason}.`]]) => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime: '2026-01-02T03:04:05Z',
    })),
  };
}

const fine = status({ Ready: ['True', 'ServersReady'], Stalled: ['False', 'NotStalled'] });
const starting = status({ Ready: ['False', 'ServersStarting'], Stalled: ['False', 'NotStalled'] });
const silent = status({ Ready: ['False', 'ServersUnhealthy'], Stalled: ['False', 'NotStalled'] });
const notWoken = status({ Ready: ['False', 'WakeFailed'], Stalled: ['False', 'NotStalled'] });
const paused = status({ Ready: ['True', 'ServersReady'], Reconciling: ['False', 'Paused'] });
const noQuota = status({ Ready: ['False', 'QuotaExceeded'], Stalled: ['True', 'QuotaExceeded'] });
const noImage = status({ Ready: ['False', 'ImagePullFailed'], Stalled: ['True', 'ImagePullFailed'] });

const anyStatus = fc
  .record({
    ready: fc.tuple(fc.constantFrom('True', 'False'), fc.constantFrom(...Object.values(ReadyReason))),
    stalled: fc.tuple(fc.constantFrom('True', 'False'), fc.constantFrom(...Object.values(StalledReason))),
  })
  .map(({ ready, stalled }) => status({ Ready: ready, Stalled: stalled }));

describe('the events of a tenant', () => {
  it.each([
    ['a new tenant starts', undefined, starting, ['Normal ServersStarting']],
    ['it becomes ready', starting, fine, ['Normal ServersReady']],
    ['a server stops responding', fine, silent, ['Warning ServersUnhealthy']],
    ['it could not be woken', starting, notWoken, ['Warning WakeFailed']],
    ['a cause appears: one event, not another for Ready', fine, noQuota, ['Warning QuotaExceeded']],
    ['one cause replaces another', noQuota, noImage, ['Warning ImagePullFailed']],
    ['it is paused', fine, paused, ['Normal Paused']],
    ['it stays paused', paused, paused, []],
    ['the cause disappears', noImage, starting, ['Normal ServersStarting']],
    ['a new tenant has a cause at once', undefined, noQuota, ['Warning QuotaExceeded']],
  ])('when %s', (_, before, after, expected) => {
    expect(transitions(before, after).map(({ type, reason }) => `${type} ${reason}`)).toEqual(expected);
  });

  it.each([
    [
      'cleanups begin to fail',
      { CleanupHealthy: ['True', 'CleanupRetrying'] },
      { CleanupHealthy: ['False', 'CleanupFailing'] },
      ['Warning CleanupFailing'],
    ],
    [
      'a cleanup works again',
      { CleanupHealthy: ['False', 'CleanupFailing'] },
      { CleanupHealthy: ['True', 'CleanupSucceeded'] },
      ['Normal CleanupSucceeded'],
    ],
    [
      'one cleanup fails',
      { CleanupHealthy: ['True', 'CleanupSucceeded'] },
      { CleanupHealthy: ['True', 'CleanupRetrying'] },
      [],
    ],
    [
      'the first cleanup works',
      { CleanupHealthy: ['Unknown', 'AwaitingFirstRun'] },
      { CleanupHealthy: ['True', 'CleanupSucceeded'] },
      [],
    ],
    [
      'a volume fills up',
      { StoragePressure: ['False', 'EnoughSpace'] },
      { StoragePressure: ['True', 'VolumeNearlyFull'] },
      ['Warning VolumeNearlyFull'],
    ],
    [
      'it is full',
      { StoragePressure: ['True', 'VolumeNearlyFull'] },
      { StoragePressure: ['True', 'VolumeFull'] },
      ['Warning VolumeFull'],
    ],
    [
      'it has room again',
      { StoragePressure: ['True', 'VolumeFull'] },
      { StoragePressure: ['False', 'EnoughSpace'] },
      ['Normal EnoughSpace'],
    ],
    [
      'it is measured first',
      { StoragePressure: ['Unknown', 'NotMeasured'] },
      { StoragePressure: ['False', 'EnoughSpace'] },
      [],
    ],
  ] as [string, Record<string, TestCondition>, Record<string, TestCondition>, string[]][])(
    'when %s',
    (_, before, after, expected) => {
      expect(transitions(status(before), status(after)).map(({ type, reason }) => `${type} ${reason}`)).toEqual(
        expected,
      );
    },
  );

  it('have the message of the condition', () => {
    expect(transitions(fine, noQuota)).toEqual([
      { type: 'Warning', reason: 'QuotaExceeded', message: 'It is QuotaExceeded.' },
    ]);
  });

  it('are none while only the message changes', () => {
    const later = status({ Ready: ['False', 'QuotaExceeded', 'More.'], Stalled: ['True', 'QuotaExceeded', 'More.'] });
    expect(transitions(noQuota, later)).toEqual([]);
  });

  it('are none for other conditions', () => {
    const busy = {
      conditions: [...(fine.conditions ?? []), ...(status({ Reconciling: ['True', 'x'] }).conditions ?? [])],
    };
    expect(transitions(fine, busy)).toEqual([]);
  });

  it('are none between equal statuses', () => {
    fc.assert(fc.property(anyStatus, (one) => expect(transitions(one, structuredClone(one))).toEqual([])));
  });

  it('never have one reason twice', () => {
    fc.assert(
      fc.property(anyStatus, anyStatus, (before, after) => {
        const reasons = transitions(before, after).map(({ reason }) => reason);
        expect(new Set(reasons).size).toBe(reasons.length);
      }),
    );
  });
});

describe('the events of drains', () => {
  const drain = {
    epoch: 3,
    reason: 'Updating',
    podUID: 'u',
    since: '2026-01-02T03:04:05Z',
    deadline: '2026-01-02T03:09:05Z',
  } as const;
  const draining = {
    ...fine,
    drainEpoch: 3,
    servers: [{ name: 'acme-0', state: 'Draining' as const, restarts: 0, drain }],
  };

  it('are one for each that begins', () => {
    const message =
      'Server acme-0 drains (Updating): its running turns end first, until 2026-01-02T03:09:05Z at the latest.';
    expect(transitions({ ...fine, drainEpoch: 2 }, draining)).toEqual([
      { type: 'Normal', reason: 'ServerDraining', message },
    ]);
    expect(transitions(fine, draining)).toHaveLength(1);
  });

  it('are none while it goes on, or ends', () => {
    expect([...transitions(draining, draining), ...transitions(draining, { ...fine, drainEpoch: 3 })]).toEqual([]);
  });
});
