/** The sessions of a client that a new home is to have: each is restored by itself, and one that cannot be keeps no other one waiting. */
import { Backoff } from '../../kube/clock/backoff.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import type { DeclaredSession } from '../relay/setup/client-state.ts';
import type { ForwardLimits } from './limits.ts';
import { LessRestrictedError, NotNowError } from './restore.ts';

export interface RestoringOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly random: Random;
  readonly limits: Pick<ForwardLimits, 'restoreMs'>;
  /** Has the home attach the client to it. Returns whether it did. @throws NotNowError, LessRestrictedError */
  readonly restore: (session: DeclaredSession) => Promise<boolean>;
  /** Whether the home is none any more. */
  readonly isOver: () => boolean;
  /** It cannot be restored, and its client is to be told why. */
  readonly givenUp: (session: DeclaredSession, why: string) => void;
  /** It need not be waited for any more. */
  readonly settled: (sessionId: string) => void;
}

/** Between two attempts, ms. */
const RETRY = { baseMs: 100, maxMs: 5000 };
/** How often the server may be lost while it loads the session: a journal that brings it down must not do so for ever. */
const LOST_LOADS = 2;

/** At one home. */
export class Restoring {
  readonly #options: RestoringOptions;
  /** Those that the home does not have yet, by their ids. */
  readonly #waiting = new Map<string, DeclaredSession>();

  constructor(options: RestoringOptions) {
    this.#options = options;
  }

  /** Whether the home does not have one yet. Asked for each frame of the client. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  isWaitedFor(sessionId: string | undefined): boolean {
    return sessionId !== undefined && this.#waiting.has(sessionId);
  }

  /** All at the same time, each until the home has it or it is given up. */
  begin(sessions: readonly DeclaredSession[]): void {
    const since = this.#options.clock.monotonic();
    for (const session of sessions) this.#waiting.set(session.sessionId, session);
    for (const session of sessions) void this.#restore(session, since);
  }

  async #restore(session: DeclaredSession, since: number): Promise<void> {
    const { clock, random, isOver, settled } = this.#options;
    const backoff = new Backoff(RETRY, random);
    for (let lostLoads = 0; ;) {
      const found = await this.#try(session, since, lostLoads).catch(homeLost);
      // The next home tries it.
      if (found === undefined || isOver()) return;
      if (found === 'Done') break;
      lostLoads = found.lostLoads;
      await clock.sleep(backoff.next());
      if (isOver()) return;
    }
    this.#waiting.delete(session.sessionId);
    settled(session.sessionId);
  }

  /** @throws NotNowError if the home is lost */
  async #try(
    session: DeclaredSession,
    since: number,
    lostLoads: number,
  ): Promise<'Done' | { readonly lostLoads: number }> {
    const { restore, givenUp, isOver, clock, limits } = this.#options;
    try {
      if (!(await restore(session))) givenUp(session, 'The server has refused to load the session');
      return 'Done';
    } catch (error) {
      if (error instanceof LessRestrictedError) {
        givenUp(session, `The session could not be restored as its clients had set it up: ${error.message}`);
        return 'Done';
      }
      if (!(error instanceof NotNowError) || isOver()) throw error;
      const lost = lostLoads + Number(error.wasSent);
      const isLate = clock.monotonic() - since >= limits.restoreMs;
      if (lost < LOST_LOADS && !isLate) return { lostLoads: lost };
      givenUp(
        session,
        isLate ? 'Its server was away for too long' : 'Its server was lost each time that it loaded the session',
      );
      return 'Done';
    }
  }
}

function homeLost(error: unknown): undefined {
  if (!(error instanceof NotNowError)) throw error;
}
