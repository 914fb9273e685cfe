/** Decides how sessions get the login of a tenant's model: from the gateway, or from servers and clients. */
import type { Access, Injection } from '../../api/names.ts';
import type { Secret } from '../../kube/types/builtins.ts';
import { isInjecting } from '../../resources/binding.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';

/** The effective injection, and what it follows from. */
export interface InjectionDecision {
  readonly injection: Injection;
  readonly reason: 'Specified' | 'Direct' | 'Recorded' | 'Observed' | 'New';
  readonly message: string;
  /** Why sessions cannot get the login in this way, and what to do. */
  readonly problem?: string;
}

/** What the injection is decided from. */
export interface InjectionInput {
  readonly tenant: CopilotTenant;
  /** The binding Secret: the tenant's own, or one that it may take over. */
  readonly binding: Secret | undefined;
  readonly access: Access;
}

/** As with the access, an existing tenant stays as it is: the first that says something decides. Only a new one gets the default. */
export function injectionDecision({ tenant, binding, access }: InjectionInput): InjectionDecision {
  const { spec, status } = tenant;
  if (spec.model?.injection !== undefined) return specified(spec.model.injection, access);
  if (access === 'Direct') {
    return { injection: 'ServerEnv', reason: 'Direct', message: 'Clients do not come through the gateway.' };
  }
  if (status?.modelInjection !== undefined) {
    const message = 'It was decided when the tenant was created.';
    return { injection: status.modelInjection, reason: 'Recorded', message };
  }
  const message = 'It follows from what exists of the tenant.';
  if (binding !== undefined) {
    return { injection: isInjecting(binding) ? 'Gateway' : 'ServerEnv', reason: 'Observed', message };
  }
  // A status without the field was written by an operator that knew nothing else.
  if (status?.observedGeneration !== undefined) return { injection: 'ServerEnv', reason: 'Observed', message };
  return { injection: 'Gateway', reason: 'New', message: 'The tenant is new, and its clients use the gateway.' };
}

function specified(injection: Injection, access: Access): InjectionDecision {
  const decided = { injection, reason: 'Specified', message: 'spec.model.injection says so.' } as const;
  if (injection === 'ServerEnv' || access === 'Gateway') return decided;
  const problem =
    'spec.model.injection is Gateway, but the access of the tenant is Direct, so its sessions do not pass the gateway. ' +
    'Set spec.access to Gateway, or spec.model.injection to ServerEnv.';
  return { ...decided, problem };
}

/** The tenant as its pods are made of it: without the login that they do not get. */
export function tenantOfPods(tenant: CopilotTenant, { injection }: InjectionDecision): CopilotTenant {
  if (injection === 'ServerEnv' || tenant.spec.model === undefined) return tenant;
  const { model: _, ...spec } = tenant.spec;
  return { ...tenant, spec };
}
