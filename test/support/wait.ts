import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `condition` gives something true and returns it. A condition that throws is asked again; after `withinMs` the last error,
 * or `what` and the last value, is the failure.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { withinMs = 30_000, everyMs = 20 }: { withinMs?: number; everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endsAt) {
      const found = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`not within ${withinMs} ms: ${what} (last: ${found})`, { cause: last });
    }
    await sleep(everyMs);
  }
}
