/** A deadline for calls to a server. */
import type { Clock } from '../kube/clock/clock.ts';

/** Longest wait for a server to finish a call, in ms: a reconcile ends even when it does not. */
const CALL_TIMEOUT_MS = 30_000;

/** The result of `call`, or a rejection when there is none in time. The call itself continues. */
export async function withTimeout<T>(clock: Clock, call: Promise<T>): Promise<T> {
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    const timer = clock.setTimer(CALL_TIMEOUT_MS, () =>
      reject(new Error(`the server did not finish the call within ${CALL_TIMEOUT_MS / 1000} s`)),
    );
    cancel = () => timer.cancel();
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    cancel();
  }
}
