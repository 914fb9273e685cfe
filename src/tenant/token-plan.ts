/** Which connection token the servers and clients of a tenant have, and what is wrong with the Secret that has it. */
import { StalledReason } from '../api/conditions.ts';
import type { Secret } from '../kube/types/builtins.ts';
import { ForeignObjectError, isControlledBy } from '../kube/types/owner.ts';
import { childName, isOfPreviousTenant } from '../resources/names.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import {
  connectionToken,
  type TokenDecision,
  tokenRotation,
  type TokenRotation,
} from './decisions/connection-token.ts';
import { waitForPreviousTenant } from './decisions/previous-tenant.ts';
import { credentialsOf } from './deployments.ts';
import type { SecretRead, TenantCause, Wait, World } from './model.ts';
import { orphanedToken } from './orphaned-token.ts';

/** The token, or why there is none. */
export interface TokenFound {
  readonly decision?: TokenDecision;
  readonly cause?: TenantCause;
  readonly wait?: Wait;
}

/** `hashOf`: the digest of a token and of the credentials of the pods, by which an orphaned one is verified. */
export function tokenOf(
  world: World,
  hashOf: (token: string) => string | undefined,
  randomBytes: (size: number) => Buffer,
): TokenFound {
  const { tenant, tokenSecret } = world;
  const name = childName(tenant.metadata.name, 'token');
  if (tokenSecret === 'Forbidden') {
    return {
      cause: {
        reason: StalledReason.Forbidden,
        message: `The operator is not allowed to read Secret ${name}: it lacks the verb get on secrets. Compare its RBAC rules with those of the chart.`,
      },
    };
  }
  if (tokenSecret !== 'NotFound' && isOfPreviousTenant(tokenSecret, tenant)) {
    return { wait: waitForPreviousTenant(tokenSecret) };
  }
  if (tokenSecret !== 'NotFound' && !isControlledBy(tokenSecret, tenant)) {
    const adoption = orphanedToken(world, tokenSecret, hashOf);
    // The model's cause says what to do until the token can be verified.
    if (adoption?.action === 'wait') return {};
    if (adoption?.action !== 'adopt') {
      const message = adoption?.message ?? `${new ForeignObjectError(tokenSecret, tokenSecret).message}.`;
      return { cause: { reason: StalledReason.ForeignObject, message } };
    }
  }
  return { decision: connectionToken(typeof tokenSecret === 'object' ? tokenSecret : undefined, randomBytes) };
}

/** How far the change to another token is; undefined: there is none. */
export function rotationOf(
  { tenant, bindingSecret, servers }: World,
  decision: TokenDecision,
  desired: string | undefined,
  isShared: boolean,
): TokenRotation | undefined {
  const current = [...servers.values()].flatMap(({ deployment }) => credentialsOf(deployment) ?? []);
  const binding = ownSecret(bindingSecret, tenant);
  return tokenRotation({ tenant: tenant.metadata.name, decision, isShared, binding, current, desired });
}

const ownSecret = (secret: SecretRead, tenant: CopilotTenant): Secret | undefined =>
  typeof secret === 'object' && isControlledBy(secret, tenant) ? secret : undefined;
