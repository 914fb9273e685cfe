/** Decides whether pods have to leave a node, and whether the eviction of servers is refused because the operator drains them itself. */
import type { Access } from '../../api/names.ts';
import type { CopilotTenantSpec } from '../../api/tenant.ts';
import type { Node } from '../../kube/types/builtins.ts';
import type { Departure, NodesView } from '../model.ts';

/** Of the pods of a tenant. */
export type Toleration = NonNullable<CopilotTenantSpec['server']['tolerations']>[number];

/** What `kubectl cordon` and `kubectl drain` set, as the taint that follows from it. */
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
/** Taints of what removes nodes: it sets one before it evicts the pods. */
const REMOVED: ReadonlySet<string> = new Set([
  UNSCHEDULABLE,
  'ToBeDeletedByClusterAutoscaler',
  'karpenter.sh/disrupted',
]);

/** With any other effect, a taint only has other nodes be preferred. */
const KEEPS_PODS_AWAY: ReadonlySet<string> = new Set(['NoSchedule', 'NoExecute']);

const CORDON = { key: UNSCHEDULABLE, effect: 'NoSchedule' };

/** Why a pod with these tolerations has to leave the node; undefined: it does not. */
export function nodeDeparture(
  { metadata: { name }, spec }: Node,
  tolerations: readonly Toleration[] = [],
): Departure | undefined {
  const isCordoned = spec?.unschedulable === true;
  const taints = (spec?.taints ?? []).filter(({ key, effect }) => REMOVED.has(key) && KEEPS_PODS_AWAY.has(effect));
  if (!isCordoned && taints.length === 0) return undefined;
  const all = isCordoned ? [CORDON, ...taints] : taints;
  const keys = taints.map(({ key }) => key).join(', ');
  return {
    message: isCordoned
      ? `Node ${name} is cordoned.`
      : `Node ${name} is being removed: it has the ${taints.length === 1 ? 'taint' : 'taints'} ${keys}.`,
    comesBack: all.every((taint) => isTolerated(taint, tolerations)),
  };
}

/** What it depends on whether evictions are refused. */
export interface EvictionInput {
  readonly access: Access;
  /** The gateway can be asked how far drains are. */
  readonly canDrain: boolean;
  readonly nodes: NodesView;
  /** `spec.drain.timeout`, in ms. */
  readonly timeoutMs: number;
  readonly tolerations: readonly Toleration[] | undefined;
  /** Of the PodDisruptionBudget that exists. */
  readonly current: number | string | undefined;
}

/** Whether evictions are refused. */
export interface EvictionDecision {
  readonly refused: boolean;
  readonly reason:
    | 'DrainedByOperator'
    | 'Direct'
    | 'CannotDrain'
    | 'NoTimeout'
    | 'NodesHidden'
    | 'Tolerated'
    | 'CannotMove'
    | 'NotKnown';
  readonly message: string;
}

/**
 * An eviction cuts running turns, and its caller tries again when it is refused: until the operator has drained the server and replaced its
 * pod. Nobody would do that where it does not see that a node is cordoned, so there evictions are allowed, one server at a time.
 */
export function evictionDecision(input: EvictionInput): EvictionDecision {
  const allow = (reason: EvictionDecision['reason'], message: string): EvictionDecision => ({
    refused: false,
    reason,
    message,
  });
  if (input.access === 'Direct') return allow('Direct', 'Its clients are connected to it directly.');
  if (!input.canDrain) return allow('CannotDrain', 'There is no gateway that can be asked for its turns.');
  if (input.timeoutMs === 0) return allow('NoTimeout', 'spec.drain.timeout is 0s.');
  if (input.nodes === 'Hidden') return allow('NodesHidden', 'The operator does not see which nodes are cordoned.');
  if (tolerates(input.tolerations)) return allow('Tolerated', 'Its pods run on cordoned nodes, too.');
  if (input.nodes === 'Unknown' && input.current !== undefined) {
    return { refused: input.current === 0, reason: 'NotKnown', message: 'The operator has not listed the nodes yet.' };
  }
  return {
    refused: true,
    reason: 'DrainedByOperator',
    message: 'The operator drains a server and replaces its pod when its node is cordoned.',
  };
}

/**
 * What holds while `stranded` has to leave its node and the operator does not replace its pod, for example because a Secret that it needs is
 * gone, or because the pod would come back: a node drain must not wait for somebody to repair a tenant.
 */
export function unlessStranded(decision: EvictionDecision, stranded: string | undefined): EvictionDecision {
  if (!decision.refused || stranded === undefined) return decision;
  const message = `Server ${stranded} has to leave its node, and the operator cannot move it.`;
  return { refused: false, reason: 'CannotMove', message };
}

/** Whether pods are scheduled to cordoned nodes: they would come back to the node that they leave. */
export function tolerates(tolerations: readonly Toleration[] = []): boolean {
  return isTolerated(CORDON, tolerations);
}

/** As the scheduler decides it. */
function isTolerated(
  taint: { readonly key: string; readonly value?: string | undefined; readonly effect: string },
  tolerations: readonly Toleration[],
): boolean {
  return tolerations.some(({ key, operator = 'Equal', value, effect }) => {
    if (effect !== undefined && effect !== taint.effect) return false;
    if ((key ?? '') === '') return operator === 'Exists';
    return key === taint.key && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''));
  });
}
