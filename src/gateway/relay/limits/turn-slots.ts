/** The turns that one server runs at once, and the prompts that wait for one (docs/adr/0058-placement.md). */
import type { Clock } from '../../../kube/clock/clock.ts';
import { HeldCalls, type HeldCall } from '../held-calls.ts';
import type { RelayLimits } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Session } from '../session/session.ts';
import { turnOrder, type WaitingTurn } from './turn-order.ts';

/** A prompt that wants a turn. */
export interface QueuedTurn extends HeldCall, WaitingTurn {
  readonly session: Session;
  /** Sends it. */
  readonly go: () => void;
  /** Whether the turn that it would begin was given up meanwhile: it goes on at once, and is told so. */
  readonly isCut: () => boolean;
  /** Tells its client how many are before it and how many wait, itself included. */
  readonly tell: (position: number, count: number) => void;
}

export interface TurnSlotsOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes' | 'turnStartMs'>;
  readonly observer: Pick<RelayObserver, 'turnQueued'>;
  /** `spec.sessions.maxConcurrentTurns` now; undefined: any number. */
  readonly max: () => number | undefined;
  /** Whether nothing is to be started now, because the server drains: what waits goes on waiting. */
  readonly holdsStarts: () => boolean;
  readonly sessions: () => Iterable<Session>;
}

/** A turn that a session has got. */
interface Grant {
  readonly user: string | undefined;
  /** Monotonic ms. */
  readonly at: number;
  /** Of the turn of its session. */
  readonly generation: number;
}

/** How often it is looked for a free turn while prompts wait, in ms. Also after each turn. */
const LOOK_MS = 100;
/** The shortest time between two words about its place to a client that waits, in ms. */
const TELL_MS = 1000;

/** Of one server. */
export class TurnSlots {
  readonly #options: TurnSlotsOptions;
  readonly #held: HeldCalls<QueuedTurn>;
  /** In the order of arrival, with what their clients were told, and when. */
  readonly #waiting = new Map<QueuedTurn, { position: number; at: number }>();
  /** Sessions whose prompt has got a turn, which may not have begun. */
  readonly #granted = new WeakMap<Session, Grant>();
  #isLooking = false;

  constructor(options: TurnSlotsOptions) {
    this.#options = options;
    this.#held = new HeldCalls(options.limits);
  }

  /** Sends the prompt now or when its turn comes. Returns false if as many wait as are allowed. */
  enter(turn: QueuedTurn): boolean {
    // Most tenants limit nothing, and nothing is counted for them.
    const isUnlimited = this.#options.max() === undefined;
    const isNext = this.#waiting.size === 0 && (isUnlimited || this.#free > 0);
    if (isNext || this.#isRunning(turn.session)) {
      this.#grant(turn);
      return true;
    }
    const { observer } = this.#options;
    const held: QueuedTurn = { ...turn, forget: () => this.#forget(held, turn.forget) };
    this.#waiting.set(held, { position: 0, at: -Infinity });
    if (!this.#held.hold(held)) {
      this.#waiting.delete(held);
      observer.turnQueued('TooMany');
      return false;
    }
    this.look();
    void this.#keepLooking();
    return true;
  }

  /** The turn of the session ends. */
  ended(session: Session): void {
    this.#granted.delete(session);
  }

  /** A turn may have ended. */
  look(): void {
    if (this.#waiting.size === 0) return;
    for (const turn of this.#waiting.keys()) if (turn.isCut()) this.#take(turn, 'Cut');
    if (this.#options.holdsStarts()) return;
    let free = this.#free;
    for (const turn of this.#order()) {
      // Several prompts of one session are one turn.
      const isPart = this.#isRunning(turn.session);
      if (!isPart && free <= 0) continue;
      if (!isPart) free -= 1;
      this.#take(turn, 'Sent');
    }
    this.#tellAll();
  }

  /** The users of the turns that run: who they are of a turn that was not granted here is not known. */
  #order(): QueuedTurn[] {
    return turnOrder(
      [...this.#waiting.keys()],
      this.#running().map((session) => this.#granted.get(session)?.user),
    );
  }

  #running(): Session[] {
    return [...this.#options.sessions()].filter((session) => this.#isRunning(session));
  }

  get #free(): number {
    return (this.#options.max() ?? Infinity) - this.#running().length;
  }

  /** A prompt that begins no turn, such as a command, has its place as long as one may take to begin. */
  #isRunning(session: Session): boolean {
    const { turn, sending, prompts } = session;
    if (!turn.isTaken) return false;
    const granted = this.#granted.get(session);
    const mayBegin =
      granted?.generation === turn.generation &&
      this.#options.clock.monotonic() - granted.at < this.#options.limits.turnStartMs;
    return turn.isRunning || sending > 0 || prompts.areOnTheWay || mayBegin;
  }

  #grant({ session, user, go }: QueuedTurn): void {
    this.#granted.set(session, { user, at: this.#options.clock.monotonic(), generation: session.turn.generation });
    go();
  }

  #take(turn: QueuedTurn, end: 'Sent' | 'Cut'): void {
    this.#waiting.delete(turn);
    if (!this.#held.take(turn)) return;
    this.#options.observer.turnQueued(end);
    if (end === 'Sent') this.#grant(turn);
    else turn.go();
  }

  #forget(turn: QueuedTurn, forget: () => void): void {
    this.#waiting.delete(turn);
    this.#options.observer.turnQueued('ClientGone');
    forget();
  }

  #tellAll(): void {
    const now = this.#options.clock.monotonic();
    for (const [index, turn] of this.#order().entries()) {
      const told = this.#waiting.get(turn);
      const position = index + 1;
      if (told === undefined || told.position === position || now - told.at < TELL_MS) continue;
      this.#waiting.set(turn, { position, at: now });
      turn.tell(position, this.#waiting.size);
    }
  }

  async #keepLooking(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      while (this.#waiting.size > 0) {
        await this.#options.clock.sleep(LOOK_MS);
        this.look();
      }
    } finally {
      this.#isLooking = false;
    }
  }
}
