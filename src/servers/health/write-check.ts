/** Decides when a server is asked whether it can write to its volume, and remembers the answer. */
import { CopilotError, findWriteError, type CallOptions, type WriteError } from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { SharedClient } from '../connection-share.ts';

/**
 * Time between two checks of a server that could write, in ms: a file system that becomes read-only while the server runs is
 * found by then. A server that cannot write is checked with each ping, so that a repair is noticed at once.
 */
const INTERVAL_MS = 5 * 60_000;

/** The write check of one server. */
export class WriteCheck {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #client: SharedClient | undefined;
  #error: WriteError | undefined;
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Why the server cannot write, as of the last answer. */
  get error(): WriteError | undefined {
    return this.#error;
  }

  /** Whether the connection is new, or the time has come. */
  isDue(client: SharedClient): boolean {
    return client !== this.#client || this.#clock.monotonic() >= this.#nextAt;
  }

  /** Asks why the server cannot write. A call that fails changes nothing. */
  async run(client: SharedClient, options: CallOptions): Promise<WriteError | undefined> {
    const now = this.#clock.monotonic();
    this.#client = client;
    try {
      this.#error = await findWriteError(client, options);
    } catch (error) {
      // Whether the server answers is the ping's to say; what was known stays.
      if (!(error instanceof CopilotError)) throw error;
    }
    this.#nextAt = now + (this.#error === undefined ? INTERVAL_MS : 0);
    return this.#error;
  }
}
