/** Listeners of an AbortSignal that leave nothing behind on it. */

/**
 * Calls `listener` with the signal's reason when it aborts; at once, if it has aborted already. Dispose removes the listener: a signal
 * often lives as long as the process and would keep everything that ever listened to it, as `AbortSignal.any` does.
 */
export function onAbort(signal: AbortSignal | undefined, listener: (reason: unknown) => void): Disposable {
  const onEvent = (): void => listener(signal?.reason);
  if (signal?.aborted) onEvent();
  else signal?.addEventListener('abort', onEvent, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener('abort', onEvent) };
}
