/** Applies what the gateway may read of a tenant, or deletes it when clients connect directly. */
import { Role, RoleBinding } from '../kube/types/builtins.ts';
import { gatewayRole, gatewayRoleBinding } from './builders/gatewayrole.ts';
import type { ChildWriter } from './child-writer.ts';
import { injectedSecretRef } from './decisions/model-credential.ts';
import type { OperatorFacts, World } from './model.ts';
import type { Plan } from './plan.ts';

/** Without a gateway nothing is known of these objects, and nothing is done. */
export async function applyGatewayRights(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, tokenSecret, gatewayRole: role, gatewayRoleBinding: binding }: World,
  { clients: { access, gateway, injection }, model, token }: Pick<Plan, 'clients' | 'model' | 'token'>,
): Promise<void> {
  if (access === 'Direct') {
    await writer.deleteOwn(RoleBinding, binding);
    await writer.deleteOwn(Role, role);
    return;
  }
  if (gateway === undefined) return;
  const login = injectedSecretRef(tenant, injection, model)?.name;
  // A Secret of that name that is not the tenant's is none of the gateway's either. One that the operator can't read now may be.
  const hasToken = token !== undefined || tokenSecret === 'Forbidden';
  await writer.apply(Role, gatewayRole(tenant, { hasToken, login }), role);
  await writer.apply(RoleBinding, gatewayRoleBinding(tenant, facts, gateway), binding);
}
