/** Decides the connection token of a tenant, and whether it was rotated. */
import type { Secret } from '../../kube/types/builtins.ts';
import { tokenIn } from '../../resources/connection-token.ts';
import { childName } from '../../resources/names.ts';

/** Bytes of randomness in a connection token. */
export const TOKEN_BYTES = 32;

/** Where the token comes from; a `Created` token is unknown to running servers and to clients. */
export type TokenDecision = {
  readonly reason: 'Kept' | 'Created';
  readonly message: string;
  readonly token: string;
};

/**
 * The connection token. It is generated when its Secret does not exist or has no valid one, whatever the binding Secret has: who
 * deletes a leaked token must not get it back. A user may also write another well-formed token to the Secret.
 * Only a Secret that the tenant controls may be passed.
 */
export function connectionToken(secret: Secret | undefined, randomBytes: (size: number) => Buffer): TokenDecision {
  const kept = tokenIn(secret);
  if (kept !== undefined) return { reason: 'Kept', message: 'The token was read from its Secret.', token: kept };
  return {
    reason: 'Created',
    message: 'The token was generated.',
    token: randomBytes(TOKEN_BYTES).toString('base64url'),
  };
}

/** What a rotation is recognised from. */
export interface RotationInput {
  readonly tenant: string;
  readonly decision: TokenDecision;
  /** Clients have the token: they connect directly. */
  readonly isShared: boolean;
  /** The binding Secret, if the tenant controls it. */
  readonly binding: Secret | undefined;
  /** Hashes of the credentials in the live Deployments. */
  readonly current: readonly string[];
  /** Hash of the desired credentials; undefined: the model's cannot be used, and no server is replaced. */
  readonly desired: string | undefined;
}

/** A change of the token that servers or clients have to learn of. */
export interface TokenRotation {
  readonly reason: 'SecretDeleted' | 'SecretChanged';
  readonly message: string;
}

/** Undefined: the token is the one that servers and clients have, or there were none yet. */
export function tokenRotation({
  tenant,
  decision,
  isShared,
  binding,
  current,
  desired,
}: RotationInput): TokenRotation | undefined {
  const secret = `Secret ${childName(tenant, 'token')}`;
  const forClients = isShared
    ? `clients must read it again from Secret ${childName(tenant, 'binding')}`
    : 'clients, which connect through the gateway, need nothing new';
  const effect = `The servers are restarted with it, one at a time; ${forClients}.`;
  const bound = tokenIn(binding);
  if (decision.reason === 'Created') {
    if (bound === undefined && current.length === 0) return undefined;
    const message = `${secret} was deleted or had no valid token, so a new connection token was generated. ${effect}`;
    return { reason: 'SecretDeleted', message };
  }
  // A binding that somebody edited differs too, but no server has to be restarted for that.
  const isUnknown = bound !== undefined && bound !== decision.token && current.some((hash) => hash !== desired);
  if (!isUnknown || desired === undefined) return undefined;
  return { reason: 'SecretChanged', message: `${secret} was given another connection token. ${effect}` };
}
