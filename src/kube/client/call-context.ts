/** The deadline and the cancellation of one API call, which Go would pass as a context. */
import type { Clock, Timer } from '../clock/clock.ts';
import { TransportError, type RequestLine } from '../types/errors.ts';

/**
 * When a call ends early: its deadline or its caller's signal, as one signal for everything the call waits for. Listeners are taken
 * off again on dispose: the caller's signal is often the process's own, and `AbortSignal.any` would hang on it for ever.
 */
export class CallContext implements Disposable {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #callerSignal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #endsAt: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, request: RequestLine, deadlineMs: number, callerSignal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#endsAt = clock.monotonic() + deadlineMs;
    this.#callerSignal = callerSignal;
    this.#onAbort = () => {
      this.#controller.abort(
        new TransportError(request, 'aborted', 'given up by the caller', { cause: callerSignal?.reason }),
      );
    };
    if (callerSignal?.aborted) this.#onAbort();
    callerSignal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = clock.setTimer(deadlineMs, () => {
      this.#controller.abort(new TransportError(request, 'deadline', `no answer within ${deadlineMs} ms`));
    });
  }

  /** Its reason is a TransportError. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  remainingMs(): number {
    return this.#endsAt - this.#clock.monotonic();
  }

  /** From now on only the caller's signal ends the call. */
  liftDeadline(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Waits for `promise`, which knows nothing of signals, but no longer than the limit. */
  async race<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    signal.throwIfAborted();
    let onAbort: (() => void) | undefined;
    const ended = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([promise, ended]);
    } finally {
      if (onAbort) signal.removeEventListener('abort', onAbort);
    }
  }

  [Symbol.dispose](): void {
    this.liftDeadline();
    this.#callerSignal?.removeEventListener('abort', this.#onAbort);
  }
}
