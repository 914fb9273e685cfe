/** A deadline for calls to a server. */
import { onAbort } from '../kube/clock/abort.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { LeadershipLostError } from '../kube/runtime/leader-election.ts';

/** Longest wait for a server to finish a call, in ms: a reconcile ends even when it does not. */
const CALL_TIMEOUT_MS = 30_000;

/** The result of `call`, or a rejection when there is none in time, or none before `signal` aborts. The call itself continues. */
export async function withTimeout<T>(clock: Clock, call: Promise<T>, signal?: AbortSignal): Promise<T> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const timer = clock.setTimer(CALL_TIMEOUT_MS, () =>
    reject(new Error(`the server did not finish the call within ${CALL_TIMEOUT_MS / 1000} s`)),
  );
  using _abort = onAbort(signal, reject);
  try {
    return await Promise.race([call, givenUp]);
  } finally {
    timer.cancel();
  }
}

/** Whether a call failed because this process stops or may not write now, which says nothing about the server. */
export function isGivenUp(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || error instanceof LeadershipLostError;
}
