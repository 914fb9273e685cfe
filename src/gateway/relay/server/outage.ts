/** How long a server has been away, when it is dialled again, and when its clients have waited long enough for it. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { RelayLimits } from '../model.ts';

/** Ms from the first failed dial to the next one; each further wait is twice as long, up to the limit. */
const FIRST_WAIT_MS = 25;

type OutageLimits = Pick<RelayLimits, 'redialAfterMs' | 'failoverMs' | 'awayMs'>;

/** Of one server. */
export class Outage {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #limits: OutageLimits;
  /** When the connection was lost, or the first dial failed, monotonic ms; undefined: it is not away, as far as is known. */
  #since: number | undefined;
  /** Whether something was lost with it. Of a server that was never there, such as one that does not start, clients are told soon. */
  #wasThere = false;
  /** When the last dial failed, monotonic ms. */
  #failedAt = -Infinity;
  #failures = 0;

  constructor(clock: Pick<Clock, 'monotonic'>, limits: OutageLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** The connection was lost, which does not keep it from being dialled at once. */
  lost(): void {
    this.#since ??= this.#clock.monotonic();
  }

  /** A dial has failed, or there was nowhere to dial. */
  failed(): void {
    const now = this.#clock.monotonic();
    // Nobody has looked for so long that it may have come and gone since.
    if (now - this.#failedAt >= this.#patienceMs && this.isOver) {
      this.#since = undefined;
      this.#wasThere = false;
    }
    this.lost();
    this.#failedAt = now;
    this.#failures += 1;
  }

  /** It is connected to. */
  ended(): void {
    this.#wasThere = true;
    this.#since = undefined;
    this.#failedAt = -Infinity;
    this.#failures = 0;
  }

  /** It may be another one now, so it is dialled at once. */
  relocated(): void {
    this.#failedAt = -Infinity;
    this.#failures = 0;
  }

  /** Whether the last dial has failed. */
  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** Ms until it is to be dialled. */
  get waitMs(): number {
    const wait = Math.min(this.#limits.redialAfterMs, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
    return Math.max(0, this.#failedAt + wait - this.#clock.monotonic());
  }

  /** Ms for which clients wait for it still. */
  get leftMs(): number {
    if (this.#since === undefined) return this.#patienceMs;
    return Math.max(0, this.#since + this.#patienceMs - this.#clock.monotonic());
  }

  /** Whether clients have waited for it long enough. */
  get isOver(): boolean {
    return this.leftMs === 0;
  }

  get #patienceMs(): number {
    const { failoverMs, awayMs } = this.#limits;
    return this.#wasThere ? failoverMs : Math.min(awayMs, failoverMs);
  }
}
