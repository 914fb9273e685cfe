/** One issuer: verifies its tokens, and says whose they are. */
import { jwtVerify } from 'jose';
import type { TokenIssuer } from '../admission.ts';
import { Lane } from '../lane.ts';
import type { KubeUser, Unauthenticated } from '../user.ts';
import type { Asker } from '../verdict-cache.ts';
import { userOf } from './claims.ts';
import type { IssuerConfig } from './config.ts';
import type { IssuerKeys, Keys } from './keys.ts';
import { isKeyMissing, refusalOf } from './refusal.ts';

/** What is needed to verify. */
export interface OidcIssuerOptions {
  readonly config: IssuerConfig;
  readonly keys: Pick<IssuerKeys, 'current' | 'newerThan'>;
  /** Wall clock, ms since the epoch. */
  readonly clock: { now(): number };
}

type Verdict = KubeUser | Unauthenticated | 'KeyMissing';

const UNKNOWN_KEY: Unauthenticated = { problem: 'the OIDC token is signed with a key that its issuer does not have' };
/** How far the issuer's clock may be ahead, in seconds. When a token expires is not stretched. */
const CLOCK_SKEW_SECONDS = 30;

/**
 * Anybody may send tokens that name the issuer, and all are verified by the few threads of this process. A lane for each kind of asker: strangers
 * who come in crowds end no connection of anybody.
 */
const LANES = {
  Newcomer: { maxRunning: 2, maxWaiting: 2_000 },
  // As many as may be connected.
  Connected: { maxRunning: 2, maxWaiting: 20_000 },
};

/** Verifies with the keys that are known. What came of it is not remembered: a cache would not help against forged tokens, and save little else. */
export class OidcIssuer implements TokenIssuer {
  readonly #options: OidcIssuerOptions;
  /** Only of what takes up a processor: tokens that wait for keys keep no place. */
  readonly #lanes: Readonly<Record<Asker, Lane>> = {
    Newcomer: new Lane(LANES.Newcomer),
    Connected: new Lane(LANES.Connected),
  };

  constructor(options: OidcIssuerOptions) {
    this.#options = options;
  }

  /** @throws KeysUnknownError, TooManyReviewsError, or an error that names the issuer if one of its keys cannot be used */
  async authenticate(token: string, asker: Asker): Promise<KubeUser | Unauthenticated> {
    const { keys } = this.#options;
    const verify = (known: Keys): Promise<Verdict> => this.#lanes[asker].run(() => this.#verify(token, known));
    const known = await keys.current(asker);
    const found = await verify(known);
    if (found !== 'KeyMissing') return found;
    const newer = await keys.newerThan(known);
    const again = newer === undefined ? 'KeyMissing' : await verify(newer);
    return again === 'KeyMissing' ? UNKNOWN_KEY : again;
  }

  async #verify(token: string, keys: Keys): Promise<Verdict> {
    const { config, clock } = this.#options;
    const now = clock.now();
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: config.url,
        audience: [...config.audiences],
        algorithms: [...config.algorithms],
        requiredClaims: ['exp'],
        clockTolerance: CLOCK_SKEW_SECONDS,
        currentDate: new Date(now),
      });
      const user = userOf(payload, config);
      const isExpired = 'name' in user && (user.expiresAt ?? 0) <= now;
      return isExpired ? { problem: 'the OIDC token has expired' } : user;
    } catch (error) {
      if (isKeyMissing(error)) return 'KeyMissing';
      const problem = refusalOf(error);
      if (problem !== undefined) return { problem };
      throw new Error(`a key of the issuer ${config.url} cannot be used`, { cause: error });
    }
  }
}
