/** How long frames of a client wait for a home: those that have waited too long while there is none wait no more. */
import type { Clock } from '../../kube/clock/clock.ts';
import type { HeldFrame, HeldFrames } from './held-frames.ts';
import type { ForwardLimits } from './limits.ts';

export interface HeldExpiryOptions {
  readonly held: Pick<HeldFrames, 'size' | 'since' | 'shift'>;
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  readonly limits: Pick<ForwardLimits, 'heldMs' | 'lookMs'>;
  /** Whether there is a home: what waits then is about to go on. */
  readonly isServed: () => boolean;
  /** It waits no more. */
  readonly expired: (frame: HeldFrame) => void;
  /** It was looked for such frames. */
  readonly looked: () => void;
}

/** Of one client. */
export class HeldExpiry {
  readonly #options: HeldExpiryOptions;
  #timer: { cancel(): void } | undefined;
  /** Monotonic ms of the end of the last home: until then frames waited for that one. */
  #leftAt = 0;

  constructor(options: HeldExpiryOptions) {
    this.#options = options;
  }

  /** A frame waits. */
  begin(): void {
    const { clock, limits } = this.#options;
    this.#timer ??= clock.setTimer(limits.heldMs, () => this.#look());
  }

  /** The home is none any more. */
  left(): void {
    this.#leftAt = this.#options.clock.monotonic();
  }

  /** The client is gone. */
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { held, clock, limits, isServed, expired, looked } = this.#options;
    this.#timer = undefined;
    const before = clock.monotonic() - limits.heldMs;
    while (!isServed() && this.#since <= before) {
      const frame = held.shift();
      if (frame !== undefined) expired(frame);
    }
    looked();
    if (held.size === 0) return;
    this.#timer = clock.setTimer(Math.max(limits.lookMs, this.#since - before), () => this.#look());
  }

  /** Since when the first frame waits for a home, monotonic ms; Infinity: none does. */
  get #since(): number {
    return Math.max(this.#options.held.since ?? Infinity, this.#leftAt);
  }
}
