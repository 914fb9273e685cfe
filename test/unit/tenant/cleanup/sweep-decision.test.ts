import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput, CopilotTenantStatus } from '../../../../src/api/tenant.ts';
import type { Job, PersistentVolumeClaim, Pod } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { formatCleanupResult } from '../../../../src/resources/cleanup-result.ts';
import { sweepJob } from '../../../../src/tenant/builders/sweepjob.ts';
import { sweepDecision, type SweepInput } from '../../../../src/tenant/cleanup/sweep-decision.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { boundClaim, container, HOUR, NOW, pod, SECOND, rolledOutDeployment } from '../fixtures.ts';
import type { ServerWorld } from '../../../../src/tenant/model.ts';

const DUE = timestamp(NOW - SECOND);
const EARLIER = timestamp(NOW - 60 * SECOND);
const annotated = (at: string) => ({ annotations: { 'copilot-operator.dev/sweep-at': at } });
const requested = (at = DUE, mode = 'ReadWriteOnce'): PersistentVolumeClaim => {
  const claim = boundClaim({}, annotated(at));
  return { ...claim, spec: { ...claim.spec, accessModes: [mode] } };
};
const running: Partial<ServerWorld> = { deployment: rolledOutDeployment(), pods: [pod()] };

interface Found extends Partial<Omit<SweepInput, 'tenant' | 'server'>> {
  readonly spec?: CopilotTenantSpecInput;
  readonly server?: Partial<ServerWorld>;
  readonly status?: CopilotTenantStatus;
}

const stepOf = ({ spec = {}, server = running, status, ...found }: Found = {}) =>
  sweepDecision({
    tenant: sampleTenant(spec, {}, status),
    server: { index: 0, pods: [], claim: requested(), ...server },
    job: undefined,
    pods: [],
    volume: {},
    canSweep: true,
    now: NOW,
    ...found,
  });

/** The Job for the request `at`, and how it ended. */
function job(at = DUE, end?: 'Complete' | 'Failed', owner = sampleTenant().metadata, endedAt = NOW): Job {
  const made = sweepJob({ ...sampleTenant(), metadata: owner }, 0, { image: 'i', at, besideServer: true });
  const condition = { type: end ?? '', status: 'True' as const, lastTransitionTime: timestamp(endedAt) };
  const failed = { ...condition, reason: 'BackoffLimitExceeded', message: 'it has failed too often' };
  return {
    ...made,
    metadata: { ...made.metadata, uid: 'uid-of-job' },
    status: { conditions: end === undefined ? [] : [end === 'Failed' ? failed : condition] },
  };
}

/** The pod of the Job, with its termination message. */
const podOf = (message: string): Pod =>
  pod(
    { containerStatuses: [container({ name: 'cleanup', state: { terminated: { exitCode: 1, message } } })] },
    { ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'job', uid: 'uid-of-job', controller: true }] },
  );

const RESULT = { dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0, errors: 0 } as const;
const USAGE = { time: timestamp(NOW), space: 10, capacity: '1Gi' };
/** The status has the measurement of the pod. */
const saw = {
  volume: { usage: USAGE },
  status: { servers: [{ name: 'acme-0', state: 'Healthy', restarts: 0, volumeUsage: USAGE }] },
  pods: [
    podOf(
      formatCleanupResult({ ...RESULT, result: 'Succeeded', volumes: [{ name: 'acme-0', space: 10, size: 2 ** 30 }] }),
    ),
  ],
} satisfies Found;

describe('a volume that may be full without its server reporting it', () => {
  const unrequested = { ...running, claim: boundClaim({ capacity: { storage: '64Mi' } }) };
  const volume = { sessions: 453 };

  it('is measured by a sweep', () => {
    expect(stepOf({ server: unrequested, volume })).toMatchObject({ action: 'request', claim: unrequested.claim });
  });

  it.each<[string, Found]>([
    ['one is requested already', { server: { ...unrequested, claim: requested(timestamp(NOW + HOUR)) } }],
    ['the operator does not know its own image', { canSweep: false }],
    ['its server is not ready', { server: { ...unrequested, pods: [] } }],
    ['no server runs, so that nothing fills it', { spec: { suspend: true } }],
    ['there is a Job already', { job: job(DUE, 'Complete') }],
    ['a foreign Job has the name', { job: { ...job(), metadata: { ...job().metadata, ownerReferences: [] } } }],
    [
      'it is ReadWriteOncePod',
      { server: { ...unrequested, claim: { ...unrequested.claim, spec: { accessModes: ['ReadWriteOncePod'] } } } },
    ],
    [
      'it is being deleted',
      { server: { ...unrequested, claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) } },
    ],
    ['it has few sessions', { volume: { sessions: 4 } }],
  ])('is not when %s', (_, found) => {
    expect(stepOf({ server: unrequested, volume, ...found })?.action).not.toBe('request');
  });
});

describe('a sweep', () => {
  it('is not started without a request', () => {
    expect(stepOf({ server: { ...running, claim: boundClaim() } })).toBeUndefined();
    expect(stepOf({ server: { ...running, claim: undefined } })).toBeUndefined();
  });

  it('waits for its time', () => {
    const claim = requested(timestamp(NOW + 20 * SECOND));
    expect(stepOf({ server: { ...running, claim } })).toMatchObject({
      action: 'wait',
      reason: 'NotDue',
      dueInMs: 20 * SECOND,
    });
  });

  it.each(['now', '', 'soon, please'])('is due at once when a user requests it: %j', (at) => {
    expect(stepOf({ server: { ...running, claim: requested(at) } })).toMatchObject({ action: 'start', at });
  });

  it.each<[string, Found, object]>([
    ['starts beside its server', {}, { action: 'start', at: DUE, besideServer: true }],
    [
      'waits for a server that is not ready, which has no node yet',
      { server: { pods: [] } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'waits until the server of a ReadWriteOncePod volume has stopped',
      { server: { ...running, claim: requested(DUE, 'ReadWriteOncePod') } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'waits for a server that is stopping',
      { spec: { suspend: true }, server: { deployment: rolledOutDeployment({ running: false }), pods: [pod()] } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'starts on the volume of a server that has stopped',
      { spec: { suspend: true }, server: { deployment: rolledOutDeployment({ running: false }) } },
      { action: 'start', besideServer: false },
    ],
    [
      'starts on a ReadWriteOncePod volume when its server has stopped',
      { spec: { suspend: true }, server: { claim: requested(DUE, 'ReadWriteOncePod') } },
      { action: 'start', besideServer: false },
    ],
    [
      'starts on the retained volume of a server beyond spec.replicas',
      { spec: { replicas: 0 }, server: {} },
      { action: 'start', besideServer: false },
    ],
  ])('%s', (_, found, step) => {
    expect(stepOf(found)).toMatchObject(step);
  });

  it('is not started on a terminating volume, or on that of another owner', () => {
    const going = boundClaim({}, { ...annotated(DUE), deletionTimestamp: timestamp(NOW) });
    expect(stepOf({ server: { ...running, claim: going } })).toBeUndefined();
    const previous = { ...sampleTenant().metadata, uid: 'uid-of-a-previous-one' };
    const { ownerReferences } = job(DUE, undefined, previous).metadata;
    const foreign = boundClaim({}, { ...annotated(DUE), ...(ownerReferences && { ownerReferences }) });
    expect(stepOf({ server: { ...running, claim: foreign } })).toBeUndefined();
  });

  it('is not interrupted', () => {
    expect(stepOf({ job: job() })).toMatchObject({ action: 'wait', reason: 'Running' });
    expect(stepOf({ job: job(EARLIER) })).toMatchObject({ action: 'wait', reason: 'Running' });
  });

  it.each<[string, Found]>([
    ['its server has to start', { server: { pods: [] } }],
    [
      'its volume is ReadWriteOncePod, and the server should run again',
      { server: { claim: requested(DUE, 'ReadWriteOncePod') } },
    ],
    ['its volume is being deleted', { server: { claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) } }],
  ])('is interrupted when %s', (_, found) => {
    expect(stepOf({ job: job(), ...found, server: { ...running, ...found.server } })).toMatchObject({
      action: 'deleteJob',
      reason: 'VolumeInUse',
    });
  });

  it('that has succeeded has its request removed', () => {
    expect(stepOf({ ...saw, job: job(DUE, 'Complete') })).toMatchObject({
      action: 'clear',
      claim: { metadata: annotated(DUE) },
    });
  });

  it('that was requested again meanwhile is repeated', () => {
    expect(stepOf({ ...saw, job: job(EARLIER, 'Complete') })).toMatchObject({ action: 'deleteJob' });
  });

  it('keeps its Job until its measurement is in the status, for at most ten seconds', () => {
    const waits = { action: 'wait', reason: 'NotReported', dueInMs: 10 * SECOND };
    const succeeded = job(DUE, 'Complete');
    expect(stepOf({ job: succeeded })).toMatchObject(waits);
    expect(stepOf({ job: succeeded, server: { ...running, claim: boundClaim() } })).toMatchObject(waits);
    expect(stepOf({ ...saw, status: {}, job: succeeded })).toMatchObject({ ...waits, dueInMs: SECOND });
    expect(stepOf({ job: succeeded, now: NOW + 10 * SECOND })).toMatchObject({ action: 'clear' });
    // A volume that was not measured.
    expect(stepOf({ ...saw, volume: {}, status: {}, job: succeeded })).toMatchObject({ action: 'clear' });
  });

  it('has its Job deleted when it is no longer requested', () => {
    expect(stepOf({ ...saw, job: job(DUE, 'Complete'), server: { ...running, claim: boundClaim() } })).toMatchObject({
      action: 'deleteJob',
    });
    const going = { ...job(DUE, 'Complete'), metadata: { ...job().metadata, deletionTimestamp: timestamp(NOW) } };
    expect(stepOf({ job: going })).toMatchObject({ action: 'wait' });
  });

  describe('whose Job a sidecar keeps open', () => {
    const ended = (agoMs: number): Pod =>
      pod(
        {
          containerStatuses: [
            container({
              name: 'cleanup',
              state: { terminated: { exitCode: 0, finishedAt: timestamp(NOW - agoMs) } },
            }),
            container({ name: 'sidecar' }),
          ],
        },
        {
          ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'job', uid: 'uid-of-job', controller: true }],
        },
      );

    it('is done a minute after our container', () => {
      expect(stepOf({ job: job(), pods: [ended(20 * SECOND)] })).toMatchObject({ action: 'wait', dueInMs: 40_000 });
      expect(stepOf({ ...saw, job: job(), pods: [ended(70 * SECOND)] })).toMatchObject({ action: 'clear' });
    });
  });

  describe('that has failed', () => {
    it('is postponed, with the message of its pod', () => {
      const message = 'acme-0: .session-operation-locks/x.lock: EROFS';
      const result = { result: 'Failed', dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0 } as const;
      const pods = [podOf(formatCleanupResult({ ...result, errors: 1, message }))];
      const step = stepOf({ job: job(DUE, 'Failed'), pods });
      expect(step).toMatchObject({ action: 'postpone', reason: 'SweepFailed' });
      expect(step?.message).toBe(
        `Failed to sweep the files that deleted sessions left on the volume of server acme-0: ${message}. See kubectl describe job acme-sweep0. The next attempt is in an hour.`,
      );
      expect(stepOf({ job: job(DUE, 'Failed') })?.message).toContain('BackoffLimitExceeded: it has failed too often.');
    });

    it('is postponed also when sessions were deleted meanwhile', () => {
      expect(stepOf({ job: job(EARLIER, 'Failed') })).toMatchObject({ action: 'postpone' });
    });

    it('is postponed only once, however far the clock of the cluster is ahead', () => {
      const ahead = job(DUE, 'Failed', sampleTenant().metadata, NOW + HOUR);
      const step = stepOf({ job: ahead });
      expect(step).toMatchObject({ action: 'postpone', until: NOW + 2 * HOUR });
      const claim = requested(timestamp(NOW + 2 * HOUR));
      expect(stepOf({ job: ahead, server: { ...running, claim } })).toMatchObject({ action: 'wait' });
    });

    it('keeps its Job for inspection until the next one is due', () => {
      const later = { ...running, claim: requested(timestamp(NOW + HOUR)) };
      const failed = job(DUE, 'Failed');
      expect(stepOf({ job: failed, server: later })).toMatchObject({
        action: 'wait',
        reason: 'Postponed',
        dueInMs: HOUR,
      });
      expect(stepOf({ job: failed, server: later, now: NOW + HOUR })).toMatchObject({
        action: 'deleteJob',
        job: failed,
      });
    });

    it('is repeated at once when a user requests it', () => {
      expect(stepOf({ job: job(DUE, 'Failed'), server: { ...running, claim: requested('now') } })).toMatchObject({
        action: 'deleteJob',
      });
    });

    it('is postponed also when a user had requested it', () => {
      const claim = requested('now');
      expect(stepOf({ job: job('now', 'Failed'), server: { ...running, claim } })).toMatchObject({
        action: 'postpone',
      });
    });
  });

  it('waits until the Job of a previous tenant is deleted', () => {
    const previous = { ...sampleTenant().metadata, uid: 'uid-of-a-previous-one' };
    expect(stepOf({ job: job(DUE, undefined, previous) })).toMatchObject({
      action: 'wait',
      reason: 'PreviousTenantJob',
    });
  });

  it('does not touch a foreign Job, and reports it', () => {
    const foreign = { ...job(), metadata: { ...job().metadata, ownerReferences: [] } };
    const step = stepOf({ job: foreign });
    expect(step).toMatchObject({ action: 'postpone' });
    expect(step?.message).toContain('acme-sweep0" already exists and has no controller');
  });
});
