/** The places in the memory of one server: how many sessions it has loaded at once, and which one is unloaded for another (docs/adr/0048-vertical-limits.md). */
import type { Clock } from '../../../kube/clock/clock.ts';
import { chooseEvicted } from './least-used.ts';
import { NoPlaceError, type RelayLimits } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Session } from '../session/session.ts';

export interface PlacesOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly limits: Pick<RelayLimits, 'placeWaitMs' | 'recentlyUsedMs'>;
  readonly observer: Pick<RelayObserver, 'sessionEvicted'>;
  /** `spec.sessions.maxConcurrent` now; undefined: any number. */
  readonly max: () => number | undefined;
  /** Whether the tenant is gone, so that no session will be loaded any more. */
  readonly isGone: () => boolean;
  readonly sessions: () => Iterable<Session>;
  /** Has the server unload a session that does nothing. Returns whether it has no place any more. */
  readonly evict: (session: Session) => Promise<boolean>;
}

/** The place of a session that is being loaded. Once it is loaded it has the place by itself. */
type Place = Disposable;

/** How often it is looked for a place while sessions wait for one, in ms. */
const LOOK_MS = 100;

/** Of one server. */
export class Places {
  readonly #options: PlacesOptions;
  /** Sessions that are being loaded. */
  readonly #entering = new Set<Session>();
  /** Sessions that wait, in the order in which they came. */
  readonly #waiting: symbol[] = [];

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * A place for a session that is to be loaded, or that has one; to be called in {@link Session.exclusively}. It may take a while, and ends
   * early when nobody wants it any more. `since`: from when on its time counts, monotonic ms; default now.
   * @throws NoPlaceError if all sessions in memory stay in use
   */
  async take(session: Session, isWanted: () => boolean, since = this.#options.clock.monotonic()): Promise<Place> {
    if (session.load.hasPlace || (this.#waiting.length === 0 && !this.#isFull(session))) return this.#enter(session);
    const { clock, limits, max, isGone } = this.#options;
    const ticket = Symbol(session.id);
    this.#waiting.push(ticket);
    const deadline = since + limits.placeWaitMs;
    try {
      for (;;) {
        // The load fails at once, and says why.
        if (!isWanted() || isGone()) return this.#enter(session);
        if (this.#waiting[0] === ticket && (await this.#makeRoom(session))) return this.#enter(session);
        if (clock.monotonic() >= deadline) throw new NoPlaceError(max() ?? 0);
        await clock.sleep(LOOK_MS);
      }
    } finally {
      this.#waiting.splice(this.#waiting.indexOf(ticket), 1);
    }
  }

  /** Those that the server has in memory, is loading, or will have again after it was lost. */
  #placed(but: Session): Session[] {
    return [...this.#options.sessions()].filter(
      (session) => session !== but && (session.load.hasPlace || this.#entering.has(session)),
    );
  }

  #isFull(session: Session): boolean {
    const max = this.#options.max();
    return max !== undefined && this.#placed(session).length >= max;
  }

  /** Returns whether there is room. One is unloaded at a time. */
  async #makeRoom(session: Session): Promise<boolean> {
    const { clock, limits, observer, evict } = this.#options;
    for (let max = this.#options.max(); max !== undefined; max = this.#options.max()) {
      const verdict = chooseEvicted(this.#placed(session), max, clock.monotonic(), limits.recentlyUsedMs);
      if (verdict.reason === 'Room') return true;
      if (verdict.reason === 'AllInUse' || !(await evict(verdict.session))) return false;
      observer.sessionEvicted();
    }
    return true;
  }

  #enter(session: Session): Place {
    this.#entering.add(session);
    return { [Symbol.dispose]: () => void this.#entering.delete(session) };
  }
}
