/** Time, injected, so that a test can pass ten minutes in a millisecond. */
import { onAbort } from './abort.ts';

/** Reads the time and waits. */
export interface Clock {
  /** Wall clock, ms since the epoch: for timestamps that users and other processes read. It may jump. */
  now(): number;
  /** ms since some fixed moment; never decreases: for measuring. */
  monotonic(): number;
  /** Resolves after `ms`, or rejects with the signal's reason when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms` unless cancelled. */
  setTimer(ms: number, fn: () => void): Timer;
}

/** A timer that was set. */
export interface Timer {
  cancel(): void;
}

/** A number in [0, 1), as `Math.random`. */
export type Random = () => number;

// setTimeout takes a signed 32-bit number and fires at once beyond it.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
  setTimer: (ms, fn) => {
    const timer = setTimeout(fn, Math.min(ms, LONGEST_TIMEOUT_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};

/** `Clock.sleep` in terms of `Clock.setTimer`. */
export async function sleepOn(clock: Pick<Clock, 'setTimer'>, ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = clock.setTimer(ms, resolve);
  using _abort = onAbort(signal, (reason) => {
    timer.cancel();
    reject(reason);
  });
  await promise;
}
