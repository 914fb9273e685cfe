/** Finds out that the path to a server is lost: nobody ends a connection over which nothing passes any more. */
import { setDeadline, type Timers } from '../../../copilot/index.ts';

export interface SilenceOptions {
  readonly timers: Timers;
  /** Ms after which a server that says nothing is asked whether it is there. */
  readonly silentMs: number;
  /** Rises with everything that the server says, or takes of what was written. */
  readonly signs: () => number;
  /** Whether anybody waits for it. Where nobody does, TCP keepalive finds it out as well, without a word to the server. */
  readonly isAwaited: () => boolean;
  /** Asks the server for a sign. */
  readonly ask: () => void;
  /** It gave none. */
  readonly onSilent: () => void;
}

/** So many times as long as before the question a server has for the answer: one that is merely busy must not be taken for lost. */
const PATIENCE = 3;

/** Of one connection. A path that is lost is found in four to five times `silentMs`. */
export class Silence {
  readonly #options: SilenceOptions;
  #timer: { cancel(): void };
  #signs: number;
  /** How often it was looked for a sign in vain, one time after the other. */
  #looks = 0;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#signs = options.signs();
    this.#timer = this.#arm();
  }

  stop(): void {
    this.#timer.cancel();
  }

  /** A deadline, because a pause of this process must not count as silence of the server. */
  #arm(): { cancel(): void } {
    const { timers, silentMs } = this.#options;
    return setDeadline(timers, silentMs, () => this.#look());
  }

  #look(): void {
    const { signs, isAwaited, ask, onSilent } = this.#options;
    const before = this.#signs;
    this.#signs = signs();
    const isQuiet = before === this.#signs && isAwaited();
    this.#looks = isQuiet ? this.#looks + 1 : 0;
    if (this.#looks > PATIENCE) return onSilent();
    if (this.#looks === 1) ask();
    this.#timer = this.#arm();
  }
}
