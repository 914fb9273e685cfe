import { describe, expect, it } from '@jest/globals';
import { Reflector } from '../../../../src/kube/cache/reflector.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';

import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import type { WatchEvent } from '../../../../src/kube/types/types.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const request = { method: 'WATCH', path: '/' };

/** A reflector of a server whose streamed list lasts `lifeMs` and fails with `error`; returns how often it was started. */
async function startsWithin(ms: number, lifeMs: number, error: Error): Promise<number> {
  const clock = new FakeClock();
  let starts = 0;
  const client = {
    async *watch(_: unknown, { signal }: { signal: AbortSignal }) {
      starts += 1;
      for (let t = 0; t < lifeMs; t += 1000) {
        await clock.sleep(1000, signal);
        const metadata = { namespace: 'ns', name: `object-${t}`, resourceVersion: '1' };
        yield { type: 'ADDED', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata } } as WatchEvent<ConfigMap>;
      }
      throw error;
    },
  } as unknown as KubeClient;
  const nothing = (): void => undefined;
  const target = { prepare: (object: ConfigMap) => object, replace: nothing, upsert: nothing, delete: nothing };
  const stop = new AbortController();
  const reflector = new Reflector<ConfigMap>({ client, type: ConfigMap, target, clock, random: () => 0.5 });
  const running = reflector.run(stop.signal);
  for (let passed = 0; passed < ms; passed += 1000) await clock.advance(1000);
  stop.abort();
  await clock.advance(1000);
  await running;
  return starts;
}

describe('a reflector', () => {
  it.each([9_000, 11_000, 25_000])('backs off from a list that always fails after %d ms', async (lifeMs) => {
    const starts = await startsWithin(1_800_000, lifeMs, new TransportError(request, 'network', 'connection reset'));
    // Nearly every start waits for the longest delay, 15 to 30 s, after the list has failed.
    expect(starts).toBeLessThan(1_800_000 / (lifeMs + 15_000) + 8);
  });

  it('does not obey a Retry-After of a day for a day', async () => {
    const error = new StatusError(request, { code: 503 }, 86_400_000);
    expect(await startsWithin(3_600_000, 0, error)).toBeGreaterThanOrEqual(12);
  });
});
