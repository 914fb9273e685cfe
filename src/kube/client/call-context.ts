/** The deadline and the cancellation of one API call, which Go would pass as a context. */
import { onAbort } from '../clock/abort.ts';
import type { Clock, Timer } from '../clock/clock.ts';
import { TransportError, type RequestLine } from '../types/errors.ts';

/** When a call ends early: its deadline or its caller's signal, as one signal for everything the call waits for. */
export class CallContext implements Disposable {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #caller: Disposable;
  readonly #endsAt: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, request: RequestLine, deadlineMs: number, callerSignal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#endsAt = clock.monotonic() + deadlineMs;
    this.#caller = onAbort(callerSignal, (cause) => {
      this.#controller.abort(new TransportError(request, 'aborted', 'cancelled by the caller', { cause }));
    });
    this.#timer = clock.setTimer(deadlineMs, () => {
      this.#controller.abort(new TransportError(request, 'deadline', `no response within ${deadlineMs} ms`));
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

  /** Waits for `promise`, which takes no signal, until this call ends. */
  async race<T>(promise: Promise<T>): Promise<T> {
    const { promise: ended, reject } = Promise.withResolvers<never>();
    using _abort = onAbort(this.signal, reject);
    // Both get a handler, also when the call has ended already: a rejection without one would end the process.
    return await Promise.race([ended, promise]);
  }

  [Symbol.dispose](): void {
    this.liftDeadline();
    this.#caller[Symbol.dispose]();
  }
}
