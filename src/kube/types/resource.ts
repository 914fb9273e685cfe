/** Resource types: group, version, plural and kind, and the URL paths made of them. */
import type { KubeObject } from './types.ts';

/** What the core must know of a resource to talk about it; `T` ties it to the type of its objects. */
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

/** Where in the API a request goes. `namespace` is ignored for a cluster-scoped type; without it a list spans all. */
export interface PathOptions {
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: string | undefined;
}

export function defineResource<T extends KubeObject>(r: Omit<ResourceType<T>, '_object'>): ResourceType<T> {
  return Object.freeze({ ...r });
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** URL path of a collection, an object or a subresource. Throws when an object of a namespaced type has no namespace. */
export function pathOf(type: ResourceType, { namespace, name, subresource }: PathOptions = {}): string {
  if (type.namespaced && name !== undefined && !namespace) {
    throw new Error(`${type.kind} "${name}" is namespaced: its namespace is missing`);
  }
  let path = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  if (type.namespaced && namespace) path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${type.plural}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource !== undefined) path += `/${subresource}`;
  return path;
}
