/** Finds out how clients reach a tenant, what they present there, and how their sessions get a login. */
import type { Access } from '../api/names.ts';
import type { KubeObject } from '../kube/types/types.ts';
import { accessDecision } from './decisions/access.ts';
import { isOwnOrOrphan } from './decisions/adoption.ts';
import { injectionDecision, type InjectionDecision } from './decisions/injection.ts';
import { bindingCredential, type CredentialDecision } from './decisions/binding-credential.ts';
import type { GatewayFacts, OperatorFacts, TenantCause, World } from './model.ts';

/** How clients reach a tenant. */
export interface ClientAccess {
  readonly access: Access;
  /** How their sessions get the login of the model. */
  readonly injection: InjectionDecision;
  /** Why clients cannot connect in this way. */
  readonly cause?: TenantCause | undefined;
  /** Where the gateway is; undefined with access Direct, or where none is installed. */
  readonly gateway?: GatewayFacts | undefined;
  /** What clients present to the gateway; undefined if there is none. */
  readonly credential?: CredentialDecision | undefined;
}

/** Decides the access and its credential from what was read. */
export function clientAccess(
  { tenant, bindingSecret, networkPolicy }: World,
  { gateway }: OperatorFacts,
  now: number,
  randomBytes: (size: number) => Buffer,
): ClientAccess {
  const own = <T extends KubeObject>(child: T | string | undefined): T | undefined =>
    typeof child === 'object' && isOwnOrOrphan(child, tenant) ? child : undefined;
  const binding = own(bindingSecret);
  const policy = own(networkPolicy);
  const { access, cause } = accessDecision({ tenant, binding, policy, hasGateway: gateway !== undefined });
  const injection = injectionDecision({ tenant, binding, access });
  if (access === 'Direct' || gateway === undefined) return { access, injection, cause };
  return { access, injection, gateway, credential: bindingCredential({ tenant, binding, now, randomBytes }) };
}
