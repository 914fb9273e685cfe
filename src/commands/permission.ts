/** What a permission in the lists of commands is made of: RBAC rules and pages are generated from them. */
import type { ResourceType } from '../kube/types/resource.ts';
import type { InternalView } from '../resources/gateway-internal.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

export interface Permission {
  readonly resource: ResourceType;
  readonly subresource?: 'status' | 'finalizers' | 'wakes' | InternalView;
  readonly verbs: readonly Verb[];
  /** Only objects of these names. RBAC does not support that for create, list and watch. */
  readonly resourceNames?: readonly string[];
  /** Becomes the comment above the rule. */
  readonly why: string;
}
