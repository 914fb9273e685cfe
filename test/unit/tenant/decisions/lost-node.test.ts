import { describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../../src/kube/types/builtins.ts';
import { lostNodeCause } from '../../../../src/tenant/decisions/lost-node.ts';
import { slimPod } from '../../../../src/tenant/transforms.ts';
import { MINUTE, NOW, pod } from '../fixtures.ts';

type Status = Parameters<typeof pod>[0];

const onNode = (status: Status = {}, deletedMsAgo?: number): Pod => ({
  ...pod(status, deletedMsAgo === undefined ? {} : { deletionTimestamp: new Date(NOW - deletedMsAgo).toISOString() }),
  spec: { containers: [], nodeName: 'node-1' },
});
const ready = (status: string, reason?: string): Status => ({
  conditions: [
    { type: 'ContainersReady', status: 'True' },
    { type: 'Ready', status, ...(reason !== undefined && { reason }) },
  ],
});

describe('a pod whose node does not respond', () => {
  it.each([
    [
      'was set to not ready by the node controller, which gives no reason',
      onNode(ready('False')),
      'node node-1 of pod acme-0-5d8f7-x2v9k does not respond',
    ],
    [
      'was evicted from it and cannot stop',
      onNode(ready('False'), 0),
      'node node-1 of pod acme-0-5d8f7-x2v9k does not respond',
    ],
    [
      'exists long after it was deleted',
      onNode({}, MINUTE + 1000),
      'pod acme-0-5d8f7-x2v9k on node node-1 was deleted but does not stop',
    ],
  ])('is reported with pod, node and remedy: it %s', (_, lost, problem) => {
    const cause = lostNodeCause([slimPod(lost)], 'acme-0', NOW);
    expect(cause?.reason).toBe('NodeLost');
    expect(cause?.message).toContain(problem);
    expect(cause?.message).toContain(
      'kubectl taint nodes node-1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute',
    );
    expect(cause?.message).toContain('kubectl delete pod acme-0-5d8f7-x2v9k --force');
  });

  it.each([
    ['is ready', onNode(ready('True'))],
    ['has a readiness gate that nothing sets', onNode(ready('False', 'ReadinessGatesNotReady'))],
    ['starts', onNode({ conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }] })],
    ['is stopping', onNode({}, MINUTE - 1000)],
    ['has failed', onNode({ ...ready('False'), phase: 'Failed' })],
    ['is terminating without a node', pod({}, { deletionTimestamp: '2026-01-02T00:00:00Z' })],
  ])('is not one that %s', (_, fine) => {
    expect(lostNodeCause([fine], 'acme-0', NOW)).toBeUndefined();
  });
});
