/** Plays the garbage collector: deletes what only has owners that are gone. */
import type { Client } from '../../src/kube/client/client.ts';
import {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Secret,
  Service,
  ServiceAccount,
} from '../../src/kube/types/builtins.ts';
import { isConflict } from '../../src/kube/types/errors.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { nameOf, type KubeObject } from '../../src/kube/types/types.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';

/** The types of the resources of users, and those that an operator, or the cluster for it, creates objects of. */
export const FOLLOWED = [
  CopilotTenant,
  CopilotSession,
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Secret,
  Service,
  ServiceAccount,
] as readonly ResourceType[];

/** Everything in a namespace, asked of the API server. */
export async function everythingIn(client: Client, namespace: string): Promise<[ResourceType, KubeObject][]> {
  const lists = await Promise.all(
    FOLLOWED.map(async (type) => {
      const { items } = await client.listAll(type, { namespace });
      return items.map((object): [ResourceType, KubeObject] => [type, object]);
    }),
  );
  return lists.flat();
}

/** Deletes one generation of garbage. False: there was none. */
export async function collectGarbage(client: Client, objects: readonly [ResourceType, KubeObject][]): Promise<boolean> {
  const alive = new Set(objects.map(([, { metadata }]) => metadata.uid));
  const garbage = objects.filter(([, { metadata }]) => {
    const owners = metadata.ownerReferences ?? [];
    const orphaned = owners.length > 0 && owners.every(({ uid }) => !alive.has(uid));
    return orphaned && metadata.deletionTimestamp === undefined;
  });
  await Promise.all(
    garbage.map(async ([type, object]) => {
      const { uid = '' } = object.metadata;
      try {
        await ignoreNotFound(client.delete(type, nameOf(object), { uid, propagationPolicy: 'Background' }));
      } catch (error) {
        // Somebody else deleted it, and another one has its name.
        if (!isConflict(error)) throw error;
      }
    }),
  );
  return garbage.length > 0;
}

/** Deletes everything at once, whatever holds it: the namespace of a life that is over. */
export async function deleteAll(client: Client, objects: readonly [ResourceType, KubeObject][]): Promise<void> {
  await Promise.all(
    objects.map(async ([type, object]) => {
      const ref = nameOf(object);
      const { uid = '', finalizers = [] } = object.metadata;
      if (finalizers.length > 0) {
        const patch = { metadata: { uid, finalizers: null } };
        await ignoreNotFound(client.patch(type, ref, patch, { contentType: 'application/merge-patch+json' }));
      }
      await ignoreNotFound(client.delete(type, ref, { uid, gracePeriodSeconds: 0, propagationPolicy: 'Background' }));
    }),
  );
}
