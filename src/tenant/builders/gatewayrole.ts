/** The Role of the gateway in a tenant's namespace, and its binding. */
import { Role, RoleBinding, Secret, ServiceAccount } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { GatewayFacts, OperatorFacts } from '../model.ts';
import { sharedMetadata } from './metadata.ts';

/**
 * By name: the gateway reads the Secret that it presents to the tenant's servers and the one with the login that it gives to sessions, if
 * it does, and no other of the namespace.
 */
export function gatewayRole(tenant: CopilotTenant, loginSecret?: string): Role {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(Role),
    kind: Role.kind,
    metadata: sharedMetadata(tenant, childName(name, 'gateway')),
    rules: [
      {
        apiGroups: [Secret.group],
        resources: [Secret.plural],
        resourceNames: [childName(name, 'token'), ...(loginSecret === undefined ? [] : [loginSecret])],
        verbs: ['get'],
      },
    ],
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
