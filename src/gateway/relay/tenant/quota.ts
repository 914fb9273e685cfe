/** How many sessions a user may have, in a tenant whose users are kept apart. */
import type { Asked } from '../listing/ask-servers.ts';
import type { Home } from '../home/home.ts';
import type { ServerAnswer } from '../model.ts';
import type { Owners } from '../listing/owners.ts';
import { listedTimes } from '../listing/session-list.ts';

/** The servers of the tenant. */
interface Servers {
  ask<T>(ask: (home: Home) => Promise<T>): Promise<Asked<Home, T>>;
  away(missing: readonly Home[]): string | undefined;
}

export interface QuotaOptions {
  readonly owners: Owners;
  readonly servers: Servers;
  /** `spec.sessions.maxPerUser` now; undefined: any number. */
  readonly max: () => number | undefined;
}

/** Of one tenant. Nothing is counted in a tenant without a limit. */
export class Quota {
  readonly #options: QuotaOptions;
  /** The end of the last claim of each user that has one under way: two at once must not both find the last place. */
  readonly #claiming = new Map<string, Promise<unknown>>();

  constructor(options: QuotaOptions) {
    this.#options = options;
  }

  /** The limit; undefined: there is none, and no claim needs this. */
  get max(): number | undefined {
    return this.#options.max();
  }

  /**
   * Claims the id of a new session for the user. Returns why it must not be made: the user has as many as it may have, or that cannot be
   * counted now. An id that another user has claimed meanwhile is left to it.
   * @throws CopilotError if a server does not answer
   */
  async claim(sessionId: string, user: string): Promise<ServerAnswer | undefined> {
    const before = this.#claiming.get(user);
    const claim = (async () => {
      // Its failure was told to whom it concerns.
      await before?.catch(() => undefined);
      return this.#claim(sessionId, user);
    })();
    this.#claiming.set(user, claim);
    try {
      return await claim;
    } finally {
      if (this.#claiming.get(user) === claim) this.#claiming.delete(user);
    }
  }

  async #claim(sessionId: string, user: string): Promise<ServerAnswer | undefined> {
    const { owners, servers } = this.#options;
    const { answers, missing } = await servers.ask((home) => ownedOn(home, owners, user));
    const why = servers.away(missing);
    if (why !== undefined) return { kind: 'Away', why };
    const owned = new Set([...[...answers.values()].flat(), ...owners.claimedBy(user)]);
    const { max } = this;
    if (max !== undefined && owned.size >= max && !owned.has(sessionId)) return { kind: 'UserFull', max };
    owners.claimFree(sessionId, user);
    return undefined;
  }
}

/** Sessions of the user on the server, also those that have had no turn, which it does not list. */
async function ownedOn(home: Home, owners: Owners, user: string): Promise<string[]> {
  const listed = [...(await listedTimes(home.upstream)).keys()];
  const known = Array.from(home.sessions, ({ id }) => id);
  return owners.ownedBy(home.upstream, user, [...listed, ...known]);
}
