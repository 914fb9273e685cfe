/** From the claims of a verified token to a user, by the rules of kube-apiserver. */
import { expiryOf } from '../jwt.ts';
import { userProblem } from '../token.ts';
import type { KubeUser, Unauthenticated } from '../user.ts';
import { SYSTEM_PREFIX, type ClaimMapping, type IssuerConfig } from './config.ts';

/** What a token says, after its signature was verified. */
export type Claims = Readonly<Record<string, unknown>>;

/** The user of a token, or why it is nobody's. */
export function userOf(
  claims: Claims,
  { username, groups, rules }: Pick<IssuerConfig, 'username' | 'groups' | 'rules'>,
): KubeUser | Unauthenticated {
  const unmet = rules.find(({ claim, requiredValue }) => valueOf(claims, claim) !== requiredValue);
  if (unmet !== undefined) {
    return { problem: `the claim ${unmet.claim} of the OIDC token is not as claimValidationRules require` };
  }
  const name = nameOf(claims, username);
  if (typeof name !== 'string') return name;
  const named = groups === undefined ? [] : groupsOf(claims, groups);
  if ('problem' in named) return named;
  // Without system:authenticated: the API server adds it to whom it has authenticated itself.
  return { name, uid: undefined, groups: named, extra: {}, expiresAt: expiryOf(claims) };
}

function nameOf(claims: Claims, { claim, prefix }: ClaimMapping): string | Unauthenticated {
  const value = valueOf(claims, claim);
  if (typeof value !== 'string' || value === '') {
    return { problem: `the claim ${claim} of the OIDC token, which is to be the user, is missing or no text` };
  }
  // Whoever may enter any address at an issuer could take somebody's name. An issuer without the claim verifies all, and `null` is no verdict.
  const verified = valueOf(claims, 'email_verified');
  if (claim === 'email' && verified !== undefined && verified !== true) {
    return { problem: 'the claim email_verified of the OIDC token is not true' };
  }
  const name = `${prefix}${value}`;
  const problem = userProblem(name);
  if (problem !== undefined) return { problem: `the user of the OIDC token ${problem}` };
  return name.startsWith(SYSTEM_PREFIX) ? { problem: systemName('user', 'username') } : name;
}

function groupsOf(claims: Claims, { claim, prefix }: ClaimMapping): readonly string[] | Unauthenticated {
  const value = valueOf(claims, claim) ?? [];
  const listed: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!listed.every((group) => typeof group === 'string')) {
    return {
      problem: `the claim ${claim} of the OIDC token, which is to be the groups, is neither a text nor a list of texts`,
    };
  }
  const names = listed.filter((group) => group !== '').map((group) => `${prefix}${group}`);
  // One is not left out in silence: its users would look for the reason.
  return names.some((name) => name.startsWith(SYSTEM_PREFIX)) ? { problem: systemName('group', 'groups') } : names;
}

function systemName(what: string, field: string): string {
  return `a ${what} of the OIDC token begins with ${SYSTEM_PREFIX}, which only Kubernetes' own may: set claimMappings.${field}.prefix`;
}

/** Not what every object has, such as `constructor`. */
function valueOf(claims: Claims, claim: string): unknown {
  return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
}
