/** Hides from clients that a server was lost: its sessions are restored at the one that comes, and their turns go on (docs/adr/0036-fail-over.md). */
import { RpcError, UnreachableError, unquotedMessageOf, type CopilotError } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { isFenced } from '../fence/fence.ts';
import { loadSession, type Loading } from './loading.ts';
import { NoPlaceError, NotRestoredError, type RelayLimits, type RelayLog } from '../model.ts';
import type { RelayObserver, ServerEnd } from '../observer.ts';
import type { Places } from '../limits/places.ts';
import type { Recovered } from './recover-turn.ts';
import { RecoveredTurns } from './recovered-turns.ts';
import { lost } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { Upstream } from '../server/upstream.ts';
import { isNeeded } from '../session/under-way.ts';

export interface FailoverOptions {
  /** `namespace/server`. */
  readonly key: string;
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  readonly limits: Pick<RelayLimits, 'restoredAtOnce' | 'quietMs'>;
  readonly log: RelayLog;
  readonly observer: Pick<RelayObserver, 'failedOver' | 'sessionRestored'>;
  readonly upstream: Pick<Upstream, 'opened' | 'isOpen' | 'losses' | 'dialledAt'>;
  readonly sessions: () => Iterable<Session>;
  readonly loading: Loading;
  readonly places: Pick<Places, 'take'>;
  /** A turn was cut, and does not go on. `what` happened to it, as the beginning of a sentence. */
  readonly onCut: (session: Session, what: string) => void;
  /** Nobody needs the session any more. */
  readonly forget: (session: Session) => void;
  /** Where the servers of the tenant share a volume; undefined: they do not, and sessions stay. */
  readonly moves?: FailoverMoves | undefined;
}

/** That sessions may go on at another server. */
export interface FailoverMoves {
  /** Whether it has gone on elsewhere meanwhile. */
  readonly isElsewhere: (session: Session) => boolean;
  /** Aborts when the sessions of the server go on elsewhere. */
  readonly left: () => AbortSignal;
}

/** How often a server may be lost, one time after the other, while it loads a session. After the first time no other is loaded with it. */
const LOST_LOADS = 10;
/** After which a session with a cut turn is tried again that might not be loaded, in ms. */
const FENCED_RETRY_MS = 5_000;

/** Of one server. */
export class Failover {
  readonly #options: FailoverOptions;
  /** The end of the load of a session during which a server was lost: such are loaded one after the other. */
  #suspects: Promise<unknown> = Promise.resolve();
  /** Whether this side has closed the last connection. */
  #isPlanned = false;
  readonly #recovered: RecoveredTurns;
  /** Those that are tried again later. */
  readonly #later = new WeakSet<Session>();

  constructor(options: FailoverOptions) {
    this.#options = options;
    const { clock, limits, loading, log, key } = options;
    this.#recovered = new RecoveredTurns({
      clock,
      quietMs: limits.quietMs,
      call: loading.call,
      recover: (session, loads) => this.#recoverAgain(session, loads),
      onLeft: ({ id }) =>
        log.info({ server: key, session: id }, 'a turn does not end of which the server says that it does nothing'),
    });
  }

  /** The connection was lost, or closed by this side: a drain, a suspension or a deletion is no fail-over, and does not count as one. */
  lost(error: CopilotError, why: ServerEnd): void {
    const { sessions, forget, log, key } = this.#options;
    this.#isPlanned = why === 'Closed';
    log.info({ server: key, error: unquotedMessageOf(error) }, 'the connection to a server was lost');
    for (const session of sessions()) {
      // Nothing of it was there.
      if (!session.load.isEvicted) session.lost(why === 'Timeout');
      if (!isNeeded(session)) forget(session);
    }
    void this.#restoreAll();
  }

  /**
   * Has the server load a session as its clients had set it up, waiting for the server if it is away; to be called in
   * {@link Session.exclusively}. `since`: when that was asked for, monotonic ms; default now.
   * @throws CopilotError, NotRestoredError if it would allow more than its clients decided, NoPlaceError, or ModelUnavailableError
   */
  async load(session: Session, since?: number): Promise<void> {
    const { places } = this.#options;
    const { isLost } = session;
    let recovered: Recovered | undefined;
    try {
      while (recovered === undefined && !session.isLoaded && isNeeded(session) && !this.#isElsewhere(session)) {
        using _place = await places.take(session, () => isNeeded(session), since);
        recovered = await this.#loadOnce(session);
      }
    } catch (error) {
      // Who waits for it goes on where it is now.
      if (this.#isElsewhere(session)) return;
      if (isFenced(error)) this.#tryLater(session);
      else if (!(error instanceof NoPlaceError)) this.#giveUp(session, error);
      throw error;
    }
    if (recovered === undefined) return;
    if (isLost && !this.#isPlanned) this.#options.observer.sessionRestored(recovered);
    session.watchUse();
    session.watchTurn();
    this.watch(session, recovered);
  }

  /** A turn goes on at a server that did not begin it: what became of it is looked after. */
  watch(session: Session, recovered: Recovered): void {
    if (recovered !== 'Idle' && recovered !== 'Finished') this.#recovered.watch(session);
  }

  /** The server has dropped the turn of a session that it was to go on with. Returns whether that was so still. */
  async #recoverAgain(session: Session, loads: number): Promise<boolean> {
    const { log, key } = this.#options;
    try {
      return await session.exclusively(async () => {
        if (session.load.loads !== loads || !session.isLoaded || !session.turn.isTaken) return false;
        // The load would wait for such a call, and that for the load.
        if (session.asking.isOpen) return false;
        log.info({ server: key, session: session.id }, 'a turn is recovered once more that the server has dropped');
        session.lost();
        await this.load(session);
        return true;
      });
    } catch (error) {
      // Its clients were told.
      log.info({ server: key, session: session.id, error: unquotedMessageOf(error) }, 'a turn is not recovered');
      return true;
    }
  }

  #isElsewhere(session: Session): boolean {
    return this.#options.moves?.isElsewhere(session) === true;
  }

  /** Nothing of it is given up because it may not be loaded now: its turn goes on when it may. */
  #tryLater(session: Session): void {
    if (!session.isLost || !session.isCut || this.#later.has(session)) return;
    this.#later.add(session);
    this.#options.clock.setTimer(FENCED_RETRY_MS, () => {
      this.#later.delete(session);
      if (!session.isLost || !isNeeded(session) || this.#isElsewhere(session)) return;
      session
        .exclusively(() => this.load(session))
        .catch((error: unknown) => {
          const fields = { server: this.#options.key, session: session.id, error: unquotedMessageOf(error) };
          this.#options.log.info(fields, 'a session still cannot be loaded');
        });
    });
  }

  /** Returns what became of its turn; undefined: the server was lost meanwhile, and it is to be loaded again. */
  async #loadOnce(session: Session): Promise<Recovered | undefined> {
    const { upstream, loading, moves } = this.#options;
    const left = moves?.left();
    try {
      await upstream.opened(left);
    } catch (error) {
      // It is loaded where it is now, which may be here again.
      if (left?.aborted === true) return undefined;
      throw error;
    }
    const { losses } = upstream;
    try {
      const load = async (): Promise<Recovered | undefined> => {
        // One that has waited for others has nothing to do with the loss.
        if (upstream.losses !== losses) return undefined;
        return loadSession(session, boundTo(upstream, losses, loading));
      };
      return await (session.load.lostLoads === 0 ? load() : this.#alone(load));
    } catch (error) {
      if (upstream.losses === losses) throw error;
      session.load.lostLoads += 1;
      if (session.load.lostLoads < LOST_LOADS) return undefined;
      throw new NotRestoredError('its server was lost each time that it loaded the session', { cause: error });
    }
  }

  /** So that it is known which of them brings the server down. */
  async #alone<T>(load: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#suspects;
    this.#suspects = promise;
    await before;
    try {
      return await load();
    } finally {
      resolve();
    }
  }

  async #restoreAll(): Promise<void> {
    const { sessions, clock, upstream, limits, log, observer, key, moves } = this.#options;
    const { losses } = upstream;
    const lostAt = clock.monotonic();
    // One that may have brought the server down must not do so before others are restored.
    const waiting = [...sessions()]
      .filter(({ isLost }) => isLost)
      .toSorted((a, b) => a.load.lostLoads - b.load.lostLoads);
    const total = waiting.length;
    if (total === 0) return;
    let failed = 0;
    const restore = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const session = next;
        // It may have been unloaded for another one meanwhile.
        if (!session.isLost || this.#isElsewhere(session)) continue;
        await session.exclusively(() => this.load(session)).catch(() => void (failed += 1));
      }
    };
    const left = moves?.left();
    try {
      await upstream.opened(left);
    } catch (error) {
      if (left?.aborted === true) return;
      failed = total;
      for (const session of waiting.splice(0)) this.#giveUp(session, error);
    }
    await Promise.all(Array.from({ length: limits.restoredAtOnce }, restore));
    // The next loss has begun with all of them anew.
    if (upstream.losses !== losses) return;
    const [awayMs, readyMs] = [clock.monotonic() - lostAt, clock.monotonic() - upstream.dialledAt];
    if (!this.#isPlanned)
      observer.failedOver(failed === 0 ? 'Restored' : failed < total ? 'PartlyRestored' : 'Failed', awayMs / 1000);
    const fields = { server: key, sessions: total, failed, awayMs: Math.round(awayMs), readyMs: Math.round(readyMs) };
    log.info(
      fields,
      failed === 0 ? 'the sessions of a lost server are restored' : 'sessions of a lost server are not restored',
    );
  }

  #giveUp(session: Session, error: unknown): void {
    const { log, observer, onCut, key } = this.#options;
    log.info({ server: key, session: session.id, error: unquotedMessageOf(error) }, 'a session could not be loaded');
    if (!session.isLost) return;
    if (!this.#isPlanned) observer.sessionRestored('Failed');
    const wasCut = session.giveUp(lost(new UnreachableError('the session could not be restored'), true));
    // Where only this one is concerned, its clients must not look for a fault of the server.
    const isAlone = error instanceof RpcError || error instanceof NotRestoredError;
    if (wasCut) onCut(session, isAlone ? 'The session could not be restored' : 'The server was lost');
  }
}

/** The same with the connection that there was after so many losses: what is done at the next one begins anew. */
export function boundTo(upstream: Pick<Upstream, 'losses'>, losses: number, loading: Loading): Loading {
  const check = (method: string): void => {
    if (upstream.losses !== losses) throw new UnreachableError(`the server was lost during ${method}`);
  };
  const bound =
    <T>(make: (method: string, params: object) => Promise<T>) =>
    async (method: string, params: object): Promise<T> => {
      check(method);
      const result = await make(method, params);
      // The answer may be the last thing that the server said.
      check(method);
      return result;
    };
  return {
    ...loading,
    call: bound(loading.call),
    request: bound(loading.request),
    check: () => check('the load of a session'),
  };
}
