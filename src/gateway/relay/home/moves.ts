/** How sessions of one server go on at others, of a tenant whose servers share a volume (docs/adr/0063-moves.md). */
import { UnreachableError, unquotedMessageOf } from '../../../copilot/index.ts';
import { AUDITED } from '../../model.ts';
import type { Failover } from '../failover/failover.ts';
import type { Fence, FencedServer } from '../fence/fence.ts';
import type { RelayLog } from '../model.ts';
import type { Upstream } from '../server/upstream.ts';
import type { Session } from '../session/session.ts';
import { isNeeded } from '../session/under-way.ts';
import type { HomeDrain } from './drain.ts';
import type { SessionCalls } from './session-calls.ts';

/** The other servers of a tenant whose servers share a volume: sessions may go on there. */
export interface SharedVolume<Home> {
  readonly fence: Fence;
  /** The home that has the session by now; undefined: none. */
  readonly hostOf: (session: Session) => Home | undefined;
  /** Another server where sessions of this one can go on; undefined: there is none now. */
  readonly otherFor: (home: Home) => Home | undefined;
  /** Whether there is another one that serves, or is to come: what waits for a server that is not to come goes on there. */
  readonly hasOthers: (home: Home) => boolean;
  /** The session is not used any more, so any server may load it next. */
  readonly unused: (sessionId: string, home: Home) => void;
  /** The connection to the server was lost. */
  readonly lost: (home: Home) => void;
}

/** What moves need of a home. */
export interface MovingHome extends FencedServer {
  /** `namespace/server`. */
  readonly key: string;
  readonly drain: Pick<HomeDrain, 'comesBack'>;
  readonly upstream: FencedServer['upstream'] & Pick<Upstream, 'dropEvents'>;
  readonly calls: Pick<SessionCalls, 'own' | 'failed'>;
  readonly failover: Pick<Failover, 'load'>;
  readonly moves: Pick<Moves<MovingHome>, 'take' | 'connect'>;
  /** Forgets a session that is not on the server, or not any more. */
  forget(session: Session): void;
}

export interface MovesOptions<Home> {
  readonly home: Home;
  /** Those of the home, by id. */
  readonly sessions: Map<string, Session>;
  /** Undefined: the server has a volume of its own, and its sessions stay there. */
  readonly shared: SharedVolume<Home> | undefined;
  readonly log: RelayLog;
}

export class Moves<Home extends MovingHome> {
  readonly #options: MovesOptions<Home>;
  #left = new AbortController();

  constructor(options: MovesOptions<Home>) {
    this.#options = options;
  }

  /** Aborts when the sessions of the home go on at other servers. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** Has another server have a session from now on that this one is to unload, in the turn of the session. Returns undefined if there is none. */
  moveOn(session: Session): Promise<void> | undefined {
    const { home, shared } = this.#options;
    const other = home.drain.comesBack ? undefined : shared?.otherFor(home);
    return shared && other && this.#moveTo(other, session, shared.fence);
  }

  async #moveTo(other: Home, session: Session, fence: Fence): Promise<void> {
    const { home } = this.#options;
    const { calls } = home;
    // While it is closed here.
    void other.moves.connect();
    await session.moved(async () => {
      try {
        await fence.prepare(session.id, other);
        return true;
      } catch (error) {
        // It is loaded when that is possible. Here it must not stay.
        calls.failed('sessions.close', error);
        return (await fence.release(session.id, home)) || calls.own('sessions.close', { sessionId: session.id });
      }
    });
    this.#give(session, other);
  }

  /** All sessions of the home go on at other servers, if there is one. What waits for them here goes there. */
  leaveAll(): void {
    const { home, sessions, shared, log } = this.#options;
    let count = 0;
    for (const session of sessions.values()) {
      const other = shared?.otherFor(home);
      if (other === undefined) continue;
      if (!session.isLost && !session.load.isEvicted) session.lost();
      this.#give(session, other);
      count += 1;
    }
    if (count === 0) return;
    const left = this.#left;
    this.#left = new AbortController();
    left.abort(new UnreachableError('the sessions of the server go on elsewhere'));
    log.info({ ...AUDITED, server: home.key, sessions: count }, 'the sessions of a server go on at others');
  }

  #give(session: Session, other: Home): void {
    const { home, sessions } = this.#options;
    // It may have gone while this waited.
    if (sessions.get(session.id) !== session) return;
    sessions.delete(session.id);
    home.upstream.dropEvents(session.id);
    // What this server has said since is not for the load by the other: that it unloads the session, above all.
    if (session.isLost) session.events.lost();
    other.moves.take(session);
  }

  /** The session of another home goes on here. It is loaded when it is used, but one with a turn that was cut at once. */
  take(session: Session): void {
    const { home, sessions, log } = this.#options;
    sessions.set(session.id, session);
    if (!isNeeded(session)) return home.forget(session);
    if (!session.isLost || !session.wasTaken) return;
    session
      .exclusively(() => home.failover.load(session))
      .catch((error: unknown) => {
        const fields = { server: home.key, session: session.id, error: unquotedMessageOf(error) };
        log.info(fields, 'a session could not be loaded that another server had');
      });
  }

  /** A session is about to go on here. */
  async connect(): Promise<void> {
    const { upstream, calls } = this.#options.home;
    try {
      await upstream.opened();
    } catch (error) {
      // Who uses the session waits for the server, and is told.
      calls.failed('connect', error);
    }
  }
}
