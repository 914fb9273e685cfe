import { describe, expect, it } from '@jest/globals';
import type { Node } from '../../../../src/kube/types/builtins.ts';
import {
  evictionDecision,
  type EvictionInput,
  nodeDeparture,
  tolerates,
} from '../../../../src/tenant/decisions/node-drain.ts';
import { MINUTE } from '../fixtures.ts';

type Tolerations = Parameters<typeof tolerates>[0];

const node = (spec: NonNullable<Node['spec']>): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1' },
  spec,
});

const CLUSTER_AUTOSCALER = { key: 'ToBeDeletedByClusterAutoscaler', value: '1700000000', effect: 'NoSchedule' };
const KARPENTER = { key: 'karpenter.sh/disrupted', effect: 'NoSchedule' };

describe('the pods of a node', () => {
  it.each<[why: string, spec: NonNullable<Node['spec']>, message: string | undefined]>([
    ['may stay', {}, undefined],
    ['may stay on one that is cordoned no more', { unschedulable: false }, undefined],
    [
      'may stay on one with a taint of its own',
      { taints: [{ key: 'example.com/gpu', effect: 'NoSchedule' }] },
      undefined,
    ],
    [
      'may stay on one that only gets further pods last',
      { taints: [{ ...CLUSTER_AUTOSCALER, effect: 'PreferNoSchedule' }] },
      undefined,
    ],
    ['have to leave it when it is cordoned', { unschedulable: true }, 'Node n1 is cordoned.'],
    [
      'have to leave it when the cluster autoscaler removes it',
      { taints: [CLUSTER_AUTOSCALER] },
      'Node n1 is being removed: it has the taint ToBeDeletedByClusterAutoscaler.',
    ],
    [
      'have to leave it when Karpenter does',
      { taints: [{ key: 'example.com/gpu', effect: 'NoSchedule' }, KARPENTER] },
      'Node n1 is being removed: it has the taint karpenter.sh/disrupted.',
    ],
    [
      'have to leave it when all that is on it ends',
      { taints: [{ ...KARPENTER, effect: 'NoExecute' }] },
      'Node n1 is being removed: it has the taint karpenter.sh/disrupted.',
    ],
    [
      'have to leave it when both do',
      { taints: [CLUSTER_AUTOSCALER, KARPENTER] },
      'Node n1 is being removed: it has the taints ToBeDeletedByClusterAutoscaler, karpenter.sh/disrupted.',
    ],
  ])('%s', (_, spec, message) => {
    expect(nodeDeparture(node(spec))?.message).toBe(message);
  });

  it.each<[why: string, spec: NonNullable<Node['spec']>, tolerations: Tolerations, comesBack: boolean]>([
    ['without tolerations do not', { taints: [KARPENTER] }, undefined, false],
    ['that tolerate its taint do', { taints: [KARPENTER] }, [{ key: KARPENTER.key, operator: 'Exists' }], true],
    ['that tolerate it without a value do', { taints: [KARPENTER] }, [{ key: KARPENTER.key }], true],
    [
      'that tolerate another value do not',
      { taints: [CLUSTER_AUTOSCALER] },
      [{ key: CLUSTER_AUTOSCALER.key, operator: 'Equal', value: '1' }],
      false,
    ],
    [
      'that tolerate another effect do not',
      { taints: [KARPENTER] },
      [{ key: KARPENTER.key, operator: 'Exists', effect: 'NoExecute' }],
      false,
    ],
    [
      'that tolerate one of its taints do not',
      { taints: [KARPENTER, CLUSTER_AUTOSCALER] },
      [{ key: KARPENTER.key, operator: 'Exists' }],
      false,
    ],
    [
      'that tolerate its taint, and not that it is cordoned, do not',
      { unschedulable: true, taints: [KARPENTER] },
      [{ key: KARPENTER.key, operator: 'Exists' }],
      false,
    ],
    ['that tolerate everything do', { unschedulable: true, taints: [KARPENTER] }, [{ operator: 'Exists' }], true],
  ])('%s come back when they are replaced', (_, spec, tolerations, comesBack) => {
    expect(nodeDeparture(node(spec), tolerations)?.comesBack).toBe(comesBack);
  });
});

describe('the eviction of a server', () => {
  const input: EvictionInput = {
    access: 'Gateway',
    canDrain: true,
    nodes: 'Seen',
    timeoutMs: 5 * MINUTE,
    tolerations: undefined,
    current: 1,
  };

  it.each<[when: string, change: Partial<EvictionInput>, outcome: string]>([
    ['is refused, because the operator drains it', {}, 'true DrainedByOperator'],
    ['is allowed where clients connect directly', { access: 'Direct' }, 'false Direct'],
    ['is allowed where no gateway can be asked', { canDrain: false }, 'false CannotDrain'],
    ['is allowed with a timeout of 0s', { timeoutMs: 0 }, 'false NoTimeout'],
    [
      'is allowed where the operator sees no nodes: nobody else would replace the pod',
      { nodes: 'Hidden' },
      'false NodesHidden',
    ],
    [
      'is allowed where the pod would come back to its node',
      { tolerations: [{ operator: 'Exists' }] },
      'false Tolerated',
    ],
    ['stays allowed until nodes are listed', { nodes: 'Unknown' }, 'false NotKnown'],
    ['stays refused until nodes are listed', { nodes: 'Unknown', current: 0 }, 'true NotKnown'],
    [
      'is refused from the first on of a new tenant',
      { nodes: 'Unknown', current: undefined },
      'true DrainedByOperator',
    ],
  ])('%s', (_, change, outcome) => {
    const { refused, reason } = evictionDecision({ ...input, ...change });
    expect(`${refused} ${reason}`).toBe(outcome);
  });
});

it.each<[does: boolean, tolerations: Tolerations]>([
  [false, undefined],
  [false, []],
  [false, [{ key: 'example.com/gpu', operator: 'Exists' }]],
  [false, [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoExecute' }]],
  [true, [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }]],
  [true, [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' }]],
  [true, [{ operator: 'Exists' }]],
  [false, [{ key: 'node.kubernetes.io/unschedulable', value: 'yes' }]],
])('%s: pods with these tolerations are scheduled to cordoned nodes', (does, tolerations) => {
  expect(tolerates(tolerations)).toBe(does);
});
