/** What the clock of a server shows, where another home may have served it until a moment ago. */
import { isObject } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { RelayLimits } from '../model.ts';
import type { Upstream } from '../server/upstream.ts';

export interface ServerTimeOptions {
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly limits: Pick<RelayLimits, 'failoverMs'>;
  readonly upstream: Pick<Upstream, 'call' | 'losses'>;
  /** Another replica may have been the home, and may still have a connection to the server. */
  readonly mayFollow: boolean;
  readonly onFailure: (method: string, error: unknown) => void;
}

export class ServerTime {
  readonly #options: ServerTimeOptions;
  /** Monotonic ms. */
  readonly #since: number;
  /** What the server's clock shows, less monotonic ms, as it was said after so many losses. */
  #clock: { readonly offset: number; readonly losses: number } | undefined;

  constructor(options: ServerTimeOptions) {
    this.#options = options;
    this.#since = options.clock.monotonic();
  }

  /** Has the server say what time it is, for {@link mayBeOfAnother}: clocks of two machines differ, and one may be set while both run. */
  async read(): Promise<void> {
    const { clock, upstream, onFailure } = this.#options;
    const { losses } = upstream;
    if (!this.#isSuccessor || this.#clock?.losses === losses) return;
    try {
      const result = await upstream.call('ping', {});
      const time = isObject(result) ? Date.parse(String(result['timestamp'])) : NaN;
      if (!Number.isNaN(time)) this.#clock = { offset: time - clock.monotonic(), losses };
    } catch (error) {
      onFailure('ping', error);
    }
  }

  /** Whether a time, as servers write it, is so late that another home may have served what was done then. */
  mayBeOfAnother(time: unknown): boolean {
    const { clock, limits } = this.#options;
    if (!this.#isSuccessor || typeof time !== 'string') return false;
    const { offset } = this.#clock ?? {};
    const now = offset === undefined ? clock.now() : clock.monotonic() + offset;
    return now - Date.parse(time) < limits.failoverMs;
  }

  /** Whether another home may have been there a moment ago. */
  get #isSuccessor(): boolean {
    const { clock, limits, mayFollow } = this.#options;
    return mayFollow && clock.monotonic() - this.#since < limits.failoverMs;
  }
}
