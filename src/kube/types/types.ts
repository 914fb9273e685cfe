/** The parts of a Kubernetes object that the core itself reads. Everything is raw JSON, as it is on the wire. */

/** A reference from a child to its owner. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  /** True for the one owner that manages the child. */
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Which manager set which fields, as server-side apply records it. */
export interface ManagedFieldsEntry {
  manager?: string;
  operation?: 'Apply' | 'Update';
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: Record<string, unknown>;
  subresource?: string;
}

/** metav1.ObjectMeta. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  /** Opaque: compare for equality only. */
  resourceVersion?: string;
  generation?: number;
  /** RFC 3339, seconds. */
  creationTimestamp?: string;
  /** Set once deletion was requested; the object is gone when its finalizers are removed. */
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

/** What every object of the API has. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** One entry of `status.conditions`, with the rules of metav1.Condition. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  /** CamelCase, from a fixed documented set. */
  reason: string;
  message: string;
  observedGeneration?: number;
  /** RFC 3339; changes only with `status`. */
  lastTransitionTime: string;
}

/** Name and namespace of an object; `namespace` is `''` for a cluster-scoped one. */
export interface NamespacedName {
  namespace: string;
  name: string;
}

/** A page or the whole of a LIST. */
export interface ObjectList<T extends KubeObject> {
  /** A watch from here misses nothing after this list. */
  resourceVersion: string;
  /** Token of the next page; absent on the last one. */
  continue?: string;
  items: T[];
}

/** One line of a watch. A BOOKMARK has only a resourceVersion (and perhaps the end-of-list annotation). */
export type WatchEvent<T extends KubeObject> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: { metadata: { resourceVersion: string; annotations?: Record<string, string> } } }
  | { type: 'ERROR'; object: Status };

/** The API server's error body. */
export interface Status {
  kind: 'Status';
  code?: number;
  reason?: string;
  message?: string;
  details?: StatusDetails;
}

/** metav1.StatusDetails. */
export interface StatusDetails {
  name?: string;
  kind?: string;
  group?: string;
  uid?: string;
  retryAfterSeconds?: number;
  causes?: { reason?: string; message?: string; field?: string }[];
}

// client-node renames keys that are reserved words; the API does not.
type WireKey<K> = K extends `_${infer Plain}` ? Plain : K;

/**
 * A model type of client-node as the API sends it: dates are strings, `_from` is `from`.
 * client-node's serializer is not used: it drops every field it does not know (docs/adr/0001-own-controller-core.md).
 */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [K in keyof T as WireKey<K>]: Wire<T[K]> }
      : T;

/** The key of an object in stores and queues: `namespace/name`, or `/name` if cluster-scoped. */
export function keyOf(of: KubeObject | NamespacedName): string {
  if ('metadata' in of) return `${of.metadata.namespace ?? ''}/${of.metadata.name}`;
  return `${of.namespace}/${of.name}`;
}

/** The inverse of `keyOf`. */
export function fromKey(key: string): NamespacedName {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, Math.max(slash, 0)), name: key.slice(slash + 1) };
}

/** Name and namespace of the object. */
export function nameOf(object: KubeObject): NamespacedName {
  return { namespace: object.metadata.namespace ?? '', name: object.metadata.name };
}
