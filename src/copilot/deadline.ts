/** Deadlines of calls, which do not pass before the sockets were read. */

/** The part of a clock that deadlines need. */
export interface Timers {
  /** Calls `fn` once after `ms` unless cancelled. */
  setTimer(ms: number, fn: () => void): { cancel(): void };
}

/**
 * Calls `onPassed` after `ms`, but never before the sockets were read once more: after a pause of the whole process
 * (SIGSTOP, a long garbage collection) timers run first, while answers that came in time still lie in the kernel.
 */
export function setDeadline(timers: Timers, ms: number, onPassed: () => void): { cancel(): void } {
  let timer = timers.setTimer(ms, () => {
    timer = timers.setTimer(1, onPassed);
  });
  return { cancel: () => timer.cancel() };
}
