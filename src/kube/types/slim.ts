/** The metadata that caches keep of objects: what identifies them, and when they were created and deleted. */
import type { ObjectMeta, OwnerReference } from './types.ts';

type SlimMetadata = Pick<
  ObjectMeta,
  'name' | 'namespace' | 'uid' | 'resourceVersion' | 'creationTimestamp' | 'deletionTimestamp'
>;

/** Only this of the metadata; what is absent stays absent. */
export function slimMetadata({
  name,
  namespace,
  uid,
  resourceVersion,
  creationTimestamp,
  deletionTimestamp,
}: ObjectMeta): SlimMetadata {
  return {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(uid !== undefined && { uid }),
    ...(resourceVersion !== undefined && { resourceVersion }),
    ...(creationTimestamp !== undefined && { creationTimestamp }),
    ...(deletionTimestamp !== undefined && { deletionTimestamp }),
  };
}

/** The reference to a controller, as far as it is compared. */
export function slimController({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return { apiVersion, kind, name, uid, controller: true };
}
