/** The record of which server of a tenant has which session, as far as this process has heard. */
import { isSessionId } from '../../../copilot/index.ts';
import { LruMap } from '../../../kube/cache/lru.ts';

/** Sessions of a tenant whose server is remembered; for all others the servers are asked again. */
const REMEMBERED = 10_000;
/** The most sessions of a server that are known as all that it has. */
const LISTED = 20_000;

/** Of one tenant. Servers are named by their keys. */
export class SessionPlaces {
  readonly #places = new LruMap<string, string>(REMEMBERED);
  /** All sessions of a server, and some that were deleted. */
  readonly #listed = new Map<string, Set<string>>();

  /** The server that has the session, or is about to; undefined: not known. */
  find(sessionId: string): string | undefined {
    return this.#places.get(sessionId);
  }

  /** The session is there, or is made there now. */
  seen(sessionId: string, server: string): void {
    // No server has one of another name, and nothing would bound its length.
    if (!isSessionId(sessionId)) return;
    this.#places.set(sessionId, server);
    const listed = this.#listed.get(server);
    listed?.add(sessionId);
    if (listed !== undefined && listed.size > LISTED) this.#listed.delete(server);
  }

  /** The server does not have it any more. */
  deleted(sessionId: string, server: string): void {
    if (this.#places.get(sessionId) === server) this.#places.delete(sessionId);
    this.#listed.get(server)?.delete(sessionId);
  }

  /** The server said that it has these and no others. */
  listed(server: string, sessionIds: readonly string[]): void {
    if (sessionIds.length <= LISTED) this.#listed.set(server, new Set(sessionIds.filter(isSessionId)));
  }

  /** Whether it is known what the server has. */
  isListed(server: string): boolean {
    return this.#listed.has(server);
  }

  /** Whether the server may have the session, by what it said while it answered. */
  mayHave(sessionId: string, server: string): boolean {
    return this.#listed.get(server)?.has(sessionId) ?? true;
  }

  /** The server is not the tenant's any more: what it had is with its volume, and a server of its name may have another one. */
  removed(server: string): void {
    this.#listed.delete(server);
  }
}
