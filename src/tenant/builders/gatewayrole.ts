/** The Role of the gateway in a tenant's namespace, and its binding. */
import { Role, RoleBinding, Secret, ServiceAccount } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { GatewayFacts, OperatorFacts } from '../model.ts';
import { sharedMetadata } from './metadata.ts';

/** What the gateway may read. */
export interface ReadableSecrets {
  /** Whether the Secret with the connection token is the tenant's. */
  readonly hasToken: boolean;
  /** Name of the Secret with the login that the gateway gives to sessions; undefined: it gives none. */
  readonly login?: string | undefined;
}

/**
 * By name: the gateway reads the Secret that it presents to the tenant's servers and the one with the login that it gives to sessions, if
 * it does, and no other of the namespace.
 */
export function gatewayRole(tenant: CopilotTenant, { hasToken, login }: ReadableSecrets): Role {
  const { name } = tenant.metadata;
  const resourceNames = [...(hasToken ? [childName(name, 'token')] : []), ...(login === undefined ? [] : [login])];
  return {
    apiVersion: apiVersionOf(Role),
    kind: Role.kind,
    metadata: sharedMetadata(tenant, childName(name, 'gateway')),
    // A rule without names would be one for all Secrets.
    rules:
      resourceNames.length === 0
        ? []
        : [{ apiGroups: [Secret.group], resources: [Secret.plural], resourceNames, verbs: ['get'] }],
  };
}

/** Gives the Role to the gateway's ServiceAccount, in the operator's namespace. */
export function gatewayRoleBinding(
  tenant: CopilotTenant,
  { namespace }: Pick<OperatorFacts, 'namespace'>,
  { serviceAccount }: GatewayFacts,
): RoleBinding {
  const name = childName(tenant.metadata.name, 'gateway');
  return {
    apiVersion: apiVersionOf(RoleBinding),
    kind: RoleBinding.kind,
    metadata: sharedMetadata(tenant, name),
    roleRef: { apiGroup: Role.group, kind: Role.kind, name },
    subjects: [{ kind: ServiceAccount.kind, name: serviceAccount, namespace }],
  };
}
