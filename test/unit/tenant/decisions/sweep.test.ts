import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Job, PersistentVolumeClaim, Pod } from '../../../../src/kube/builtins.ts';
import { timestamp } from '../../../../src/kube/time.ts';
import { formatCleanupResult } from '../../../../src/resources/cleanup-result.ts';
import { sweepJob } from '../../../../src/tenant/builders/sweepjob.ts';
import { sweepStep, type SweepInput } from '../../../../src/tenant/decisions/sweep.ts';
import type { ServerWorld } from '../../../../src/tenant/world.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { boundClaim, container, NOW, pod, SECOND, settledDeployment } from '../fixtures.ts';

const DUE = timestamp(NOW - SECOND);
const annotated = (at: string) => ({ annotations: { 'copilot-operator.dev/sweep-at': at } });
const asking = (at = DUE, mode = 'ReadWriteOnce'): PersistentVolumeClaim => {
  const claim = boundClaim({}, annotated(at));
  return { ...claim, spec: { ...claim.spec, accessModes: [mode] } };
};
const running: Partial<ServerWorld> = { deployment: settledDeployment(), pods: [pod()] };

interface Found extends Partial<Omit<SweepInput, 'tenant' | 'server'>> {
  readonly spec?: CopilotTenantSpecInput;
  readonly server?: Partial<ServerWorld>;
}

const stepOf = ({ spec = {}, server = running, ...found }: Found = {}) =>
  sweepStep({
    tenant: sampleTenant(spec),
    server: { index: 0, pods: [], claim: asking(), ...server },
    job: undefined,
    pods: [],
    now: NOW,
    ...found,
  });

/** The Job of the sweep that was asked for at `at`, and how it ended. */
function job(at = DUE, end?: 'Complete' | 'Failed'): Job {
  const made = sweepJob(sampleTenant(), 0, { image: 'i', at, besideServer: true });
  const condition = { type: end ?? '', status: 'True' as const, lastTransitionTime: timestamp(NOW) };
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
      { action: 'wait', reason: 'VolumeHeld' },
    ],
    [
      'waits for the end of a server whose volume takes one pod',
      { server: { ...running, claim: asking(DUE, 'ReadWriteOncePod') } },
      { action: 'wait', reason: 'VolumeHeld' },
    ],
    [
      'waits for a server that stops',
      { spec: { suspend: true }, server: { deployment: settledDeployment({ running: false }), pods: [pod()] } },
      { action: 'wait', reason: 'VolumeHeld' },
    ],
    [
      'begins on the volume of a server that has stopped',
      { spec: { suspend: true }, server: { deployment: settledDeployment({ running: false }) } },
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

  it('is not made on a volume that is being deleted', () => {
    const claim = boundClaim({}, { ...annotated(DUE), deletionTimestamp: timestamp(NOW) });
    expect(stepOf({ server: { ...running, claim } })).toBeUndefined();
  });

  it('is let run', () => {
    expect(stepOf({ job: job() })).toMatchObject({ action: 'wait', reason: 'UnderWay' });
    expect(stepOf({ job: job(timestamp(NOW - 60 * SECOND)) })).toMatchObject({ action: 'wait', reason: 'UnderWay' });
  });

  it('that has succeeded is no longer asked for', () => {
    expect(stepOf({ job: job(DUE, 'Complete') })).toMatchObject({ action: 'end', claim: { metadata: annotated(DUE) } });
  });

  it('that was asked for again meanwhile is made again', () => {
    expect(stepOf({ job: job(timestamp(NOW - 60 * SECOND), 'Complete') })).toMatchObject({ action: 'discard' });
    expect(stepOf({ job: job(timestamp(NOW - 60 * SECOND), 'Failed') })).toMatchObject({ action: 'discard' });
  });

  it('has its Job taken away when it is no longer asked for', () => {
    expect(stepOf({ job: job(DUE, 'Complete'), server: { ...running, claim: boundClaim() } })).toMatchObject({
      action: 'discard',
    });
    const going = { ...job(DUE, 'Complete'), metadata: { ...job().metadata, deletionTimestamp: timestamp(NOW) } };
    expect(stepOf({ job: going })).toMatchObject({ action: 'wait' });
  });

  it('that has failed is asked for later, and what its pod said is told', () => {
    const message = 'acme-0: .session-operation-locks/x.lock: EROFS';
    const result = { result: 'Failed', dryRun: false, kept: 0, deleted: 0, freedBytes: 0, sweptFiles: 0 } as const;
    const pods = [podOf(formatCleanupResult({ ...result, errors: 1, message }))];
    const step = stepOf({ job: job(DUE, 'Failed'), pods });
    expect(step).toMatchObject({ action: 'postpone', reason: 'SweepFailed' });
    expect(step?.message).toBe(
      `What deleted sessions have left on the volume of server acme-0 could not be swept, which is tried again in an hour: ${message}.`,
    );
    expect(stepOf({ job: job(DUE, 'Failed') })?.message).toContain('BackoffLimitExceeded: it has failed too often.');
  });

  it('does not take another one’s Job for its own', () => {
    const foreign = { ...job(), metadata: { ...job().metadata, ownerReferences: [] } };
    expect(stepOf({ job: foreign })).toMatchObject({ action: 'start', live: foreign });
  });
});
