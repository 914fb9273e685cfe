/** Decides how clients reach a tenant: through the gateway, or by direct connections to its servers. */
import { StalledReason } from '../../api/conditions.ts';
import { type Access, Label } from '../../api/names.ts';
import type { NetworkPolicy, Secret } from '../../kube/types/builtins.ts';
import { credentialIn } from '../../resources/binding.ts';
import { tokenText } from '../../resources/connection-token.ts';
import { isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import type { TenantCause } from '../model.ts';

/** The effective access, and what it follows from. */
export interface AccessDecision {
  readonly access: Access;
  readonly reason: 'Specified' | 'Isolated' | 'SharedStorage' | 'Recorded' | 'Observed' | 'New';
  readonly message: string;
  /** Why clients cannot connect in this way. */
  readonly cause?: TenantCause;
}

/** What the access is decided from. */
export interface AccessInput {
  readonly tenant: CopilotTenant;
  /** The binding Secret: the tenant's own, or one that it may take over. */
  readonly binding: Secret | undefined;
  /** The NetworkPolicy of the servers, in the same way. */
  readonly policy: NetworkPolicy | undefined;
  /** A gateway is installed. */
  readonly hasGateway: boolean;
}

/**
 * The first that says something decides: the spec, its isolation, the status, what exists. So an existing tenant stays as it is when a gateway is
 * installed or removed, also where its status was lost with a backup. Only a new one gets the default.
 */
export function accessDecision(input: AccessInput): AccessDecision {
  const found = effectiveAccess(input);
  return found.access === 'Direct' || input.hasGateway ? found : { ...found, cause: notInstalled(found) };
}

function effectiveAccess({ tenant, binding, policy, hasGateway }: AccessInput): AccessDecision {
  const { spec, status } = tenant;
  if (spec.access !== undefined) return { access: spec.access, reason: 'Specified', message: 'spec.access says so.' };
  // Not `!== 'Dedicated'`: it is absent while the CRDs are those of an older version.
  if (spec.isolation === 'Shared' || spec.isolation === 'SharedTrusted') {
    return {
      access: 'Gateway',
      reason: 'Isolated',
      message: 'spec.isolation needs the gateway, which keeps users apart.',
    };
  }
  if (isSharedStorage(tenant)) {
    return {
      access: 'Gateway',
      reason: 'SharedStorage',
      message: 'spec.topology needs the gateway, which decides which server may write a session.',
    };
  }
  if (status?.access !== undefined) {
    return { access: status.access, reason: 'Recorded', message: 'It was decided when the tenant was created.' };
  }
  const observed = observedAccess(tenant, binding, policy);
  if (observed !== undefined) {
    return { access: observed, reason: 'Observed', message: 'It follows from what exists of the tenant.' };
  }
  return hasGateway
    ? { access: 'Gateway', reason: 'New', message: 'The tenant is new, and a gateway is installed.' }
    : { access: 'Direct', reason: 'New', message: 'The tenant is new, and no gateway is installed.' };
}

/**
 * Undefined: nothing exists yet. The policy is written before any server. A status without the field was written by an operator that
 * knew no gateway.
 */
function observedAccess(
  tenant: CopilotTenant,
  binding: Secret | undefined,
  policy: NetworkPolicy | undefined,
): Access | undefined {
  if (binding !== undefined) return credentialIn(tokenText(binding), tenant) === undefined ? 'Direct' : 'Gateway';
  if (tenant.status?.observedGeneration !== undefined) return 'Direct';
  if (policy === undefined) return undefined;
  const peers = (policy.spec?.ingress ?? []).flatMap(({ from = [] }) => from);
  const letsClientsIn = peers.some(({ podSelector }) => podSelector?.matchLabels?.[Label.client] !== undefined);
  return letsClientsIn ? 'Direct' : 'Gateway';
}

function notInstalled({ reason }: AccessDecision): TenantCause {
  if (reason === 'Isolated') {
    return {
      reason: StalledReason.GatewayNotInstalled,
      message:
        "spec.isolation is not Dedicated, which needs a gateway, and none is installed, so clients cannot connect: set gateway.enabled of the operator's chart (--gateway-address), or spec.isolation to Dedicated.",
    };
  }
  if (reason === 'SharedStorage') {
    return {
      reason: StalledReason.GatewayNotInstalled,
      message:
        "spec.topology is SharedStorage, which needs a gateway, and none is installed, so no server is started: set gateway.enabled of the operator's chart (--gateway-address).",
    };
  }
  const field = reason === 'Specified' ? 'spec.access is' : 'spec.access is not set, and the access of the tenant is';
  return {
    reason: StalledReason.GatewayNotInstalled,
    message: `${field} Gateway, but no gateway is installed, so clients cannot connect: set gateway.enabled of the operator's chart (--gateway-address), or spec.access to Direct.`,
  };
}
