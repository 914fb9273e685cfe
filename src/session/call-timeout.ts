import type { Clock } from '../kube/clock/clock.ts';

/** Longest wait for what a server was told to do, in ms: whatever it does, a pass ends. */
const CALL_TIMEOUT_MS = 30_000;

/** The outcome of `call`, or a rejection when there is none within `ms`. The call itself goes on. */
export async function withTimeout<T>(clock: Clock, call: Promise<T>, ms = CALL_TIMEOUT_MS): Promise<T> {
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    const timer = clock.setTimer(ms, () => reject(new Error(`the server did not do it within ${ms / 1000} s`)));
    cancel = () => timer.cancel();
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    cancel();
  }
}
