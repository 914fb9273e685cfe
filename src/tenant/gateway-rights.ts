/** Applies what the gateway may read of a tenant, or deletes it when clients connect directly. */
import { Role, RoleBinding } from '../kube/types/builtins.ts';
import { gatewayRole, gatewayRoleBinding } from './builders/gatewayrole.ts';
import type { ChildWriter } from './child-writer.ts';
import type { ClientAccess } from './client-access.ts';
import type { OperatorFacts, World } from './model.ts';

/** Without a gateway nothing is known of these objects, and nothing is done. */
export async function applyGatewayRights(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, gatewayRole: role, gatewayRoleBinding: binding }: World,
  { access, gateway }: ClientAccess,
): Promise<void> {
  if (access === 'Direct') {
    await writer.deleteOwn(RoleBinding, binding);
    await writer.deleteOwn(Role, role);
    return;
  }
  if (gateway === undefined) return;
  await writer.apply(Role, gatewayRole(tenant), role);
  await writer.apply(RoleBinding, gatewayRoleBinding(tenant, facts, gateway), binding);
}
