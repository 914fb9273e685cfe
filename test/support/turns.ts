// The order of everything that takes time, decided by chance: of all that is under way, one thing at a time comes to its end.
import type { Dice } from './random.ts';

interface Turn {
  readonly who: string;
  readonly go: () => void;
}

/** Nothing happens between two steps. */
export class Turns {
  readonly #dice: Dice;
  #waiting: Turn[] = [];
  readonly #held = new Map<string, number>();

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  /** Resolves at some later step. */
  take(who: string): Promise<void> {
    return new Promise((resolve) => this.later(who, resolve));
  }

  /** Calls `go` at some later step. */
  later(who: string, go: () => void): void {
    this.#waiting.push({ who, go });
  }

  /** What `who` does takes at least so many steps from now on, as if its process was stopped. */
  hold(who: string, steps: number): void {
    this.#held.set(who, steps);
  }

  /** Ends one thing that is under way; false: there is none. */
  async step(): Promise<boolean> {
    // All that follows from the last one at once, in as many promises as that takes.
    await new Promise((resolve) => setImmediate(resolve));
    for (const [who, steps] of this.#held) {
      if (steps === 0) this.#held.delete(who);
      else this.#held.set(who, steps - 1);
    }
    const ready = this.#waiting.filter(({ who }) => !this.#held.has(who));
    const turn = this.#dice.oneOf(ready);
    if (turn === undefined && this.#held.size === 0) return false;
    if (turn !== undefined) {
      this.#waiting = this.#waiting.filter((each) => each !== turn);
      turn.go();
    }
    return true;
  }
}
