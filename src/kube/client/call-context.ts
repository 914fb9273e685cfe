/** The deadline and the cancellation of one API call, which Go would pass as a context. */
import { onAbort } from '../clock/abort.ts';
import type { Clock, Timer } from '../clock/clock.ts';
import { TransportError, type RequestLine } from '../types/errors.ts';

/** What ends work early. */
export interface Ending {
  /** Why it has ended; undefined: it has not. */
  readonly reason: Error | undefined;
  /** Calls `listener`, of which there is one at a time, when it ends, which it must not have done already. Dispose removes it. */
  onEnd(listener: (reason: Error) => void): Disposable;
}

/**
 * When a call ends early: its deadline or its caller's signal, as one thing for everything the call waits for. There is an AbortSignal only
 * for who asks for one: it takes as long to make as a request to write.
 */
export class CallContext implements Ending, Disposable {
  readonly #request: RequestLine;
  readonly #deadlineMs: number;
  readonly #caller: Disposable | undefined;
  readonly #endsAt: number;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #controller: AbortController | undefined;
  #listener: ((reason: Error) => void) | undefined;
  #reason: TransportError | undefined;

  /** `deadlines`: what sets the timer of the deadline; default: the clock. */
  constructor(
    clock: Clock,
    request: RequestLine,
    deadlineMs: number,
    callerSignal: AbortSignal | undefined,
    deadlines: Pick<Clock, 'setTimer'> = clock,
  ) {
    this.#clock = clock;
    this.#request = request;
    this.#deadlineMs = deadlineMs;
    this.#endsAt = clock.monotonic() + deadlineMs;
    this.#timer = deadlines.setTimer(deadlineMs, () => this.#pass());
    this.#caller = callerSignal && onAbort(callerSignal, (cause) => this.#cancel(cause));
  }

  get reason(): TransportError | undefined {
    return this.#reason;
  }

  /** Its reason is a TransportError. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  onEnd(listener: (reason: Error) => void): Disposable {
    this.#listener = listener;
    return { [Symbol.dispose]: () => (this.#listener = undefined) };
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
    this.#caller?.[Symbol.dispose]();
  }

  #pass(): void {
    this.#end(new TransportError(this.#request, 'deadline', `no response within ${this.#deadlineMs} ms`));
  }

  #cancel(cause: unknown): void {
    this.#end(new TransportError(this.#request, 'aborted', 'cancelled by the caller', { cause }));
  }

  #end(reason: TransportError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#listener?.(reason);
  }
}
