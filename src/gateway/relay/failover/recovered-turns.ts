/**
 * Looks after turns that go on after a loss. A server that does nothing of one any more, and has not told its end, never will: what it had loaded
 * may have been taken apart in the same moment. So the turn is recovered once more.
 */
import { RpcError } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { waitsForNothing } from './answered-tools.ts';
import { isActive, type Recovering } from './recover-turn.ts';
import type { Session } from '../session/session.ts';

export interface RecoveredTurnsOptions {
  readonly clock: Pick<Clock, 'setTimer'>;
  /** Ms without an event after which the server is asked what it does. */
  readonly quietMs: number;
  readonly call: Recovering['call'];
  /** Has the session loaded, and its turn recovered, as after a loss, unless it was loaded again since `loads`. Returns whether it was not. */
  readonly recover: (session: Session, loads: number) => Promise<boolean>;
  /** It was recovered so often in vain that it is left alone. */
  readonly onLeft: (session: Session) => void;
}

/** What was found when it was last looked at the session. */
interface Look {
  /** After how many ends the turn is that is looked after. */
  readonly ends: number;
  /** Of its loads: also a client that attaches has the server load it. */
  readonly loads: number;
  /** Of its events. */
  readonly bytes: number;
  /** How often the server said that it does nothing, or was found to wait for nothing, one time after the other. */
  readonly idles: number;
  /** Whether the journal, which says whether it waits for nothing, was read since the last event. */
  readonly isRead?: boolean;
}

/** The end of a turn may follow the word that nothing is done, so that is asked twice. */
const IDLES = 2;
/** How often the same turn is recovered: a server that works and says that it does not would be made to begin without end. */
const RECOVERIES = 3;

/** Of one server. */
export class RecoveredTurns {
  readonly #options: RecoveredTurnsOptions;
  /** How often the turn was recovered for this reason that a session is in. */
  readonly #recoveries = new WeakMap<Session, number>();
  /** What is looked for next: a session is looked after once, however often that is asked for. */
  readonly #next = new WeakMap<Session, Look>();

  constructor(options: RecoveredTurnsOptions) {
    this.#options = options;
  }

  /** The session is loaded, or about to be, and its turn is to go on. */
  watch(session: Session): void {
    // The first look only takes down what there is.
    this.#arm(session, { ends: session.turn.ends, loads: -1, bytes: -1, idles: 0 });
  }

  #arm(session: Session, look: Look): void {
    const { clock, quietMs } = this.#options;
    this.#next.set(session, look);
    clock.setTimer(quietMs, () => void this.#look(session, look));
  }

  async #look(session: Session, look: Look): Promise<void> {
    if (this.#next.get(session) !== look) return;
    if (!isUnderWay(session, look)) return void this.#recoveries.delete(session);
    // It is looked after again when it is loaded.
    if (!session.isLoaded) return;
    const { bytes } = session.events;
    const { loads } = session.load;
    const isSame = bytes === look.bytes && loads === look.loads;
    const isQuiet = isSame && session.questions.size === 0 && session.sending === 0;
    const isIdle = isQuiet && !(await this.#works(session, look));
    // It is looked after anew.
    if (this.#next.get(session) !== look) return;
    if (!isIdle) return this.#arm(session, { ...look, loads, bytes, idles: 0, isRead: isQuiet });
    if (look.idles + 1 < IDLES) return this.#arm(session, { ...look, idles: look.idles + 1 });
    // Its end may have come behind the answer.
    if (!isUnderWay(session, look) || session.events.bytes !== bytes) return this.#look(session, look);
    await this.#recover(session, look);
  }

  async #recover(session: Session, look: Look): Promise<void> {
    const before = this.#recoveries.get(session) ?? 0;
    if (before === RECOVERIES) return this.#options.onLeft(session);
    const isRecovered = await this.#options.recover(session, look.loads);
    const isAnew = this.#next.get(session) !== look;
    if (isRecovered && isAnew) this.#recoveries.set(session, before + 1);
    else if (isRecovered) this.#recoveries.delete(session);
    else if (!isAnew) this.#arm(session, { ...look, idles: 0 });
  }

  async #works({ id }: Session, { isRead = false }: Look): Promise<boolean> {
    const { call } = this.#options;
    try {
      return (await isActive(call, id)) && (isRead || !(await waitsForNothing(call, id)));
    } catch (error) {
      // One that it does not have in memory it does not work on. Without an answer, nothing is known.
      return !(error instanceof RpcError);
    }
  }
}

/** Whether it is the same turn still. */
function isUnderWay({ turn }: Session, { ends }: Look): boolean {
  return turn.isTaken && turn.ends === ends;
}
