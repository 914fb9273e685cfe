import { describe, expect, it } from '@jest/globals';
import { decidePodFate } from '../../../src/resources/pod-fate.ts';
import type { Pod } from '../../../src/kube/types/builtins.ts';

const ENDED = { terminated: { exitCode: 137 } };
const RUNS = { running: {} };

interface Case {
  readonly phase?: string;
  readonly ready?: 'True' | 'False' | 'Unknown';
  readonly isDeleted?: boolean;
  readonly server?: object;
  readonly guard?: object;
  readonly isServerReady?: boolean;
  readonly hasStatuses?: boolean;
}

function podOf({
  phase = 'Running',
  ready = 'True',
  isDeleted = false,
  server = RUNS,
  guard = RUNS,
  isServerReady = true,
  hasStatuses = true,
}: Case): Pod {
  const container = (name: string, state: object, isReady: boolean) => ({
    name,
    image: 'i',
    imageID: '',
    restartCount: 0,
    ready: isReady,
    state,
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'acme-0-x',
      namespace: 'team',
      uid: 'u',
      ...(isDeleted && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: { nodeName: 'node-7', containers: [] },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready }],
      ...(hasStatuses && {
        initContainerStatuses: [container('guard', guard, true)],
        containerStatuses: [container('server', server, isServerReady)],
      }),
    },
  };
}

describe('a pod', () => {
  it.each<[what: string, pod: Case | undefined, reason: string, isGone: boolean]>([
    ['that the API server does not have', undefined, 'Deleted', true],
    [
      'all of whose containers have ended',
      { phase: 'Failed', ready: 'False', server: ENDED, guard: ENDED },
      'Ended',
      true,
    ],
    [
      'the same of one that succeeded',
      { phase: 'Succeeded', ready: 'False', server: ENDED, guard: ENDED },
      'Ended',
      true,
    ],
    // The garbage collector of pods sets the phase before it deletes one, and knows nothing of its containers.
    ['that is said to have failed while containers run', { phase: 'Failed', ready: 'False' }, 'NotReported', false],
    [
      'that has failed, of which a container runs',
      { phase: 'Failed', ready: 'False', guard: ENDED, isServerReady: false },
      'Running',
      false,
    ],
    [
      'that has failed, and nothing is said of its containers',
      { phase: 'Failed', ready: 'False', hasStatuses: false },
      'Running',
      false,
    ],
    [
      'whose container is to be started again',
      { ready: 'False', server: ENDED, isServerReady: false },
      'Running',
      false,
    ],
    [
      'whose containers have ended, and start again',
      { ready: 'False', server: ENDED, guard: ENDED, isServerReady: false },
      'Running',
      false,
    ],
    ['that is ready', {}, 'Running', false],
    ['of a node that is not heard of', { ready: 'False' }, 'NotReported', false],
    ['of which the condition is unknown', { ready: 'Unknown' }, 'NotReported', false],
    ['that is being deleted', { isDeleted: true }, 'Terminating', false],
    ['that is being deleted on a node that is not heard of', { isDeleted: true, ready: 'False' }, 'Terminating', false],
    ['that was never started', { phase: 'Pending', ready: 'False', hasStatuses: false }, 'Running', false],
  ])('%s', (_what, pod, reason, isGone) => {
    expect(decidePodFate('u', pod && podOf(pod))).toMatchObject({ reason, isGone });
  });

  const messageOf = (pod: Case): string => decidePodFate('u', podOf(pod)).message;

  it('that runs on a node that is heard of is to be deleted as usual, and never by force', () => {
    const message = messageOf({});
    expect(message).toContain('pod acme-0-x on node node-7');
    expect(message).toContain('kubectl delete pod acme-0-x -n team');
    expect(message).not.toMatch(/(?<!without )--force|out-of-service/);
  });

  it('that is being deleted is to be waited for, and by force only where its node is off', () => {
    const message = messageOf({ isDeleted: true });
    expect(message).toContain('wait');
    expect(message.indexOf('wait')).toBeLessThan(message.indexOf('only if node node-7 is off for good'));
  });

  it('of a node that is not heard of is named with it, and with what an administrator does', () => {
    const message = messageOf({ ready: 'False' });
    expect(message).toContain('pod acme-0-x on node node-7');
    expect(message).toContain('kubectl taint node node-7 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute');
    expect(message).toContain('kubectl delete pod acme-0-x -n team --grace-period=0 --force');
    expect(message).toContain('deleting the Node object says the same');
  });
});
