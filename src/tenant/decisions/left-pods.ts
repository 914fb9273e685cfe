/** Decides what happens to the pods of a server whose Deployment is gone. */
import { StalledReason } from '../../api/conditions.ts';
import type { Deployment, Pod, ReplicaSet } from '../../kube/types/builtins.ts';
import { getControllerOf } from '../../kube/types/owner.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Deployment as DeploymentType } from '../../kube/types/builtins.ts';
import type { TenantCause } from '../model.ts';
import { hasEnded } from '../pods.ts';

/** What the decision is made from. */
export interface LeftPodsInput {
  readonly pods: readonly Pod[];
  /** The live ReplicaSets that control them. */
  readonly replicaSets: readonly ReplicaSet[];
  /** What the selector of the server's Deployment matches. */
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * `start`: no pod is left. `adopt`: a new Deployment takes over the ReplicaSet, and with it the running pod. `wait`: they are being
 * deleted. `refuse`: nothing will ever stop a pod.
 */
export type LeftPods =
  | { readonly action: 'start'; readonly reason: 'NoPods' }
  | { readonly action: 'adopt'; readonly reason: 'ReplicaSetOrphaned'; readonly replicaSet: ReplicaSet }
  | { readonly action: 'wait'; readonly reason: 'PodsStopping'; readonly pod: string }
  | { readonly action: 'refuse'; readonly reason: 'PodWithoutController'; readonly cause: TenantCause };

/**
 * After an ordinary deletion the ReplicaSet names the deleted Deployment until it is garbage-collected, and a new Deployment would start a
 * second pod on the volume. After one with --cascade=orphan it has no controller: the Deployment controller then gives it to a new
 * Deployment whose selector matches, and even with another template its pod is stopped before the next one starts (Recreate).
 */
export function leftPods({ pods, replicaSets, labels }: LeftPodsInput): LeftPods {
  const left = pods.filter((pod) => !hasEnded(pod));
  const adopted: ReplicaSet[] = [];
  for (const pod of left) {
    const controller = getControllerOf(pod);
    const { name, deletionTimestamp } = pod.metadata;
    if (controller === undefined && deletionTimestamp === undefined) {
      return { action: 'refuse', reason: 'PodWithoutController', cause: podWithoutController(name) };
    }
    const replicaSet = replicaSets.find(({ metadata }) => metadata.uid === controller?.uid);
    if (replicaSet === undefined || !isAdoptable(replicaSet, labels)) {
      return { action: 'wait', reason: 'PodsStopping', pod: name };
    }
    adopted.push(replicaSet);
  }
  const newest = adopted.toSorted((a, b) => age(a).localeCompare(age(b))).at(-1);
  return newest === undefined
    ? { action: 'start', reason: 'NoPods' }
    : { action: 'adopt', reason: 'ReplicaSetOrphaned', replicaSet: newest };
}

const age = ({ metadata }: ReplicaSet): string => metadata.creationTimestamp ?? '';

function isAdoptable(replicaSet: ReplicaSet, labels: Readonly<Record<string, string>>): boolean {
  const { metadata } = replicaSet;
  return (
    getControllerOf(replicaSet) === undefined &&
    metadata.deletionTimestamp === undefined &&
    Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value)
  );
}

function podWithoutController(pod: string): TenantCause {
  return {
    reason: StalledReason.ForeignObject,
    message: `Pod ${pod} has the labels of a server and no controller, so nothing stops it, and only one pod may write to the volume. Run kubectl delete pod ${pod}.`,
  };
}

/**
 * The deleted Deployment, as far as its ReplicaSet shows it: the Deployment controller copies the annotations to it. So the new one has
 * the same template, and the pod keeps running.
 */
export function deletedDeployment({ metadata, spec }: ReplicaSet): Deployment {
  const { name, namespace, annotations, labels } = metadata;
  return {
    apiVersion: apiVersionOf(DeploymentType),
    kind: DeploymentType.kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(annotations && { annotations }),
      ...(labels && { labels }),
    },
    spec: { replicas: spec?.replicas ?? 0, selector: spec?.selector ?? {}, template: spec?.template ?? {} },
  };
}
