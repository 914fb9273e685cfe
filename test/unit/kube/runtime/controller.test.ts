import { describe, expect, it } from '@jest/globals';
import { StatusError, TerminalError } from '../../../../src/kube/types/errors.ts';
import { LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { keyOf, type NamespacedName } from '../../../../src/kube/types/types.ts';
import { settle } from '../../../support/fake-clock.ts';
import { configMap, setUp } from './running-controller.ts';

describe('a reconcile that ends', () => {
  it('with success runs again only when something changes', async () => {
    const { parents, calls, clock, counted } = setUp();
    parents.set(configMap('a'));
    await clock.advance(10_000_000);
    expect(calls).toHaveLength(1);
    expect(await counted('reconcile_total', { result: 'success' })).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('with requeueAfterMs runs again after that time', async () => {
    const { parents, calls, clock, counted } = setUp(() => ({ requeueAfterMs: 60_000 }));
    parents.set(configMap('a'));
    await clock.advance(59_999);
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls).toHaveLength(2);
    expect(await counted('reconcile_total', { result: 'requeue_after' })).toBe(2);
  });

  it('with an error is retried after 5 ms, 10 ms ... until it succeeds; then the back-off is reset', async () => {
    let failures = 3;
    const at: number[] = [];
    const world = setUp(() => {
      at.push(world.clock.monotonic());
      if (failures-- > 0) throw new Error('not yet');
    });
    world.parents.set(configMap('a'));
    await world.clock.advance(1_000);
    expect(at).toEqual([0, 5, 15, 35]);
    expect(await world.counted('reconcile_errors_total')).toBe(3);
    expect(await world.counted('reconcile_total', { result: 'error' })).toBe(3);
    failures = 1;
    world.controller.enqueue({ namespace: 'ns', name: 'a' });
    await world.clock.advance(1_000);
    expect(at.slice(4)).toEqual([1_000, 1_005]);
  });

  it('with an error every time is retried with delays up to the maximum', async () => {
    const at: number[] = [];
    const world = setUp(
      () => {
        at.push(world.clock.monotonic());
        throw new Error('the webhook is down');
      },
      { maxRetryDelayMs: 60_000 },
    );
    world.parents.set(configMap('a'));
    await world.clock.advance(3_600_000);
    const waits = at.slice(1).map((moment, index) => moment - (at[index] ?? 0));
    // Long waits are rounded up by 2 s.
    expect(Math.max(...waits)).toBeLessThanOrEqual(62_000);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(60_000);
  });

  it('with a Retry-After of the API server is not retried earlier', async () => {
    const at: number[] = [];
    const world = setUp(() => {
      at.push(world.clock.monotonic());
      if (at.length === 1) throw new StatusError({ method: 'POST', path: '/x' }, { code: 429 }, 30_000);
    });
    world.parents.set(configMap('a'));
    await world.clock.advance(60_000);
    expect(at).toEqual([0, 30_000]);
  });

  it('with a terminal error is not retried until something changes', async () => {
    const { parents, calls, clock, counted } = setUp(() => {
      throw new TerminalError('the spec makes no sense');
    });
    const a = configMap('a');
    parents.set(a);
    await clock.advance(10_000_000);
    expect(calls).toHaveLength(1);
    expect(await counted('terminal_reconcile_errors_total')).toBe(1);
    parents.set({ ...a, metadata: { ...a.metadata, resourceVersion: 'next' } });
    await settle();
    expect(calls).toHaveLength(2);
  });

  it.each<[string, () => never]>([
    ['a programming error', () => (undefined as unknown as { x: () => never }).x()],
    [
      'a thrown value that is no error',
      () => {
        // eslint-disable-next-line typescript/only-throw-error -- as a careless library would
        throw 'a string';
      },
    ],
  ])('with %s is counted as a panic and retried', async (_, fail) => {
    const { parents, calls, clock, counted, logged } = setUp(fail);
    parents.set(configMap('a'));
    await clock.advance(5);
    expect(calls).toHaveLength(2);
    expect(await counted('reconcile_panics_total')).toBe(2);
    expect(logged.find(({ level }) => level === 50)).toMatchObject({
      controller: 'test',
      namespace: 'ns',
      name: 'a',
      reconcileID: expect.any(String),
      msg: 'reconcile failed with a programming error',
    });
  });

  it('with a lease that was renewed late is retried, for the process may still lead', async () => {
    let late = true;
    const { parents, calls, clock, counted } = setUp(() => {
      if (late) throw new LeadershipLostError('renewed 10,001 ms ago');
    });
    parents.set(configMap('a'));
    await clock.advance(2_000);
    late = false;
    const attempts = calls.length;
    await clock.advance(10_000);
    expect(calls).toHaveLength(attempts + 1);
    expect(await counted('reconcile_panics_total')).toBe(0);
  });

  it.each<[string, number, { reconcileTimeoutMs?: number }]>([
    ['its own', 10_000, { reconcileTimeoutMs: 10_000 }],
    ['five minutes, unless it has one', 300_000, {}],
  ])('at its timeout (%s) has its signal aborted and is retried', async (_, timeoutMs, options) => {
    const { parents, calls, clock, counted, logged } = setUp(
      (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
      options,
    );
    parents.set(configMap('a'));
    await clock.advance(timeoutMs - 1);
    expect(await counted('reconcile_timeouts_total')).toBe(0);
    await clock.advance(6);
    expect(calls).toHaveLength(2);
    expect(await counted('reconcile_timeouts_total')).toBe(1);
    expect(await counted('reconcile_total', { result: 'error' })).toBe(1);
    expect(logged.find(({ level }) => level === 50)).toMatchObject({
      err: { message: `the reconcile exceeded its timeout of ${timeoutMs} ms` },
    });
  });
});

describe('a namespace in which a watch is forbidden', () => {
  const forbidden = new StatusError({ method: 'WATCH', path: '/secrets' }, { code: 403, reason: 'Forbidden' });

  it('is not reconciled: reconcileForbidden gets the error instead, periodically', async () => {
    const reported: [string, Error][] = [];
    const calls: string[] = [];
    const reconciler = {
      reconcile: async (request: NamespacedName) => void calls.push(keyOf(request)),
      reconcileForbidden: async (request: NamespacedName, error: Error) => void reported.push([keyOf(request), error]),
    };
    const { parents, children, clock } = setUp(undefined, { reconciler });
    children.forbidden.set('ns', forbidden);
    parents.set(configMap('a'));
    await clock.advance(25_000);
    expect(reported).toEqual([
      ['ns/a', forbidden],
      ['ns/a', forbidden],
      ['ns/a', forbidden],
    ]);
    expect(calls).toEqual([]);
    children.forbidden.clear();
    await clock.advance(11_000);
    expect(calls).toEqual(['ns/a']);
  });

  it('does not affect other namespaces, nor deleted objects, which are reconciled', async () => {
    const { parents, children, calls, controller, clock } = setUp();
    children.forbidden.set('elsewhere', forbidden);
    parents.set(configMap('a'));
    const b = configMap('b');
    parents.set({ ...b, metadata: { ...b.metadata, namespace: 'elsewhere' } });
    controller.enqueue({ namespace: 'elsewhere', name: 'deleted' });
    await clock.advance(60_000);
    expect(calls.toSorted()).toEqual(['elsewhere/deleted', 'ns/a']);
  });
});

describe('several workers', () => {
  it('reconcile different keys concurrently, and one key one at a time', async () => {
    const running = new Set<string>();
    let most = 0;
    const release: (() => void)[] = [];
    const world = setUp(
      async ({ name }) => {
        expect(running.has(name)).toBe(false);
        running.add(name);
        most = Math.max(most, running.size);
        await new Promise<void>((resolve) => release.push(resolve));
        running.delete(name);
      },
      { concurrency: 3 },
    );
    for (const name of ['a', 'b', 'c', 'd']) world.parents.set(configMap(name));
    await settle();
    expect([...running]).toEqual(['a', 'b', 'c']);
    expect(await world.counted('active_workers')).toBe(3);
    expect(await world.counted('max_concurrent_reconciles')).toBe(3);
    world.controller.enqueue({ namespace: 'ns', name: 'a' });
    while (release.length > 0) {
      release.pop()?.();
      await settle();
    }
    expect([most, world.calls.filter((key) => key === 'ns/a').length]).toEqual([3, 2]);
  });
});

describe('a stop', () => {
  it('lets reconciles in progress finish, starts no other, and leaves no timer', async () => {
    let finish: () => void = () => undefined;
    const world = setUp(() => new Promise<void>((resolve) => (finish = resolve)));
    world.parents.set(configMap('a'));
    world.parents.set(configMap('b'));
    world.controller.enqueueAfter({ namespace: 'ns', name: 'c' }, 1_000);
    await settle();
    world.stop.abort();
    let ended = false;
    void world.ended.then(() => (ended = true));
    await settle();
    expect(ended).toBe(false);
    finish();
    await world.ended;
    expect([world.calls, world.clock.pendingTimers]).toEqual([['ns/a'], 0]);
  });

  it('before the caches have synced ends at once', async () => {
    const { stop, ended } = setUp(undefined, { synced: false });
    stop.abort();
    await ended;
  });

  it('that takes too long aborts the signals of the reconciles that still run', async () => {
    const world = setUp(
      (_, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    world.parents.set(configMap('a'));
    await settle();
    world.stop.abort();
    world.kill.abort(new Error('time is up'));
    await world.ended;
    expect(await world.counted('reconcile_total', { result: 'error' })).toBe(1);
  });
});
