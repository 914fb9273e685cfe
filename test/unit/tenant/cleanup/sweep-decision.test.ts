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
const asking = (at = DUE, mode = 'ReadWriteOnce'): PersistentVolumeClaim => {
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
    server: { index: 0, pods: [], claim: asking(), ...server },
    job: undefined,
    pods: [],
    volume: {},
    canSweep: true,
    now: NOW,
    ...found,
  });

/** The Job of the sweep that was asked for at `at`, and how it ended. */
function job(at = DUE, end?: 'Complete' | 'Failed', owner = sampleTenant().metadata, endedAt = NOW): Job {
  const made = sweepJob({ ...sampleTenant(), metadata: owner }, 0, { image: 'i', at, besideServer: true });
  const condition = { type: end ?? '', status: 'True' as const, lastTransitionTime: timestamp(endedAt) };
  const told = { ...condition, reason: 'BackoffLimitExceeded', message: 'it has failed too often' };
  return {
    ...made,
    metadata: { ...made.metadata, uid: 'uid-of-job' },
    status: { conditions: end === undefined ? [] : [end === 'Failed' ? told : condition] },
  };
}

/** The pod of the Job, with its last words. */
const podOf = (message: string): Pod =>
  pod(
    { containerStatuses: [container({ name: 'cleanup', state: { terminated: { exitCode: 1, message } } })] },
    { labels: { 'batch.kubernetes.io/controller-uid': 'uid-of-job' } },
  );

const RESULT = { dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0, errors: 0 } as const;
const USAGE = { time: timestamp(NOW), space: 10, capacity: '1Gi' };
/** What the pod saw of the volume is told. */
const saw = {
  volume: { usage: USAGE },
  status: { servers: [{ name: 'acme-0', state: 'Healthy', restarts: 0, volumeUsage: USAGE }] },
  pods: [
    podOf(
      formatCleanupResult({ ...RESULT, result: 'Succeeded', volumes: [{ name: 'acme-0', space: 10, size: 2 ** 30 }] }),
    ),
  ],
} satisfies Found;

describe('a volume that may be full without its server’s knowledge', () => {
  const unasked = { ...running, claim: boundClaim({ capacity: { storage: '64Mi' } }) };
  const volume = { sessions: 453 };

  it('is looked at by a sweep', () => {
    expect(stepOf({ server: unasked, volume })).toMatchObject({ action: 'request', claim: unasked.claim });
  });

  it.each<[string, Found]>([
    ['one is asked for already', { server: { ...unasked, claim: asking(timestamp(NOW + HOUR)) } }],
    ['the operator does not know the image that sweeps', { canSweep: false }],
    ['its server is not ready', { server: { ...unasked, pods: [] } }],
    ['no server runs, and so nothing fills it', { spec: { suspend: true } }],
    ['there is a Job of one', { job: job(DUE, 'Complete') }],
    ['another one’s Job is in the way', { job: { ...job(), metadata: { ...job().metadata, ownerReferences: [] } } }],
    [
      'it takes one pod',
      { server: { ...unasked, claim: { ...unasked.claim, spec: { accessModes: ['ReadWriteOncePod'] } } } },
    ],
    ['it is being deleted', { server: { ...unasked, claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) } }],
    ['it has few sessions', { volume: { sessions: 4 } }],
  ])('is not when %s', (_, found) => {
    expect(stepOf({ server: unasked, volume, ...found })?.action).not.toBe('request');
  });
});

describe('a sweep', () => {
  it('is none that nobody asked for', () => {
    expect(stepOf({ server: { ...running, claim: boundClaim() } })).toBeUndefined();
    expect(stepOf({ server: { ...running, claim: undefined } })).toBeUndefined();
  });

  it('waits for its time', () => {
    const claim = asking(timestamp(NOW + 20 * SECOND));
    expect(stepOf({ server: { ...running, claim } })).toMatchObject({
      action: 'wait',
      reason: 'NotDue',
      dueInMs: 20 * SECOND,
    });
  });

  it.each(['now', '', 'soon, please'])('is due at once when somebody asks for it by hand: %j', (at) => {
    expect(stepOf({ server: { ...running, claim: asking(at) } })).toMatchObject({ action: 'start', at });
  });

  it.each<[string, Found, object]>([
    ['begins beside its server', {}, { action: 'start', at: DUE, besideServer: true }],
    [
      'waits for a server that is not ready, for it has no node yet',
      { server: { pods: [] } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'waits for the end of a server whose volume takes one pod',
      { server: { ...running, claim: asking(DUE, 'ReadWriteOncePod') } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'waits for a server that stops',
      { spec: { suspend: true }, server: { deployment: rolledOutDeployment({ running: false }), pods: [pod()] } },
      { action: 'wait', reason: 'VolumeInUse' },
    ],
    [
      'begins on the volume of a server that has stopped',
      { spec: { suspend: true }, server: { deployment: rolledOutDeployment({ running: false }) } },
      { action: 'start', besideServer: false },
    ],
    [
      'begins on the volume of one pod when its server has stopped',
      { spec: { suspend: true }, server: { claim: asking(DUE, 'ReadWriteOncePod') } },
      { action: 'start', besideServer: false },
    ],
    [
      'begins on a volume that was kept when its server was scaled away',
      { spec: { replicas: 0 }, server: {} },
      { action: 'start', besideServer: false },
    ],
  ])('%s', (_, found, step) => {
    expect(stepOf(found)).toMatchObject(step);
  });

  it('is not made on a volume that is being deleted, or is another one’s', () => {
    const going = boundClaim({}, { ...annotated(DUE), deletionTimestamp: timestamp(NOW) });
    expect(stepOf({ server: { ...running, claim: going } })).toBeUndefined();
    const former = { ...sampleTenant().metadata, uid: 'uid-of-a-former-one' };
    const { ownerReferences } = job(DUE, undefined, former).metadata;
    const foreign = boundClaim({}, { ...annotated(DUE), ...(ownerReferences && { ownerReferences }) });
    expect(stepOf({ server: { ...running, claim: foreign } })).toBeUndefined();
  });

  it('is let run', () => {
    expect(stepOf({ job: job() })).toMatchObject({ action: 'wait', reason: 'Running' });
    expect(stepOf({ job: job(EARLIER) })).toMatchObject({ action: 'wait', reason: 'Running' });
  });

  it.each<[string, Found]>([
    ['its server has to start', { server: { pods: [] } }],
    [
      'its volume takes one pod, and the server is wanted again',
      { server: { claim: asking(DUE, 'ReadWriteOncePod') } },
    ],
    ['its volume is being deleted', { server: { claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) } }],
  ])('is given up for now when %s', (_, found) => {
    expect(stepOf({ job: job(), ...found, server: { ...running, ...found.server } })).toMatchObject({
      action: 'deleteJob',
      reason: 'VolumeInUse',
    });
  });

  it('that has succeeded is no longer asked for', () => {
    expect(stepOf({ ...saw, job: job(DUE, 'Complete') })).toMatchObject({
      action: 'clear',
      claim: { metadata: annotated(DUE) },
    });
  });

  it('that was asked for again meanwhile is made again', () => {
    expect(stepOf({ ...saw, job: job(EARLIER, 'Complete') })).toMatchObject({ action: 'deleteJob' });
  });

  it('has its Job stay until what its pod saw is told, ten seconds at most', () => {
    const waits = { action: 'wait', reason: 'NotReported', dueInMs: 10 * SECOND };
    const succeeded = job(DUE, 'Complete');
    expect(stepOf({ job: succeeded })).toMatchObject(waits);
    expect(stepOf({ job: succeeded, server: { ...running, claim: boundClaim() } })).toMatchObject(waits);
    expect(stepOf({ ...saw, status: {}, job: succeeded })).toMatchObject({ ...waits, dueInMs: SECOND });
    expect(stepOf({ job: succeeded, now: NOW + 10 * SECOND })).toMatchObject({ action: 'clear' });
    // A volume that tells nothing.
    expect(stepOf({ ...saw, volume: {}, status: {}, job: succeeded })).toMatchObject({ action: 'clear' });
  });

  it('has its Job taken away when it is no longer asked for', () => {
    expect(stepOf({ ...saw, job: job(DUE, 'Complete'), server: { ...running, claim: boundClaim() } })).toMatchObject({
      action: 'deleteJob',
    });
    const going = { ...job(DUE, 'Complete'), metadata: { ...job().metadata, deletionTimestamp: timestamp(NOW) } };
    expect(stepOf({ job: going })).toMatchObject({ action: 'wait' });
  });

  describe('that has failed', () => {
    it('is asked for later, and what its pod said is told', () => {
      const message = 'acme-0: .session-operation-locks/x.lock: EROFS';
      const result = { result: 'Failed', dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0 } as const;
      const pods = [podOf(formatCleanupResult({ ...result, errors: 1, message }))];
      const step = stepOf({ job: job(DUE, 'Failed'), pods });
      expect(step).toMatchObject({ action: 'postpone', reason: 'SweepFailed' });
      expect(step?.message).toBe(
        `Failed to sweep the files that deleted sessions left on the volume of server acme-0; the next attempt is in an hour: ${message}; see kubectl describe job acme-sweep0.`,
      );
      expect(stepOf({ job: job(DUE, 'Failed') })?.message).toContain('BackoffLimitExceeded: it has failed too often;');
    });

    it('is asked for later also when sessions were deleted meanwhile', () => {
      expect(stepOf({ job: job(EARLIER, 'Failed') })).toMatchObject({ action: 'postpone' });
    });

    it('is postponed once, however far ahead the clock is that timed its end', () => {
      const ahead = job(DUE, 'Failed', sampleTenant().metadata, NOW + HOUR);
      const step = stepOf({ job: ahead });
      expect(step).toMatchObject({ action: 'postpone', until: NOW + 2 * HOUR });
      const claim = asking(timestamp(NOW + 2 * HOUR));
      expect(stepOf({ job: ahead, server: { ...running, claim } })).toMatchObject({ action: 'wait' });
    });

    it('keeps its Job until the next one is due, for people to look at', () => {
      const later = { ...running, claim: asking(timestamp(NOW + HOUR)) };
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

    it('is made at once when somebody asks for it by hand', () => {
      expect(stepOf({ job: job(DUE, 'Failed'), server: { ...running, claim: asking('now') } })).toMatchObject({
        action: 'deleteJob',
      });
    });

    it('is postponed, too, when it was asked for by hand', () => {
      const claim = asking('now');
      expect(stepOf({ job: job('now', 'Failed'), server: { ...running, claim } })).toMatchObject({
        action: 'postpone',
      });
    });
  });

  it('waits until the Job of a former tenant is gone', () => {
    const former = { ...sampleTenant().metadata, uid: 'uid-of-a-former-one' };
    expect(stepOf({ job: job(DUE, undefined, former) })).toMatchObject({ action: 'wait', reason: 'PreviousTenantJob' });
  });

  it('leaves another one’s Job alone, and tells what is in its way', () => {
    const foreign = { ...job(), metadata: { ...job().metadata, ownerReferences: [] } };
    const step = stepOf({ job: foreign });
    expect(step).toMatchObject({ action: 'postpone' });
    expect(step?.message).toContain('acme-sweep0" already exists and has no controller');
  });
});
