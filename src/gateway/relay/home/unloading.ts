/** Has a server unload sessions, and finds out which ones it has unloaded by itself. */
import { RpcError, isObject } from '../../../copilot/index.ts';
import { CallLimit } from '../../../kube/client/call-limit.ts';
import { askAgain } from '../failover/recover-turn.ts';
import { isNotFound } from '../server/server-answer.ts';
import type { Upstream } from '../server/upstream.ts';
import type { Session } from '../session/session.ts';

export interface UnloadingOptions {
  readonly upstream: Pick<Upstream, 'call' | 'dropEvents' | 'releaseEvents'>;
  /** A turn was cut because its session was closed. */
  readonly onClosed: (session: Session) => void;
  /** Whether it is this very session that the home has by its id. */
  readonly isHere: (session: Session) => boolean;
  /** Nobody needs the session any more. */
  readonly forget: (session: Session) => void;
  readonly onFailure: (method: string, error: unknown) => void;
  /** Has the server unload a session such that any other may load it. Returns whether it has; undefined: no other one can. */
  readonly release?: ((session: Session) => Promise<boolean>) | undefined;
}

/** Sessions that are closed for good at once: each is some twenty operations of a guard on the shared volume, and all have the deadline of a call. */
const RELEASED_AT_ONCE = 16;

export class Unloading {
  readonly #options: UnloadingOptions;
  readonly #releases = new CallLimit(RELEASED_AT_ONCE);
  /** All of this server are one caller to the limit. */
  readonly #caller = new AbortController().signal;

  constructor(options: UnloadingOptions) {
    this.#options = options;
  }

  /** Has the server unload a session that does nothing, of which its clients hear nothing: their next call loads it as a whole. */
  async reload(session: Session): Promise<void> {
    await session.exclusively(async () => {
      const isIdle = (await this.activity(session)) === 'Idle';
      // Of a command of a client, or an elicitation, servers do not say that it is work.
      if (isIdle && !session.turn.isBusy && !session.asking.isOpen) await this.#closeQuietly(session);
    });
  }

  /**
   * Has the server unload a session that does nothing, so that another one has its place. Its clients hear nothing of it: their next call loads it
   * as they had set it up. Returns whether it has no place any more.
   */
  async evict(session: Session): Promise<boolean> {
    return session.exclusively(async () => {
      const { lastUsed } = session;
      const activity = await this.activity(session);
      // Its background tasks would end with it. It is asked about them again when it is the least recently used one once more.
      if (activity === 'Active') session.used();
      if (session.isWorking || session.lastUsed !== lastUsed) return false;
      if (activity === 'Idle') await this.#closeQuietly(session);
      if (session.isLoaded) return false;
      session.evicted();
      return true;
    });
  }

  /**
   * Has the server unload it for another home, where a turn that this cuts goes on. Its clients hear nothing of that. Without a client nobody knows
   * its rules there, so it asks for what they had denied.
   */
  async closeForOther(session: Session): Promise<void> {
    const method = 'sessions.close';
    await session.exclusively(async () => {
      if (!session.isLoaded) return;
      const { upstream, onFailure, release } = this.#options;
      // Clients that are attached bring their rules along.
      if (session.clientCount === 0 && session.replay.restricts) {
        await askAgain(session.id, (each, params) => upstream.call(each, params)).catch((error: unknown) =>
          onFailure('session.permissions.setMode', error),
        );
      }
      try {
        await session.moved(async () => {
          // One with clients is loaded again at once, mostly by the same server.
          const isReleased = session.clientCount === 0 && (await release?.(session)) === true;
          if (!isReleased) await upstream.call(method, { sessionId: session.id });
          return true;
        });
        upstream.dropEvents(session.id);
      } catch (error) {
        onFailure(method, error);
      }
    });
  }

  async #closeQuietly(session: Session): Promise<void> {
    const method = 'sessions.close';
    const { upstream } = this.#options;
    try {
      await session.closedQuietly(async () => {
        await upstream.call(method, { sessionId: session.id });
        upstream.releaseEvents(session.id);
      });
    } catch (error) {
      this.#options.onFailure(method, error);
      if (error instanceof RpcError) session.loaded();
    }
  }

  /**
   * What the server does with a session; it may have unloaded it and said nothing, which is known from then on. It does not load it
   * for this. To be called in {@link Session.exclusively}.
   */
  async activity(session: Session): Promise<'Active' | 'Idle' | 'NotLoaded'> {
    if (!session.isLoaded) return 'NotLoaded';
    const method = 'session.metadata.activity';
    const { upstream, onFailure } = this.#options;
    let found: unknown;
    try {
      found = await upstream.call(method, { sessionId: session.id });
    } catch (error) {
      if (!isNotFound(error)) onFailure(method, error);
      else this.missed(session);
      return 'NotLoaded';
    }
    // It may have said meanwhile that it unloads it.
    if (!session.isLoaded) return 'NotLoaded';
    return isObject(found) && found['hasActiveWork'] === false ? 'Idle' : 'Active';
  }

  /** Has the server unload a session that nobody needs. */
  async unload(session: Session): Promise<void> {
    // Before the turn of the session: whoever attaches meanwhile does not wait for others.
    using _place = await this.#releases.acquire(this.#options.release && this.#caller);
    await session.exclusively(async () => {
      // It may have been deleted, or gone on elsewhere, while this waited.
      if (session.clientCount > 0 || !this.#options.isHere(session)) return;
      await this.#letGo(session);
      this.#options.upstream.releaseEvents(session.id);
      session.unloaded();
      // A client that attached meanwhile loads it again.
      if (session.clientCount === 0) this.#options.forget(session);
    });
  }

  /** Background tasks would end with it: while there are such, or it is not known, the server unloads it when they have ended. */
  async #letGo(session: Session): Promise<void> {
    const { release } = this.#options;
    if (release !== undefined && !session.isWorking) {
      const activity = await this.activity(session);
      const isSilent = activity === 'NotLoaded' && session.isLoaded;
      // A client that is not attached may have called something meanwhile.
      if (activity !== 'Active' && !isSilent && !session.isWorking) return this.#closeForGood(session, release);
    }
    if (session.isLoaded) await this.#call('session.detach', session.id);
  }

  async #closeForGood(session: Session, release: (session: Session) => Promise<boolean>): Promise<void> {
    const { isLoaded } = session;
    await session.closedQuietly(async () => {
      if (!(await release(session)) && isLoaded) await this.#call('sessions.close', session.id);
    });
  }

  /** A client has closed it, or the server by itself. No idle comes of the turn that was running. */
  unloaded(session: Session): void {
    const { onClosed, forget, release } = this.#options;
    if (session.unloaded()) onClosed(session);
    if (session.clientCount > 0) return;
    // The volume does not say yet that it is loaded nowhere.
    if (release === undefined) forget(session);
    else void this.unload(session);
  }

  /** A request has met that the server has it in memory no more. */
  missed(session: Session): void {
    const { upstream, onClosed } = this.#options;
    upstream.releaseEvents(session.id);
    if (session.missed()) onClosed(session);
  }

  /** Nobody waits for that. */
  async #call(method: string, sessionId: string): Promise<void> {
    const { upstream, onFailure } = this.#options;
    try {
      await upstream.call(method, { sessionId });
    } catch (error) {
      onFailure(method, error);
    }
  }
}
