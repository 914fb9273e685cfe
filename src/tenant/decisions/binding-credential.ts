/** Decides the credential that a tenant's clients present to the gateway, and which ones are valid. */
import type { BindingCredential } from '../../api/tenant.ts';
import type { Secret } from '../../kube/types/builtins.ts';
import { isControlledBy } from '../../kube/types/owner.ts';
import { timestamp } from '../../kube/types/time.ts';
import { bindingToken, credentialHash, credentialIn, newCredential } from '../../resources/binding.ts';
import { tokenText } from '../../resources/connection-token.ts';
import { childName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';

/**
 * How long the former credential stays valid after a rotation, in ms: enough for a roll-out of the applications. Who wants to end it at
 * once rotates twice.
 */
export const RETIRE_AFTER_MS = 60 * 60_000;

/** The credential and where it comes from. Only a `Kept` one is known to clients. */
export interface CredentialDecision {
  readonly reason: 'Kept' | 'Created' | 'Changed';
  readonly message: string;
  /** What clients present. */
  readonly token: string;
  /** What is valid once the Secret has the token, the newest first. */
  readonly valid: readonly BindingCredential[];
  /** When the former credential is retired, in ms. */
  readonly dueInMs?: number | undefined;
}

/** What the credential is decided from. */
export interface CredentialInput {
  readonly tenant: CopilotTenant;
  /** The binding Secret: the tenant's own, or one that it may take over. */
  readonly binding: Secret | undefined;
  /** Wall clock, ms. */
  readonly now: number;
  readonly randomBytes: (size: number) => Buffer;
}

/**
 * The credential in the binding Secret, or a new one where the Secret was deleted or has none: that is how it is rotated. A user may also
 * write another well-formed token to the Secret.
 */
export function bindingCredential({ tenant, binding, now, randomBytes }: CredentialInput): CredentialDecision {
  const recorded = tenant.status?.binding?.credentials ?? [];
  const found = binding === undefined ? undefined : trustedCredential(tenant, binding, recorded);
  const credential = found ?? newCredential(randomBytes);
  const sha256 = credentialHash(credential);
  const [newest] = recorded;
  const isKnown = newest === undefined || newest.sha256 === sha256;
  const current = newest?.sha256 === sha256 ? newest : { sha256, since: timestamp(now) };
  const former = recorded.find((other) => other.sha256 !== sha256);
  const retiresInMs = Date.parse(current.since) + RETIRE_AFTER_MS - now;
  const isFormerValid = former !== undefined && retiresInMs > 0;
  return {
    ...origin(tenant, found === undefined ? 'Created' : isKnown ? 'Kept' : 'Changed'),
    token: bindingToken(tenant, credential),
    valid: isFormerValid ? [current, former] : [current],
    ...(isFormerValid && { dueInMs: retiresInMs }),
  };
}

// Labels and mark of an orphan are no proof: whoever copied it, or made it up, would have a credential of this tenant.
function trustedCredential(
  tenant: CopilotTenant,
  binding: Secret,
  recorded: readonly BindingCredential[],
): string | undefined {
  const found = credentialIn(tokenText(binding), tenant);
  if (found === undefined || isControlledBy(binding, tenant)) return found;
  const sha256 = credentialHash(found);
  return recorded.some((credential) => credential.sha256 === sha256) ? found : undefined;
}

function origin(
  { metadata: { name } }: CopilotTenant,
  reason: CredentialDecision['reason'],
): Pick<CredentialDecision, 'reason' | 'message'> {
  const secret = `Secret ${childName(name, 'binding')}`;
  if (reason === 'Kept') return { reason, message: `The credential was read from ${secret}.` };
  const why =
    reason === 'Created'
      ? `${secret} was deleted or had no valid token, so a new credential was generated.`
      : `${secret} was given another token.`;
  const effect =
    'Clients must read it again within an hour: the former one is valid until then, unless the Secret is deleted again.';
  return { reason, message: `${why} ${effect}` };
}
