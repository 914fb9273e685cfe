/** Decides who a client is, by its token, and whether it still is. */
import { toError } from '../../kube/types/errors.ts';
import { credentialHash, isCredential } from '../../resources/binding.ts';
import type { Fleet, GatewayTenant, Identity, TenantRef } from '../model.ts';
import { isBindingCredential, isListed } from './binding-credential.ts';
import type { Reviews } from './reviews.ts';
import { parseToken, type ClientToken } from './token.ts';
import type { KubeUser, Unauthenticated } from './user.ts';
import type { Asker } from './verdict-cache.ts';

/**
 * Why nobody is admitted. All but `Unavailable` are told apart in metrics and audit only: whoever has no credential of a tenant must not
 * find out whether it exists.
 */
export const DENY_REASONS = [
  'MalformedToken',
  'UnknownTenant',
  'DirectAccess',
  'WrongCredential',
  'NotAuthenticated',
  'NotAuthorized',
  'UserRequired',
  'IsolationChanged',
  'Kicked',
  'Unavailable',
] as const;
export type DenyReason = (typeof DENY_REASONS)[number];

/** Nobody was admitted. */
export interface Denial {
  readonly denied: DenyReason;
  /** For log and audit: without any part of the token. */
  readonly message: string;
  /** The tenant that the token names, which need not exist. */
  readonly tenant?: TenantRef | undefined;
}

/** Somebody was admitted. */
export interface Grant {
  readonly identity: Identity;
  /** Decides again, by what is known now. It never rejects. */
  readonly recheck: () => Decision | Promise<Decision>;
}

/** What came of a token. */
export type Decision = Grant | Denial;

/** Decides by token. */
export interface Admission {
  /** Decides at once where nobody has to be asked. It never rejects. */
  decide(token: unknown): Decision | Promise<Decision>;
}

/** Finds out whose tokens of one OIDC issuer are. */
export interface TokenIssuer {
  /** @throws an error that names the issuer if its keys are not known now, TooManyReviewsError */
  authenticate(token: string, asker: Asker): Promise<KubeUser | Unauthenticated>;
}

/** The OIDC issuers that the administrator trusts. */
export interface TokenIssuers {
  /** The issuer that a token claims to be of, unproven; undefined: none of these, so it is a Kubernetes token or nobody's. */
  of(token: string): TokenIssuer | undefined;
}

/** What an admission needs. */
export interface AdmissionOptions {
  readonly fleet: Pick<Fleet, 'find' | 'isSynced'>;
  readonly reviews: Reviews;
  /** Undefined: no OIDC tokens are accepted. */
  readonly issuers?: TokenIssuers | undefined;
  /** Wall clock, ms since the epoch. */
  readonly clock: { now(): number };
}

const WHO: Readonly<Record<Exclude<DenyReason, 'MalformedToken' | 'Unavailable' | 'NotAuthenticated'>, string>> = {
  UnknownTenant: 'there is no such tenant',
  DirectAccess: 'clients of the tenant do not come through the gateway: spec.access is Direct',
  WrongCredential: 'the binding credential is none of the tenant: read it from the binding Secret again',
  NotAuthorized:
    'the user may not connect to the tenant: it needs the verb connect on copilottenants, and to state another user the verb impersonate on copilottenants/users',
  UserRequired:
    'the token states no user, and spec.isolation of the tenant keeps users apart: put the user, percent-encoded, after the name of the tenant, as in <namespace>/<tenant>/<user>:<credential>',
  Kicked: 'an administrator has closed the connections of the tenant by an annotation: connect again',
  IsolationChanged: 'spec.isolation of the tenant has changed since the client was admitted: connect again',
};

const ISSUER_GONE = 'the issuer of the OIDC token is not among those that are configured any more';

/** Admission by binding credentials, Kubernetes tokens and OIDC tokens. */
export function createAdmission(options: AdmissionOptions): Admission {
  return {
    decide: (text) => {
      const token = parseToken(text);
      if ('problem' in token) return { denied: 'MalformedToken', message: token.problem };
      if (!options.fleet.isSynced)
        return deny('Unavailable', token.tenant, 'the gateway does not know all tenants yet');
      if (!isBindingCredential(token.credential)) return decideByReview(options, token);
      // Not hashed, so not compared, and not sent to anybody: a typing mistake.
      if (!isCredential(token.credential)) return deny('WrongCredential', token.tenant);
      return decideByBinding(options, token, credentialHash(token.credential));
    },
  };
}

/** The same work for a tenant that exists and one that does not. */
function decideByBinding(
  options: AdmissionOptions,
  token: ClientToken,
  hash: string,
  admitted?: GatewayTenant,
): Decision {
  const found = options.fleet.find(token.tenant);
  const isTheirs = isListed(hash, found?.credentials ?? []);
  const problem =
    tenantProblem(found, admitted) ?? (isTheirs ? undefined : 'WrongCredential') ?? userProblem(found, token.user);
  if (problem !== undefined || found === undefined) return deny(problem ?? 'UnknownTenant', token.tenant);
  const { tenant, user } = token;
  return {
    identity: { tenant, user, credential: 'Binding', expiresAt: undefined },
    // The credential itself is not kept.
    recheck: () => decideByBinding(options, { ...token, credential: '' }, hash, found),
  };
}

/** As whom a client was admitted that is looked at again. */
interface Admitted {
  readonly tenant: GatewayTenant;
  readonly credential: 'Kubernetes' | 'OIDC';
}

/** The API server is asked before the fleet, so that an unknown tenant takes as long as a foreign one. */
async function decideByReview(options: AdmissionOptions, token: ClientToken, before?: Admitted): Promise<Decision> {
  const { reviews, issuers, fleet, clock } = options;
  const { tenant } = token;
  const admitted = before?.tenant;
  const asker = before === undefined ? 'Newcomer' : 'Connected';
  // Nobody has to be asked for that.
  if (admitted !== undefined && isKicked(fleet.find(tenant), admitted)) return deny('Kicked', tenant);
  try {
    const issuer = issuers?.of(token.credential);
    // The issuers may have changed since. A token is one party's, and no other gets it.
    const credential = before?.credential ?? (issuer === undefined ? 'Kubernetes' : 'OIDC');
    const party = credential === 'OIDC' ? issuer : reviews;
    if (party === undefined) return deny('NotAuthenticated', tenant, ISSUER_GONE);
    const user = await party.authenticate(token.credential, asker);
    if (isNobody(user)) return deny('NotAuthenticated', tenant, user.problem);
    if (user.expiresAt !== undefined && user.expiresAt <= clock.now()) {
      return deny('NotAuthenticated', tenant, `the ${credential} token has expired`);
    }
    const isAllowed = await mayConnect(reviews, user, token, asker);
    const found = fleet.find(tenant);
    const problem = tenantProblem(found, admitted) ?? (isAllowed ? undefined : 'NotAuthorized');
    if (problem !== undefined || found === undefined) return deny(problem ?? 'UnknownTenant', tenant);
    return {
      identity: { tenant, user: token.user ?? user.name, credential, expiresAt: user.expiresAt },
      recheck: () => decideByReview(options, token, { tenant: found, credential }),
    };
  } catch (error) {
    // Whatever went wrong, nobody is admitted who was not found to be.
    return deny('Unavailable', tenant, `the token cannot be reviewed: ${toError(error).message}`);
  }
}

async function mayConnect(
  reviews: Reviews,
  user: KubeUser,
  { tenant, user: stated }: ClientToken,
  asker: Asker,
): Promise<boolean> {
  const { name } = tenant;
  if (!(await reviews.isAllowed(user, { tenant, verb: 'connect', name }, asker))) return false;
  if (stated === undefined || stated === user.name) return true;
  for (const who of [stated, '*']) {
    if (await reviews.isAllowed(user, { tenant, verb: 'impersonate', name: `${name}:${who}` }, asker)) return true;
  }
  return false;
}

/** `admitted` is the tenant as the client was admitted to it: another one of the same name is not that one. */
function tenantProblem(
  found: GatewayTenant | undefined,
  admitted: GatewayTenant | undefined,
): 'UnknownTenant' | 'DirectAccess' | 'Kicked' | 'IsolationChanged' | undefined {
  if (found === undefined || (admitted !== undefined && admitted.uid !== found.uid)) return 'UnknownTenant';
  if (found.access !== 'Gateway') return 'DirectAccess';
  if (admitted !== undefined && isKicked(found, admitted)) return 'Kicked';
  // What the client has attached to was not decided by the owner of each session, or by less.
  return admitted === undefined || admitted.isolation === found.isolation ? undefined : 'IsolationChanged';
}

/** A removed annotation closes nobody. */
function isKicked(found: GatewayTenant | undefined, admitted: GatewayTenant): boolean {
  return found?.kick !== undefined && found.kick !== admitted.kick;
}

/** A session is of the user who makes it, so there has to be one. Kubernetes tokens always have one. */
function userProblem(found: GatewayTenant | undefined, user: string | undefined): 'UserRequired' | undefined {
  return found !== undefined && found.isolation !== 'Dedicated' && user === undefined ? 'UserRequired' : undefined;
}

function isNobody(user: KubeUser | Unauthenticated): user is Unauthenticated {
  return 'problem' in user;
}

function deny(denied: keyof typeof WHO, tenant: TenantRef): Denial;
function deny(denied: DenyReason, tenant: TenantRef, message: string): Denial;
function deny(denied: DenyReason, tenant: TenantRef, message?: string): Denial {
  return { denied, tenant, message: message ?? WHO[denied as keyof typeof WHO] };
}
