/**
 * Decides whether a pod with the labels of a server is the server's own. By its owners, up to the tenant: who creates a pod chooses its
 * labels, and the pod of a server is given the connection token.
 */
import { StalledReason } from '../../api/conditions.ts';
import { Label } from '../../api/names.ts';
import { Deployment, type Pod, ReplicaSet } from '../../kube/types/builtins.ts';
import { getControllerOf, isControlledBy, refersTo } from '../../kube/types/owner.ts';
import type { OwnerReference } from '../../kube/types/types.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { LookAlike, TenantCause } from '../model.ts';

/** What is read of a ReplicaSet. */
export interface ReplicaSetFacts {
  /** Undefined: it has none. */
  readonly controller: OwnerReference | undefined;
}

/** What the ownership of a pod is decided from. */
export interface OwnershipInput {
  readonly tenant: CopilotTenant;
  /** Name of the server, and so of its Deployment. */
  readonly server: string;
  readonly deployment: Deployment | undefined;
  readonly pod: Pod;
  /** The ReplicaSet that the pod names as its controller; undefined: there is none of that UID. */
  readonly replicaSet: ReplicaSetFacts | undefined;
  /** How many pods of that ReplicaSet are neither terminating nor ended. */
  readonly alive: number;
}

/**
 * `Own`: the server's pod. `Temporary`: the cluster's controllers are about to delete the pod, or to adopt it or its ReplicaSet.
 * `Foreign`: somebody else's.
 */
export interface Ownership {
  readonly reason: 'Own' | 'Temporary' | 'Foreign';
  readonly message: string;
}

/** Whose a pod is. */
export function podOwnership({ tenant, server, deployment, pod, replicaSet, alive }: OwnershipInput): Ownership {
  const controller = getControllerOf(pod);
  if (controller === undefined) return foreign('it has no controller');
  if (!refersTo(controller, ReplicaSet)) return foreign(`its controller is ${controller.kind} ${controller.name}`);
  // The garbage collector deletes what names an owner that does not exist.
  if (replicaSet === undefined) return temporary(`ReplicaSet ${controller.name} does not exist any more`);
  const owner = replicaSet.controller;
  if (owner === undefined) return temporary(`ReplicaSet ${controller.name} has no controller`);
  if (!refersTo(owner, Deployment) || owner.name !== server) {
    return foreign(`its ReplicaSet ${controller.name} belongs to ${owner.kind} ${owner.name}`);
  }
  if (owner.uid !== deployment?.metadata.uid) return temporary(`its Deployment ${server} was deleted`);
  // That is reported as a foreign object.
  if (!isControlledBy(deployment, tenant)) return temporary(`Deployment ${server} does not belong to the tenant`);
  // A pod's owner is its creator's to write, too. The ReplicaSet controller deletes one of them.
  if (alive > Math.max(1, deployment.spec?.replicas ?? 0)) {
    return temporary(`ReplicaSet ${controller.name} has ${alive} pods and should have one`);
  }
  return { reason: 'Own', message: `Deployment ${server} created it.` };
}

const foreign = (message: string): Ownership => ({ reason: 'Foreign', message });
const temporary = (message: string): Ownership => ({ reason: 'Temporary', message });

const MAX_NAMED = 3;

/** The cause if pods only look like those of `server`. Its own pod serves beside them. */
export function lookAlikeCause(
  tenant: string,
  server: string,
  lookAlikes: readonly LookAlike[],
): TenantCause | undefined {
  const reported = lookAlikes.filter(({ reason, isOverdue }) => reason === 'Foreign' || isOverdue === true);
  if (reported.length === 0) return undefined;
  const named = reported.slice(0, MAX_NAMED).map(({ pod, message }) => `Pod ${pod.metadata.name} (${message})`);
  const more = reported.length > MAX_NAMED ? [`${reported.length - MAX_NAMED} more`] : [];
  return {
    reason: StalledReason.LookAlikePod,
    message:
      `${[...named, ...more].join(', ')} carries the labels of server ${server} and is not its own. ` +
      `The operator does not connect to it, but Service ${server} may send clients to it, with the connection token. ` +
      `Delete the pod or remove its label ${Label.server}; then replace the token with kubectl delete secret ${childName(tenant, 'token')}.`,
    isBesideServers: true,
  };
}
