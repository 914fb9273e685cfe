import { describe, expect, it } from '@jest/globals';
import type { Job, Pod } from '../../../../src/kube/types/builtins.ts';
import { formatCleanupResult, type DeletionOutcome } from '../../../../src/resources/cleanup-result.ts';
import { isStillRead, removalProgress } from '../../../../src/session/decisions/removal-progress.ts';

const NOW = Date.parse('2026-01-02T03:10:00Z');
const at = (agoMs: number) => new Date(NOW - agoMs).toISOString();
const MINUTE = 60_000;

function job(end?: { type: 'Complete' | 'Failed'; agoMs?: number; message?: string }, terminating = false): Job {
  const { type = '', agoMs = 2 * MINUTE, message = 'too late' } = end ?? {};
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: 'acme-remove0',
      uid: 'job',
      creationTimestamp: at(3 * MINUTE),
      annotations: { 'copilot-operator.dev/removes': 'a,b,c' },
      ...(terminating && { deletionTimestamp: at(0) }),
    },
    status: end
      ? { conditions: [{ type, status: 'True', reason: 'Why', message, lastTransitionTime: at(agoMs) }] as never }
      : {},
  };
}

function pod(outcomes: readonly DeletionOutcome[] | undefined, message?: string, uid = 'job'): Pod {
  const result = {
    result: 'Failed',
    dryRun: false,
    kept: 0,
    deleted: 0,
    freedBytes: 0,
    sweptFiles: 0,
    errors: 1,
  } as const;
  const terminated = { exitCode: 1, message: formatCleanupResult({ ...result, outcomes, message }) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'x',
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'acme-remove0', uid, controller: true }],
    },
    status: { containerStatuses: [{ name: 'cleanup', state: { terminated } }] as never },
  };
}

const UNTIL = { state: 'Waiting', until: NOW - 3 * MINUTE + 5 * MINUTE };

describe('the progress of a removal', () => {
  it.each<[string, string, Job, Pod[], object]>([
    ['of a Job that has not ended', 'b', job(), [], UNTIL],
    ['of a Job for others that has not ended: it is not given up for waiting its turn', 'z', job(), [], UNTIL],
    ['of a Job that is being deleted', 'b', job({ type: 'Complete' }, true), [], UNTIL],
    [
      'that is done, while the Job tries again for others',
      'b',
      job(),
      [pod(['Failed', 'Deleted'])],
      { state: 'Deleted' },
    ],
    ['that failed, while the Job tries again', 'a', job(), [pod(['Failed', 'Deleted'])], UNTIL],
    [
      'by a pod that took the place of another',
      'a',
      job({ type: 'Complete' }),
      [pod(['Failed']), pod(['Deleted'])],
      { state: 'Deleted' },
    ],
    [
      'that an earlier pod has made',
      'a',
      job({ type: 'Complete' }),
      [pod(['Deleted']), pod(['NotFound'])],
      { state: 'Deleted' },
    ],
    ['of what was gone', 'a', job({ type: 'Complete' }), [pod(['NotFound'])], { state: 'NotFound' }],
    [
      'of what is another’s',
      'c',
      job({ type: 'Complete' }),
      [pod(['Deleted', 'Deleted', 'OwnedByAnother'])],
      { state: 'OwnedByAnother' },
    ],
    [
      'whose result may still come',
      'a',
      job({ type: 'Complete', agoMs: 1_000 }),
      [],
      { state: 'Waiting', until: NOW + 9_000 },
    ],
    ['whose result is lost, of a Job that succeeded', 'a', job({ type: 'Complete' }), [], { state: 'Deleted' }],
    [
      'whose result is lost, of a Job that failed',
      'a',
      job({ type: 'Failed' }),
      [],
      { state: 'Failed', message: 'Why: too late' },
    ],
    [
      'that failed',
      'a',
      job({ type: 'Failed' }),
      [pod(['Failed', 'Deleted'], 'no room')],
      { state: 'Failed', message: 'no room' },
    ],
    [
      'that a Job did not come to, while it came to others',
      'b',
      job({ type: 'Failed' }),
      [pod(['Deleted'], 'stopped')],
      { state: 'Again' },
    ],
    [
      'that a Job did not come to, as to none',
      'b',
      job({ type: 'Failed' }),
      [pod(undefined, 'no volume')],
      { state: 'Failed', message: 'no volume' },
    ],
    ['by a finished Job for others', 'z', job({ type: 'Complete' }), [pod(['Deleted'])], { state: 'Again' }],
    ['by the pod of an earlier Job', 'a', job(), [pod(['Deleted'], undefined, 'earlier')], UNTIL],
  ])('%s', (_case, uid, found, pods, expected) => {
    expect(removalProgress(uid, found, pods, NOW)).toEqual(expected);
  });

  it('is read by the sessions of a finished Job, but not for ever, and not by those that need another', () => {
    const ended = job({ type: 'Failed', agoMs: 1_000 });
    const pods = [pod(['Deleted', 'Failed'])];
    expect(['a', 'b', 'c', 'z'].map((uid) => isStillRead(uid, ended, pods, NOW))).toEqual([true, true, false, false]);
    expect(isStillRead('a', ended, pods, NOW + MINUTE)).toBe(false);
    expect(isStillRead('a', job(), [], NOW)).toBe(false);
  });
});
