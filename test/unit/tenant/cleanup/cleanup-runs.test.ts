import { describe, expect, it } from '@jest/globals';
import type { LastCleanup } from '../../../../src/api/tenant-status.ts';
import type { CronJob, Job, Pod } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { cleanupLabels } from '../../../../src/resources/cleanup-pod.ts';
import { formatCleanupResult, type CleanupResult } from '../../../../src/resources/cleanup-result.ts';
import { cronJob } from '../../../../src/tenant/builders/cronjob.ts';
import { cleanupRuns, cleanupRunsOf } from '../../../../src/tenant/cleanup/cleanup-runs.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { HOUR, NOW, SECOND } from '../fixtures.ts';

const tenant = sampleTenant({ sessions: { ttl: '1h' } });
const made = cronJob(tenant, {
  image: 'i',
  scope: { servers: [0], volumes: [], reason: 'ThroughServers', message: '' },
  paused: false,
});
const live: CronJob = { ...made, metadata: { ...made.metadata, uid: 'uid-of-cronjob' } };

type End = 'Complete' | 'Failed' | undefined;

/** A Job of the CronJob that ended `agoMs` before now. */
function job(name: string, end: End, agoMs = HOUR, owner = 'uid-of-cronjob'): Job {
  const failure = { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };
  const condition = { type: end ?? 'Suspended', status: 'True', lastTransitionTime: timestamp(NOW - agoMs) };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace: 'team',
      uid: `uid-of-${name}`,
      labels: cleanupLabels('acme'),
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name: 'acme-cleanup', uid: owner }],
    },
    status: { conditions: [{ ...condition, ...(end === 'Failed' && failure) }] },
  };
}

const SUCCESS: CleanupResult = {
  result: 'Succeeded',
  dryRun: false,
  kept: 3,
  deleted: 2,
  freedBytes: 100,
  sweptFiles: 4,
  errors: 0,
};
const FAILURE: CleanupResult = { ...SUCCESS, result: 'Failed', errors: 1, message: 'Session x: no answer.' };

/** The pod of a Job, with its termination message. */
function pod(of: string, result: CleanupResult | string | undefined): Pod {
  const message = typeof result === 'object' ? formatCleanupResult(result) : result;
  const terminated = { exitCode: 0, ...(message !== undefined && { message }) };
  const container = { name: 'cleanup', image: 'i', imageID: '', ready: false, restartCount: 0, state: { terminated } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${of}-x`,
      namespace: 'team',
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: of, uid: `uid-of-${of}`, controller: true }],
    },
    status: { containerStatuses: [container] },
  };
}

const lastRun = (ago: number, failuresInARow = 0): LastCleanup => ({
  time: timestamp(NOW - ago),
  job: 'previous',
  result: failuresInARow > 0 ? 'Failed' : 'Succeeded',
  failuresInARow,
});
const runs = (jobs: readonly Job[], pods: readonly Pod[] = [], last?: LastCleanup, cron: CronJob | undefined = live) =>
  cleanupRuns({ cronJob: cron, jobs, pods, last, now: NOW });

describe('the last run of a cleanup', () => {
  it('is reported with the result of its pod', () => {
    expect(runs([job('a', 'Complete')], [pod('a', SUCCESS)]).last).toEqual({
      time: timestamp(NOW - HOUR),
      job: 'a',
      result: 'Succeeded',
      failuresInARow: 0,
      kept: 3,
      deleted: 2,
      freedBytes: 100,
      sweptFiles: 4,
      errors: 0,
    });
  });

  it('is reported as a dry run', () => {
    expect(runs([job('a', 'Complete')], [pod('a', { ...SUCCESS, dryRun: true })]).last?.dryRun).toBe(true);
  });

  it('has the failure of its pod', () => {
    const { last } = runs([job('a', 'Failed')], [pod('a', FAILURE)]);
    expect(last).toMatchObject({
      result: 'Failed',
      failuresInARow: 1,
      message: 'Session x: no answer.',
      deleted: 2,
      errors: 1,
    });
  });

  it.each<[string, Pod[]]>([
    ['no pod', []],
    ['a pod that was killed before it left a result', [pod('a', undefined)]],
    ['a pod with log output as termination message', [pod('a', 'Error: out of memory')]],
    ['the pod of another Job only', [pod('b', SUCCESS)]],
  ])('has the failure of its Job, when there is %s', (_, pods) => {
    const { last } = runs([job('a', 'Failed')], pods);
    expect(last).toEqual({
      time: timestamp(NOW - HOUR),
      job: 'a',
      result: 'Failed',
      timedOut: true,
      failuresInARow: 1,
      message: 'The Job failed: DeadlineExceeded: Job was active longer than specified deadline.',
    });
  });

  it('has failed when the result of its pod says so', () => {
    expect(runs([job('a', 'Complete')], [pod('a', FAILURE)]).last?.result).toBe('Failed');
  });

  it('waits a moment for the result of its pod', () => {
    const jobs = [job('a', 'Complete', 4 * SECOND)];
    expect(runs(jobs, [])).toEqual({ last: undefined, counted: [], dueInMs: 6 * SECOND });
    expect(runs(jobs, [pod('a', SUCCESS)]).last?.deleted).toBe(2);
  });

  it('is never a running Job, or one of another owner', () => {
    expect(runs([job('a', undefined), job('b', 'Failed', HOUR, 'uid-of-another')]).counted).toEqual([]);
  });

  it('is unchanged while there is no CronJob', () => {
    const last = lastRun(HOUR);
    expect(runs([job('a', 'Complete')], [], last, { ...made }).last).toEqual(last);
  });
});

describe('failures in a row', () => {
  const fails = (ago: number): Job => job(`f${ago}`, 'Failed', ago);

  it('are counted from run to run, in whatever order the Jobs are listed', () => {
    const { last, counted } = runs([fails(HOUR), fails(3 * HOUR), fails(2 * HOUR)], [], lastRun(4 * HOUR, 1));
    expect(last?.failuresInARow).toBe(4);
    expect(counted.map(({ job: name }) => name)).toEqual([3, 2, 1].map((hours) => `f${hours * HOUR}`));
  });

  it('end with a run that succeeds', () => {
    const { last } = runs([fails(2 * HOUR), job('a', 'Complete')], [pod('a', SUCCESS)], lastRun(4 * HOUR, 1));
    expect(last?.failuresInARow).toBe(0);
  });

  it('are not counted twice', () => {
    const jobs = [fails(2 * HOUR), fails(HOUR)];
    const { last } = runs(jobs);
    expect(runs(jobs, [], last)).toEqual({ last, counted: [] });
  });

  it('are counted each, of runs that ended in the same second', () => {
    const [one, other] = [job('a', 'Failed'), job('b', 'Failed')];
    const { last } = runs([one]);
    expect(runs([one, other], [], last).last?.failuresInARow).toBe(2);
    expect(runs([other, one]).last?.failuresInARow).toBe(2);
  });

  it('are counted each, of runs that ended in the same second, whichever is observed first', () => {
    const [one, other] = [job('a', 'Failed', 500), job('b', 'Failed', 400)];
    expect(runs([other], [pod('b', FAILURE)])).toEqual({ last: undefined, counted: [], dueInMs: expect.any(Number) });
    const { last } = cleanupRuns({
      cronJob: live,
      jobs: [other, one],
      pods: [pod('a', FAILURE), pod('b', FAILURE)],
      last: undefined,
      now: NOW + 2 * SECOND,
    });
    expect(last).toMatchObject({ job: 'b', failuresInARow: 2 });
  });

  it('are counted at once when the clock of the cluster is ahead', () => {
    expect(runs([fails(-5 * SECOND)], [pod(`f${-5 * SECOND}`, FAILURE)]).last?.failuresInARow).toBe(1);
  });

  it('wait for the result of an older run, which would never be counted otherwise', () => {
    const jobs = [job('a', 'Complete', 5 * SECOND), job('b', 'Complete', 3 * SECOND)];
    const { last, counted } = runs(jobs, [pod('b', SUCCESS)]);
    expect(last).toBeUndefined();
    expect(counted).toEqual([]);
  });
});

describe('a run whose pod could not be created', () => {
  it('has the reason besides its deadline', () => {
    const warning = {
      reason: 'FailedCreate',
      message: 'Error creating: pods "a-" is forbidden: exceeded quota: few, ',
    };
    const { last } = cleanupRuns({
      cronJob: live,
      jobs: [job('a', 'Failed')],
      pods: [],
      last: undefined,
      warning,
      now: NOW,
    });
    expect(last?.message).toMatch(/^The Job failed: DeadlineExceeded.*exceeds the ResourceQuota few of the namespace/);
  });
});

describe('a Job that a sidecar keeps open', () => {
  const spec = { ...tenant, spec: { ...tenant.spec } };
  const open: Job = {
    ...job('a', undefined),
    metadata: { ...job('a', undefined).metadata, creationTimestamp: timestamp(NOW - HOUR) },
  };
  const ended = { exitCode: 0, finishedAt: timestamp(NOW - HOUR + SECOND), message: formatCleanupResult(SUCCESS) };
  const kept: Pod = {
    ...pod('a', undefined),
    status: {
      phase: 'Running',
      containerStatuses: [
        { name: 'cleanup', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: ended } },
      ],
    },
  };
  const cleanup = { cronJob: live, jobs: [open], pods: [kept], sessions: [] };

  it('counts as the end of the run, and is deleted once the status has it', () => {
    const first = cleanupRunsOf(spec, cleanup, NOW);
    expect(first.last).toMatchObject({ job: 'a', result: 'Succeeded', deleted: 2 });
    expect(first.keptOpen).toEqual([]);
    expect(first.problem.blocked).toBeUndefined();
    expect(first.dueInMs).toBe(5000);
    const reported = { ...spec, status: { ...spec.status, lastCleanup: first.last } } as typeof spec;
    const second = cleanupRunsOf(reported, cleanup, NOW);
    expect(second.counted).toEqual([]);
    expect(second.keptOpen).toEqual([open]);
  });
});
