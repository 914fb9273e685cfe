/** Resource types: group, version, plural and kind, and URL paths. */
import type { KubeObject } from './types.ts';

/** A resource type of the API; `T` is the type of its objects. */
export interface ResourceType<T extends KubeObject = KubeObject> {
  /** `''` for the core group. */
  readonly group: string;
  readonly version: string;
  /** Lower case, as in the URL. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set: it only carries `T`. */
  readonly _object?: T;
}

/** The target of a request. `namespace` is ignored for a cluster-scoped type; without it a list covers all namespaces. */
export interface PathOptions {
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: string | undefined;
}

/** Defines a resource type; `T` is the type of its objects. */
export function defineResource<T extends KubeObject>(r: Omit<ResourceType<T>, '_object'>): ResourceType<T> {
  return Object.freeze({ ...r });
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** URL path of a collection, an object or a subresource. Throws if the object of a namespaced type has no namespace. */
export function pathOf(type: ResourceType, { namespace, name, subresource }: PathOptions = {}): string {
  if (type.namespaced && name !== undefined && !namespace) {
    throw new Error(`${type.kind} "${name}" has no namespace, and the type is namespaced`);
  }
  let path = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  if (type.namespaced && namespace) path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${type.plural}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource !== undefined) path += `/${subresource}`;
  return path;
}
