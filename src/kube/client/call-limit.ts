/** Bounds how many requests one caller has under way, so that it does not take all connections from the others. */
import { onAbort } from '../clock/abort.ts';

interface Caller {
  running: number;
  readonly waiting: (() => void)[];
}

/**
 * A limit for each caller, known by its signal: all requests of one reconcile carry the same. A tenant with 64 servers whose creation takes
 * seconds, as a slow webhook makes it, then leaves most connections to the others.
 */
export class CallLimit {
  readonly #limit: number;
  readonly #callers = new WeakMap<AbortSignal, Caller>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for the caller's turn, in order; dispose what it returns when the request has ended. Rejects with the signal's reason. */
  async acquire(signal: AbortSignal | undefined): Promise<Disposable> {
    if (signal === undefined) return { [Symbol.dispose]: () => undefined };
    const caller = this.#callers.get(signal) ?? { running: 0, waiting: [] };
    this.#callers.set(signal, caller);
    if (caller.running < this.#limit) caller.running += 1;
    else await turn(caller, signal);
    // Whoever waits takes over the place as it is.
    return { [Symbol.dispose]: () => (caller.waiting.shift() ?? (() => (caller.running -= 1)))() };
  }
}

async function turn({ waiting }: Caller, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  using _abort = onAbort(signal, (reason) => {
    const place = waiting.indexOf(resolve);
    if (place >= 0) waiting.splice(place, 1);
    reject(reason);
  });
  if (!signal.aborted) waiting.push(resolve);
  await promise;
}
