/** Where sessions are whose servers share a volume, as the replicas of the gateway say: all of these servers list them. */
import { keyOf } from '../kube/types/types.ts';
import type { ServerPlaces } from '../resources/gateway-internal.ts';
import { idKey, sessionIdOf, tenantKeyOf } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';

/** Who has which session. */
export interface PlaceSource {
  /** Name of the server that has it in memory; undefined: none has, or the gateway has not said it. */
  get(session: CopilotSession): string | undefined;
  /** Calls `fn` with the {@link idKey} of each session that a server has which did not have it before. */
  onChange(fn: (key: string) => void): void;
}

/** Remembers what the gateway has said last. */
export class SessionPlaces implements PlaceSource {
  readonly #listeners: ((key: string) => void)[] = [];
  #known: ReadonlyMap<string, string> = new Map();

  get(session: CopilotSession): string | undefined {
    return this.#known.get(idKey(tenantKeyOf(session), sessionIdOf(session)));
  }

  onChange(fn: (key: string) => void): void {
    this.#listeners.push(fn);
  }

  /** All that servers have now. */
  update(places: readonly ServerPlaces[]): void {
    const before = this.#known;
    this.#known = new Map(
      places.flatMap(({ namespace, name, server, sessions }) => {
        const tenant = keyOf({ namespace, name });
        return sessions.map((session) => [idKey(tenant, session), server] as const);
      }),
    );
    for (const [key, server] of this.#known) {
      if (before.get(key) === server) continue;
      for (const listener of this.#listeners) listener(key);
    }
  }
}
