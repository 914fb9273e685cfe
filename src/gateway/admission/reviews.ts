/** What the API server says of a token and of a user's rights: TokenReview and SubjectAccessReview, remembered for a short time. */
import { createHash } from 'node:crypto';
import { GROUP } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { SubjectAccessReview, TokenReview } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Gateway, type InternalRight } from '../../resources/gateway-internal.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import type { TenantRef } from '../model.ts';
import { expiryOf, unverifiedClaims } from './jwt.ts';
import type { KubeUser, Unauthenticated } from './user.ts';
import { VerdictCache, type Asker } from './verdict-cache.ts';

/** The audience that tokens for the gateway have. A token for anybody else is worth nothing here, and the other way around. */
export const GATEWAY_AUDIENCE = 'copilot-gateway';

const notFor = (audience: string): string => `the Kubernetes token is not for the audience ${audience}`;

/** A right in question. RBAC knows verb and resource though the API serves neither: they stand in roles only. */
export interface TenantRight {
  readonly tenant: TenantRef;
  /** `connect`: on the tenant. `impersonate`: on its users. */
  readonly verb: 'connect' | 'impersonate';
  /** The name that a role may be limited to: the tenant's, or `<tenant>:<user>`. */
  readonly name: string;
}

/** A right of the internal port of the gateway in this namespace. */
export interface ViewRight extends InternalRight {
  readonly namespace: string;
}

/** Asks the API server. */
export interface Reviews {
  /** @throws an error of the client if the API server does not answer, TooManyReviewsError */
  authenticate(token: string, asker: Asker): Promise<KubeUser | Unauthenticated>;
  /** @throws an error of the client if the API server does not answer, TooManyReviewsError */
  isAllowed(user: KubeUser, right: TenantRight | ViewRight, asker: Asker): Promise<boolean>;
}

/**
 * A good answer is believed for half of the minute within which a revoked token ends its connections: a connection asks again at
 * least every 25 s (`RECHECK_MS`).
 */
const POSITIVE_MS = 30_000;
/** A role that was just granted should not take long to be noticed. */
const NEGATIVE_MS = 3_000;
const LIMITS = {
  goodMs: POSITIVE_MS,
  badMs: NEGATIVE_MS,
  maxEntries: 10_000,
  lanes: {
    Newcomer: { maxRunning: 24, maxWaiting: 2_000 },
    // As many as may be connected.
    Connected: { maxRunning: 8, maxWaiting: 20_000 },
  },
};
/** Less than the time that a connection has until it is admitted. */
const DEADLINE_MS = 4_000;

/** What reviews are made with. */
export interface ApiReviewsOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly clock: Pick<Clock, 'monotonic' | 'now'>;
  /** Of the tokens; default: that of the clients. */
  readonly audience?: string | undefined;
}

/** Reviews by the API server. */
export class ApiReviews implements Reviews {
  readonly #client: Pick<KubeClient, 'create'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #audience: string;
  readonly #tokens: VerdictCache<KubeUser | Unauthenticated>;
  readonly #rights: VerdictCache<boolean>;

  constructor({ client, clock, audience = GATEWAY_AUDIENCE }: ApiReviewsOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#audience = audience;
    this.#tokens = new VerdictCache({ ...LIMITS, clock, isGood: (user) => 'name' in user });
    this.#rights = new VerdictCache({ ...LIMITS, clock, isGood: (isAllowed) => isAllowed });
  }

  async authenticate(token: string, asker: Asker): Promise<KubeUser | Unauthenticated> {
    const problem = hopeless(token, this.#clock.now(), this.#audience);
    if (problem !== undefined) return problem;
    return this.#tokens.get(digest(token), async () => userOf(await this.#review(token), token, this.#audience), asker);
  }

  isAllowed(user: KubeUser, right: TenantRight | ViewRight, asker: Asker): Promise<boolean> {
    const { name, uid, groups, extra } = user;
    const ask = async (): Promise<boolean> => {
      const { status } = await this.#client.create(SubjectAccessReview, accessReview(user, right), {
        deadlineMs: DEADLINE_MS,
      });
      // An evaluation error beside `allowed` is one of another authorizer, which did not decide.
      return status?.allowed === true && status.denied !== true;
    };
    return this.#rights.get(digest(JSON.stringify([name, uid, groups, extra, right])), ask, asker);
  }

  #review(token: string): Promise<TokenReview> {
    const review: TokenReview = {
      ...head(TokenReview),
      spec: { token, audiences: [this.#audience] },
    };
    return this.#client.create(TokenReview, review, { deadlineMs: DEADLINE_MS });
  }
}

/** Why the API server need not be asked, by what the token says of itself; undefined: it must be. `now`: ms since the epoch. */
export function hopeless(token: string, now: number, audience: string = GATEWAY_AUDIENCE): Unauthenticated | undefined {
  const claims = unverifiedClaims(token) ?? {};
  const { aud } = claims;
  if (aud !== undefined && ![aud].flat().includes(audience)) return { problem: notFor(audience) };
  return (expiryOf(claims) ?? Infinity) <= now ? { problem: 'the Kubernetes token has expired' } : undefined;
}

/** The user of a reviewed token. An authenticator that knows no audiences says nothing of ours, and is not believed. */
export function userOf(
  { status }: Pick<TokenReview, 'status'>,
  token: string,
  audience: string = GATEWAY_AUDIENCE,
): KubeUser | Unauthenticated {
  if (status?.authenticated !== true) return { problem: 'the API server does not accept the Kubernetes token' };
  if (status.audiences?.includes(audience) !== true) {
    return { problem: notFor(audience) };
  }
  const { username, uid, groups, extra } = status.user ?? {};
  if (username === undefined || username === '') return { problem: 'the Kubernetes token has no user' };
  return {
    name: username,
    uid,
    groups: groups ?? [],
    extra: extra ?? {},
    expiresAt: expiryOf(unverifiedClaims(token) ?? {}),
  };
}

function accessReview(user: KubeUser, right: TenantRight | ViewRight): SubjectAccessReview {
  return {
    ...head(SubjectAccessReview),
    spec: {
      user: user.name,
      ...(user.uid !== undefined && { uid: user.uid }),
      groups: [...user.groups],
      extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])),
      resourceAttributes: { group: GROUP, version: '*', ...('view' in right ? viewOf(right) : tenantOf(right)) },
    },
  };
}

function viewOf({ namespace, view, verb }: ViewRight): object {
  return { namespace, verb, resource: Gateway.plural, subresource: view };
}

function tenantOf({ tenant, verb, name }: TenantRight): object {
  const resource = verb === 'impersonate' ? { subresource: 'users' } : {};
  return { namespace: tenant.namespace, verb, resource: CopilotTenant.plural, name, ...resource };
}

function head(type: typeof TokenReview | typeof SubjectAccessReview): {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
} {
  return { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { name: '' } };
}

/** Keys of caches are digests: no token stays in memory for longer than its connection. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
