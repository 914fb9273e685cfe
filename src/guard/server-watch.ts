/** Whether the CLI accepts connections: what the guard's readiness is. */
import type { Clock, Timer } from '../kube/clock/clock.ts';

export interface ServerWatchOptions {
  /** Resolves to whether a connection could be made, which is closed again. */
  readonly dials: () => Promise<boolean>;
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly changed: (accepts: boolean) => void;
}

/** ms between two looks, while it accepts and while it does not. */
const LOOK_MS = { accepts: 5_000, refuses: 200 };

/** Looks at it at intervals, and when a connection of a client has failed. */
export class ServerWatch {
  readonly #options: ServerWatchOptions;
  #timer: Timer | undefined;
  #isLooking = false;
  #isStopped = false;
  #accepts = false;

  constructor(options: ServerWatchOptions) {
    this.#options = options;
  }

  get accepts(): boolean {
    return this.#accepts;
  }

  /** Looks now. */
  look(): void {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    this.#timer?.cancel();
    void this.#options.dials().then((accepts) => {
      this.#isLooking = false;
      if (this.#isStopped) return;
      if (accepts !== this.#accepts) {
        this.#accepts = accepts;
        this.#options.changed(accepts);
      }
      this.#timer = this.#options.clock.setTimer(LOOK_MS[accepts ? 'accepts' : 'refuses'], () => this.look());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
