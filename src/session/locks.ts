/** Whose turn it is in the sessions that several users work on, as the replicas of the gateway say. */
import type { Clock } from '../kube/clock/clock.ts';
import { keyOf } from '../kube/types/types.ts';
import type { HeldTurn } from '../resources/gateway-internal.ts';
import { idKey, sessionIdOf, tenantKeyOf } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { FoundLock } from './decisions/lock.ts';

/** Who holds turns. */
export interface LockSource {
  /** Undefined: nobody does. `Unknown`: the gateway has not answered since this process started. */
  get(session: CopilotSession): FoundLock | 'Unknown' | undefined;
  /** Calls `fn` with the {@link idKey} of each session whose turn has passed to somebody else; undefined: nothing was known before, of any. */
  onChange(fn: (key: string | undefined) => void): void;
}

interface Known extends FoundLock {
  readonly heldMs: number;
}

/** Remembers what the gateway has said last. */
export class SessionLocks implements LockSource {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #listeners: ((key: string | undefined) => void)[] = [];
  #known: ReadonlyMap<string, Known> | undefined;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  get(session: CopilotSession): FoundLock | 'Unknown' | undefined {
    if (this.#known === undefined) return 'Unknown';
    return this.#known.get(idKey(tenantKeyOf(session), sessionIdOf(session)));
  }

  onChange(fn: (key: string | undefined) => void): void {
    this.#listeners.push(fn);
  }

  /** All turns that users hold now. */
  update(held: readonly HeldTurn[]): void {
    const before = this.#known ?? new Map<string, Known>();
    const isFirst = this.#known === undefined;
    const now = this.#clock.now();
    const known = new Map(
      held.map((turn) => {
        const key = idKey(keyOf(turn), turn.session);
        return [key, knownOf(turn, before.get(key), now)] as const;
      }),
    );
    this.#known = known;
    if (isFirst) this.#tell(undefined);
    for (const key of new Set([...before.keys(), ...known.keys()])) {
      const [was, is] = [before.get(key), known.get(key)];
      if (was?.since !== is?.since || was?.epoch !== is?.epoch) this.#tell(key);
    }
  }

  /** For metrics: how many turns are held, and for how long the oldest one. */
  counts(): { readonly held: number; readonly oldestSeconds: number } {
    const held = [...(this.#known?.values() ?? [])];
    return { held: held.length, oldestSeconds: Math.max(0, ...held.map(({ heldMs }) => heldMs)) / 1000 };
  }

  #tell(key: string | undefined): void {
    for (const listener of this.#listeners) listener(key);
  }
}

/** Of a lock that goes on the begin stays as it was computed first, whatever becomes of the wall clock. */
function knownOf({ holder, epoch, heldMs }: HeldTurn, before: Known | undefined, now: number): Known {
  const goesOn = before?.holder === holder && before.epoch === epoch && heldMs >= before.heldMs;
  return { holder, epoch, heldMs, since: goesOn ? before.since : now - heldMs };
}
