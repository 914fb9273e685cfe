/** Which sessions the survey reads in detail; not to be confused with watches of the API server. */
import type { SessionSource } from '../servers/survey/sessions.ts';

/** Has the survey read the details of exactly those sessions that resources hold. */
export class SurveyWatches {
  readonly #source: Pick<SessionSource, 'watch' | 'unwatch'>;
  /** By key of the resource: the session's id, and the keys of the servers that watch it. */
  readonly #watched = new Map<string, { readonly id: string; readonly servers: readonly string[] }>();

  constructor(source: Pick<SessionSource, 'watch' | 'unwatch'>) {
    this.#source = source;
  }

  /** Watches the session on these servers, and on no others. */
  set(resource: string, id: string, servers: readonly string[]): void {
    const before = this.#watched.get(resource);
    this.#watched.set(resource, { id, servers });
    for (const server of servers) this.#source.watch(server, id);
    for (const server of before?.servers ?? []) {
      if (before?.id !== id || !servers.includes(server)) this.#release(server, before?.id ?? id);
    }
  }

  /** The resource is gone, or no longer holds the session. */
  forget(resource: string): void {
    const before = this.#watched.get(resource);
    this.#watched.delete(resource);
    for (const server of before?.servers ?? []) this.#release(server, before?.id ?? '');
  }

  // When one resource takes an id over from another, both watch the session for a moment.
  #release(server: string, id: string): void {
    for (const watched of this.#watched.values()) {
      if (watched.id === id && watched.servers.includes(server)) return;
    }
    this.#source.unwatch(server, id);
  }
}
