/** Applies what the gateway may read of a tenant, or deletes it when clients connect directly. */
import { Role, RoleBinding } from '../kube/types/builtins.ts';
import { gatewayRole, gatewayRoleBinding } from './builders/gatewayrole.ts';
import type { ChildWriter } from './child-writer.ts';
import { modelSecretRef } from './decisions/model-credential.ts';
import type { OperatorFacts, World } from './model.ts';
import type { Plan } from './plan.ts';

/** Without a gateway nothing is known of these objects, and nothing is done. */
export async function applyGatewayRights(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, gatewayRole: role, gatewayRoleBinding: binding }: World,
  { clients: { access, gateway, injection }, model }: Pick<Plan, 'clients' | 'model'>,
): Promise<void> {
  if (access === 'Direct') {
    await writer.deleteOwn(RoleBinding, binding);
    await writer.deleteOwn(Role, role);
    return;
  }
  if (gateway === undefined) return;
  // Not while it must not be used: the operator alone knows which label it needs.
  const login = injection.injection === 'Gateway' && model.ok ? modelSecretRef(tenant)?.name : undefined;
  await writer.apply(Role, gatewayRole(tenant, login), role);
  await writer.apply(RoleBinding, gatewayRoleBinding(tenant, facts, gateway), binding);
}
