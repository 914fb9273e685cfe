/** What a process runs: parts that start and stop together, and how that ends. */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';

/** Anything that starts and stops with the manager. */
export interface Runnable {
  name: string;
  /**
   * Runs until `stop` aborts; `kill` aborts when the time to finish is over. If it rejects, or resolves earlier, the manager stops with
   * an error.
   */
  run(stop: AbortSignal, kill: AbortSignal): Promise<void>;
  /** Whether it starts only once this process is the leader, as controllers do. Default true. */
  needsLeadership?: boolean;
  /** Whether its `stop` aborts only when the others have ended, which need it until then, or when `kill` does. Default false. */
  stopsLast?: boolean;
}

/**
 * Why a manager ended. The process exits with 0 only after `stopped`. After `restored` (the API server's data are those of a backup) it must not
 * continue with what it knows, and neither after `leadership lost`.
 */
export type Outcome =
  { reason: 'stopped' } | { reason: 'leadership lost' } | { reason: 'failed' | 'restored'; error: unknown };

/** Runnables that start and stop together. */
export class RunnableGroup {
  readonly stop = new AbortController();
  readonly kill = new AbortController();
  /** Stops those that stop last. */
  readonly #stopLast = new AbortController();
  /** Resolves when one of them ends before it was stopped; never, if none does. */
  readonly failed: Promise<Outcome>;
  /** Resolves when all have ended, with or without an error. */
  ended: Promise<unknown> = Promise.resolve();
  readonly #runnables: Runnable[];
  readonly #log: Logger;
  #fail: (outcome: Outcome) => void = () => undefined;

  constructor(runnables: Runnable[], log: Logger) {
    this.#runnables = runnables;
    this.#log = log;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
  }

  start(): void {
    const runAll = (runnables: Runnable[]): Promise<unknown> =>
      Promise.all(runnables.map((runnable) => this.#run(runnable)));
    const last = runAll(this.#runnables.filter(({ stopsLast }) => stopsLast === true));
    const others = runAll(this.#runnables.filter(({ stopsLast }) => stopsLast !== true));
    const stopLast = (): void => this.#stopLast.abort();
    onAbort(this.stop.signal, () => {
      void others.then(stopLast);
      onAbort(this.kill.signal, stopLast);
    });
    this.ended = Promise.all([last, others]);
  }

  async #run(runnable: Runnable): Promise<void> {
    const { signal } = runnable.stopsLast === true ? this.#stopLast : this.stop;
    try {
      await runnable.run(signal, this.kill.signal);
      if (!this.stop.signal.aborted) throw new Error('ended before it was stopped');
    } catch (error) {
      // It waited for something, as for its next round.
      if (signal.aborted && error === signal.reason) return;
      if (this.stop.signal.aborted)
        this.#log.warn({ err: error, runnable: runnable.name }, 'a runnable failed while stopping');
      this.#fail({ reason: 'failed', error: new Error(`${runnable.name} failed`, { cause: error }) });
    }
  }
}
