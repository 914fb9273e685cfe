/** Gives back the memory of clients that have left: V8 keeps the pages of its largest heap until it is told that they are needed elsewhere. */
import type { Timer } from '../../kube/clock/clock.ts';
import type { Timers } from '../../copilot/index.ts';

/** Fewer clients leave too little behind. */
const LEAST_LEFT = 1_000;
/** Of the most there were, so many may be there still: a collection stops the process for as long as what they have takes. */
const MOST_STAYING = 0.25;
/** ms from then until memory is given back: clients that come back at once would need it again. */
const REST_MS = 10_000;

/** Counts the clients, and has memory given back once after many have left. */
export class LeftMemory {
  readonly #timers: Timers;
  readonly #giveBack: () => void;
  /** The most there were since it was given back. */
  #most = 0;
  #now = 0;
  #rest: Timer | undefined;

  constructor(timers: Timers, giveBack: () => void) {
    this.#timers = timers;
    this.#giveBack = giveBack;
  }

  /** So many clients are there now. */
  count(clients: number): void {
    this.#now = clients;
    this.#most = Math.max(this.#most, clients);
    if (this.#haveLeft) this.#rest ??= this.#timers.setTimer(REST_MS, () => this.#rested());
  }

  /** Nothing more is given back. */
  stop(): void {
    this.#rest?.cancel();
  }

  get #haveLeft(): boolean {
    return this.#most - this.#now >= LEAST_LEFT && this.#now <= this.#most * MOST_STAYING;
  }

  #rested(): void {
    this.#rest = undefined;
    // Others have come meanwhile, and when they leave it is looked at again.
    if (!this.#haveLeft) return;
    this.#most = this.#now;
    this.#giveBack();
  }
}
