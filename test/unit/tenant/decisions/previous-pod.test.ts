import { describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../../src/kube/types/builtins.ts';
import { previousPod, waitForPreviousPod } from '../../../../src/tenant/decisions/previous-pod.ts';
import { observeServer } from '../../../../src/tenant/observe.ts';
import { servingPod } from '../../../../src/tenant/pods.ts';
import { healthy, NOW, pod, rolledOutDeployment } from '../fixtures.ts';

const AT = '2026-01-02T03:04:00Z';
const running = pod();
const leaving = pod({}, { name: 'leaving', deletionTimestamp: AT });
const evicted = pod({ phase: 'Failed' }, { name: 'evicted' });
const heldBack = pod(
  {
    phase: 'Pending',
    conditions: [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
      },
    ],
    containerStatuses: [],
  },
  { name: 'held-back', creationTimestamp: AT },
);
const onNode = (given: Pod): Pod => ({ ...given, spec: { containers: [], nodeName: 'node1' } });

describe('a pod that waits for another pod of its server', () => {
  it.each<[string, Pod[], string | undefined]>([
    ['the deleted one', [leaving, heldBack], 'leaving'],
    ['none: the first serves', [running, heldBack], undefined],
    ['none: the other has ended', [evicted, heldBack], undefined],
    ['none: it is alone', [heldBack], undefined],
    ['none: it has a node', [leaving, onNode(heldBack)], undefined],
  ])('waits for %s', (_, pods, name) => {
    expect(previousPod({ pods })?.metadata.name).toBe(name);
  });

  it('is waited for, and is no cause in which the tenant has to act', () => {
    const server = { index: 0, deployment: rolledOutDeployment(), pods: [leaving, heldBack] };
    const seen = observeServer({ tenant: 'acme', server, running: true, health: healthy(), now: NOW });
    expect(seen).toMatchObject({ state: 'Pending', ready: false, cause: undefined });
    expect(waitForPreviousPod(server, 'acme-0')).toEqual({
      reason: 'ServersStarting',
      message: 'Server acme-0 waits until its previous pod leaving has stopped: only one pod may write to its volume.',
    });
  });

  it('does not take the place of one that serves', () => {
    expect(servingPod({ pods: [running, heldBack] })).toBe(running);
    const server = { index: 0, deployment: rolledOutDeployment(), pods: [running, heldBack] };
    const seen = observeServer({ tenant: 'acme', server, running: true, health: healthy(), now: NOW });
    expect(seen).toMatchObject({ state: 'Healthy', ready: true, cause: undefined });
  });

  it('is reported as what it is when it is alone', () => {
    const server = { index: 0, deployment: rolledOutDeployment(), pods: [heldBack] };
    const seen = observeServer({ tenant: 'acme', server, running: true, health: healthy(), now: NOW });
    expect(seen.cause?.reason).toBe('Unschedulable');
  });
});
