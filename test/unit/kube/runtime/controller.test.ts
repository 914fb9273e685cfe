import { describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { ConfigMap, Deployment, Secret } from '../../../../src/kube/types/builtins.ts';
import {
  Controller,
  type ControllerOptions,
  type ReconcileContext,
  type Result,
} from '../../../../src/kube/runtime/controller.ts';
import { StatusError, TerminalError } from '../../../../src/kube/types/errors.ts';
import { LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { keyOf, type NamespacedName, type OwnerReference } from '../../../../src/kube/types/types.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { metricValue } from '../../../support/metrics.ts';

let uids = 0;
function configMap(name: string): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'ns', name, uid: `uid-${uids++}`, resourceVersion: `${uids}` },
  };
}
function childOf(owner: ConfigMap, name: string, reference: Partial<OwnerReference> = {}): Secret {
  const ownerReferences = [{ ...controllerRef(owner), ...reference }];
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'ns', name, uid: `uid-${uids++}`, resourceVersion: `${uids}`, ownerReferences },
  };
}

/** For what is always seen. */
const reconcileForbidden = async (): Promise<void> => undefined;

type Reconcile = (request: NamespacedName, context: ReconcileContext) => Promise<Result | void> | Result | void;

/** A running controller of ConfigMaps that owns Secrets, and what it was asked to reconcile. */
function setUp(reconcile: Reconcile = () => undefined, options: Partial<ControllerOptions> = {}) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const calls: string[] = [];
  const logged: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const reconciler = {
    reconcile: async (request: NamespacedName, context: ReconcileContext) => {
      calls.push(keyOf(request));
      return await reconcile(request, context);
    },
    reconcileForbidden,
  };
  const controller = new Controller({ name: 'test', reconciler, clock, metrics, log, ...options });
  const parents = new FakeInformer(ConfigMap);
  const children = new FakeInformer(Secret);
  controller.for(parents).owns(children, ConfigMap);
  const stop = new AbortController();
  const kill = new AbortController();
  const ended = controller.run(stop.signal, kill.signal);
  const counted = (name: string, labels: Record<string, string> = {}) =>
    metricValue(metrics, `controller_runtime_${name}`, { controller: 'test', ...labels });
  return { clock, metrics, calls, logged, controller, parents, children, stop, kill, ended, counted };
}

describe('which keys a controller reconciles', () => {
  it('those of its own objects: when they come, change and go', async () => {
    const { parents, calls } = setUp();
    const a = configMap('a');
    parents.set(a);
    await settle();
    parents.set({ ...a, metadata: { ...a.metadata, resourceVersion: 'next' } });
    await settle();
    parents.delete(a);
    await settle();
    expect(calls).toEqual(['ns/a', 'ns/a', 'ns/a']);
  });

  it('those whose spec, labels, annotations or deletion others have changed, not those of which only the status is new', async () => {
    const { parents, calls } = setUp();
    let versions = 0;
    const a = configMap('a');
    const change = async (metadata: Partial<ConfigMap['metadata']>): Promise<number> => {
      const before = calls.length;
      parents.set({ ...a, metadata: { ...a.metadata, ...metadata, resourceVersion: `v${versions++}` } });
      await settle();
      return calls.length - before;
    };
    const last = { generation: 1, labels: { a: 'b' }, annotations: { c: 'd' } };
    expect(await change(last)).toBe(1);
    expect(await change({ ...last, labels: { a: 'b' }, annotations: { c: 'd' } })).toBe(0);
    last.generation = 2;
    expect(await change({ ...last })).toBe(1);
    expect(await change({ ...last, labels: {} })).toBe(1);
    expect(await change({ ...last, labels: {}, annotations: {} })).toBe(1);
    expect(await change({ ...last, labels: {}, annotations: {}, deletionTimestamp: '2026-01-01T00:00:00Z' })).toBe(1);
  });

  it('the owner of a child that comes, changes and goes', async () => {
    const { parents, children, calls } = setUp();
    const a = configMap('a');
    parents.set(a);
    await settle();
    const child = childOf(a, 'child');
    children.set(child);
    await settle();
    children.delete(child);
    await settle();
    expect(calls).toEqual(['ns/a', 'ns/a', 'ns/a']);
  });

  it.each<[string, Partial<OwnerReference>]>([
    ['is of another kind', { kind: 'Pod' }],
    ['is of another group', { apiVersion: 'other.example.com/v1' }],
    ['does not control it', { controller: false }],
    ['was an earlier object of the name', { uid: 'earlier' }],
  ])('not the owner that %s', async (_, reference) => {
    const { parents, children, calls } = setUp();
    const a = configMap('a');
    parents.set(a);
    await settle();
    children.set(childOf(a, 'child', reference));
    await settle();
    expect(calls).toEqual(['ns/a']);
  });

  it('the owner whatever the version of its API group that a child names', async () => {
    const clock = new FakeClock();
    const calls: string[] = [];
    const reconciler = {
      reconcile: async (request: NamespacedName) => void calls.push(keyOf(request)),
      reconcileForbidden,
    };
    const controller = new Controller({
      name: 'test',
      reconciler,
      clock,
      metrics: new Metrics(),
      log: pino({ level: 'silent' }),
    });
    const children = new FakeInformer(Secret);
    controller.owns(children, Deployment);
    const stop = new AbortController();
    const ended = controller.run(stop.signal);
    children.set(childOf(configMap('a'), 'child', { apiVersion: 'apps/v1beta9', kind: 'Deployment' }));
    await settle();
    stop.abort();
    await ended;
    expect(calls).toEqual(['ns/a']);
  });

  it('the present owner too when a child of an earlier one goes: its name is free now', async () => {
    const { parents, children, calls } = setUp();
    const a = configMap('a');
    const child = childOf(a, 'child', { uid: 'earlier' });
    parents.set(a);
    children.set(child);
    await settle();
    children.delete(child);
    await settle();
    expect(calls).toEqual(['ns/a', 'ns/a']);
  });

  it('both owners when a child changes hands', async () => {
    const { parents, children, calls } = setUp();
    const [a, b] = [configMap('a'), configMap('b')];
    parents.set(a);
    parents.set(b);
    const child = childOf(a, 'child');
    children.set(child);
    await settle();
    calls.length = 0;
    children.set({
      ...childOf(b, 'child'),
      metadata: { ...childOf(b, 'child').metadata, uid: child.metadata.uid ?? '' },
    });
    await settle();
    expect(calls.sort()).toEqual(['ns/a', 'ns/b']);
  });

  it('those that a mapping gives; one that throws harms neither the informer nor the next event', async () => {
    const { controller, calls, logged, counted } = setUp();
    const secrets = new FakeInformer(Secret);
    controller.watches(secrets, (secret) => {
      if (secret.metadata.name === 'bad') throw new Error('cannot map this');
      return [{ namespace: 'ns', name: 'mapped' }];
    });
    secrets.set(childOf(configMap('a'), 'bad'));
    secrets.set(childOf(configMap('a'), 'good'));
    await settle();
    expect(calls).toEqual(['ns/mapped']);
    expect(await counted('reconcile_panics_total')).toBe(1);
    expect(logged.find(({ level }) => level === 50)).toMatchObject({
      controller: 'test',
      name: 'bad',
      namespace: 'ns',
    });
  });

  it('none before its caches have synced', async () => {
    const clock = new FakeClock();
    const calls: string[] = [];
    const reconciler = {
      reconcile: async (request: NamespacedName) => void calls.push(keyOf(request)),
      reconcileForbidden,
    };
    const controller = new Controller({
      name: 'test',
      reconciler,
      clock,
      metrics: new Metrics(),
      log: pino({ level: 'silent' }),
    });
    const parents = new FakeInformer(ConfigMap, { synced: false });
    controller.for(parents);
    const stop = new AbortController();
    const ended = controller.run(stop.signal);
    parents.set(configMap('a'));
    await settle();
    expect(calls).toEqual([]);
    parents.finishSync();
    await settle();
    expect(calls).toEqual(['ns/a']);
    stop.abort();
    await ended;
  });
});

describe('how a reconcile ends', () => {
  it('well: it runs again only when something changes', async () => {
    const { parents, calls, clock, counted } = setUp();
    parents.set(configMap('a'));
    await clock.advance(10_000_000);
    expect(calls).toHaveLength(1);
    expect(await counted('reconcile_total', { result: 'success' })).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('well, with a wish to look again later', async () => {
    const { parents, calls, clock, counted } = setUp(() => ({ requeueAfterMs: 60_000 }));
    parents.set(configMap('a'));
    await clock.advance(59_999);
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls).toHaveLength(2);
    expect(await counted('reconcile_total', { result: 'requeue_after' })).toBe(2);
  });

  it('with an error: again after 5 ms, 10 ms ... until it succeeds, and from the beginning after that', async () => {
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

  it('with an error over and over: the waits grow no longer than they may', async () => {
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

  it('with what the API server asked for: no sooner than it said', async () => {
    const at: number[] = [];
    const world = setUp(() => {
      at.push(world.clock.monotonic());
      if (at.length === 1) throw new StatusError({ method: 'POST', path: '/x' }, { code: 429 }, 30_000);
    });
    world.parents.set(configMap('a'));
    await world.clock.advance(60_000);
    expect(at).toEqual([0, 30_000]);
  });

  it('with a terminal error: not again until something changes', async () => {
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
      'something that is no error',
      () => {
        // eslint-disable-next-line typescript/only-throw-error -- what a careless library does
        throw 'a string';
      },
    ],
  ])('with %s: counted as a panic and tried again', async (_, fail) => {
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
      msg: 'reconcile failed by a programming error',
    });
  });

  it('without the lease: not tried again here', async () => {
    const { parents, calls, clock } = setUp(() => {
      throw new LeadershipLostError('gone');
    });
    parents.set(configMap('a'));
    await clock.advance(10_000_000);
    expect(calls).toHaveLength(1);
  });

  it('by its time limit: its signal aborts and it is tried again', async () => {
    const { parents, calls, clock, counted } = setUp(
      (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
      { reconcileTimeoutMs: 10_000 },
    );
    parents.set(configMap('a'));
    await clock.advance(10_005);
    expect(calls).toHaveLength(2);
    expect(await counted('reconcile_timeouts_total')).toBe(1);
  });
});

describe('a namespace whose children are refused to us', () => {
  const refusal = new StatusError({ method: 'WATCH', path: '/secrets' }, { code: 403, reason: 'Forbidden' });

  it('is not acted upon: the reconciler is told why instead, again and again', async () => {
    const told: [string, Error][] = [];
    const calls: string[] = [];
    const reconciler = {
      reconcile: async (request: NamespacedName) => void calls.push(keyOf(request)),
      reconcileForbidden: async (request: NamespacedName, why: Error) => void told.push([keyOf(request), why]),
    };
    const { parents, children, clock } = setUp(undefined, { reconciler });
    children.forbidden.set('ns', refusal);
    parents.set(configMap('a'));
    await clock.advance(25_000);
    expect(told).toEqual([
      ['ns/a', refusal],
      ['ns/a', refusal],
      ['ns/a', refusal],
    ]);
    expect(calls).toEqual([]);
    children.forbidden.clear();
    await clock.advance(11_000);
    expect(calls).toEqual(['ns/a']);
  });

  it('concerns no other namespace, nor an object that is gone, which is only forgotten', async () => {
    const { parents, children, calls, controller, clock } = setUp();
    children.forbidden.set('elsewhere', refusal);
    parents.set(configMap('a'));
    const b = configMap('b');
    parents.set({ ...b, metadata: { ...b.metadata, namespace: 'elsewhere' } });
    controller.enqueue({ namespace: 'elsewhere', name: 'gone' });
    await clock.advance(60_000);
    expect(calls.toSorted()).toEqual(['elsewhere/gone', 'ns/a']);
  });
});

describe('several workers', () => {
  it('reconcile different keys at once, and one key once', async () => {
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
  it('lets the reconciles under way finish, starts no other, and leaves no timer', async () => {
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
    const controller = new Controller({
      name: 'test',
      reconciler: { reconcile: async () => undefined, reconcileForbidden },
      clock: new FakeClock(),
      metrics: new Metrics(),
      log: pino({ level: 'silent' }),
    });
    controller.for(new FakeInformer(ConfigMap, { synced: false }));
    const stop = new AbortController();
    const ended = controller.run(stop.signal);
    stop.abort();
    await ended;
  });

  it('that lasts too long aborts the signal of what still runs', async () => {
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
