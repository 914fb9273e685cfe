import { describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { ConfigMap, Deployment, Secret } from '../../../../src/kube/types/builtins.ts';
import { controllerManagedBy } from '../../../../src/kube/runtime/builder.ts';
import type { Controller, Reconciler } from '../../../../src/kube/runtime/controller.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { generationChanged } from '../../../../src/kube/runtime/predicates.ts';
import { keyOf, type OwnerReference } from '../../../../src/kube/types/types.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { childOf, configMap, setUp } from './running-controller.ts';

/** What a builder needs, and the controllers that it adds. */
function bare() {
  const clock = new FakeClock();
  const added: Controller[] = [];
  const calls: string[] = [];
  const manager = {
    clock,
    metrics: new Metrics(),
    log: pino({ level: 'silent' }),
    addController: (controller: Controller) => void added.push(controller),
  };
  const reconciler: Reconciler = {
    reconcile: async (request) => void calls.push(keyOf(request)),
    reconcileForbidden: async () => undefined,
  };
  return { clock, manager, added, calls, reconciler };
}

describe('the keys that a controller reconciles are', () => {
  it('its own objects, when they are created, updated and deleted', async () => {
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

  it('those whose spec, labels, annotations or deletion have changed, not those with only a new status', async () => {
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

  it('the owner of a child that is created and deleted', async () => {
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
  ])('not an owner that %s', async (_, reference) => {
    const { parents, children, calls } = setUp();
    const a = configMap('a');
    parents.set(a);
    await settle();
    children.set(childOf(a, 'child', reference));
    await settle();
    expect(calls).toEqual(['ns/a']);
  });

  it('the owner, whichever version of its API group the child has in its reference', async () => {
    const { manager, calls, reconciler } = bare();
    const children = new FakeInformer(Secret);
    const controller = controllerManagedBy(manager)
      .for(new FakeInformer(Deployment))
      .owns(children)
      .complete(reconciler);
    const stop = new AbortController();
    const ended = controller.run(stop.signal);
    children.set(childOf(configMap('a'), 'child', { apiVersion: 'apps/v1beta9', kind: 'Deployment' }));
    await settle();
    stop.abort();
    await ended;
    expect(calls).toEqual(['ns/a']);
  });

  it('the present owner when a child of an earlier one is deleted, as its name is free now', async () => {
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

  it('both owners when the owner of a child changes', async () => {
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

  it('those that a mapping returns; if it throws, later events are still mapped', async () => {
    const { controller, calls, logged, counted } = setUp();
    const secrets = new FakeInformer(Secret);
    controller.watch(secrets, (secret) => {
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
    const { parents, calls, stop, ended } = setUp(undefined, { synced: false });
    parents.set(configMap('a'));
    await settle();
    expect(calls).toEqual([]);
    parents.finishSync();
    await settle();
    expect(calls).toEqual(['ns/a']);
    stop.abort();
    await ended;
  });

  it('those of updates that match the predicate, after the delay', async () => {
    const { manager, clock, calls, reconciler } = bare();
    const secrets = new FakeInformer(Secret);
    const controller = controllerManagedBy(manager)
      .for(new FakeInformer(ConfigMap))
      .watches(secrets, ({ metadata: { name } }) => [{ namespace: 'ns', name }], {
        predicate: generationChanged,
        delayMs: 1_000,
      })
      .complete(reconciler);
    const stop = new AbortController();
    const ended = controller.run(stop.signal);
    const secret = childOf(configMap('a'), 'secret');
    const update = (generation: number, resourceVersion: string) =>
      secrets.set({ ...secret, metadata: { ...secret.metadata, generation, resourceVersion } });
    update(1, 'created');
    await clock.advance(999);
    expect(calls).toEqual([]);
    await clock.advance(1);
    expect(calls).toEqual(['ns/secret']);
    update(1, 'status');
    await clock.advance(1_000);
    expect(calls).toHaveLength(1);
    update(2, 'spec');
    await clock.advance(1_000);
    expect(calls).toHaveLength(2);
    stop.abort();
    await ended;
  });
});

describe('the controller of a builder', () => {
  it('is added to the manager, under the kind of its objects unless it has another name', () => {
    const { manager, added, reconciler } = bare();
    const parents = new FakeInformer(ConfigMap);
    const controllers = [
      controllerManagedBy(manager).for(parents).complete(reconciler),
      controllerManagedBy(manager).named('copier').for(parents).complete(reconciler),
    ];
    expect(added).toEqual(controllers);
    expect(added.map(({ name }) => name)).toEqual(['configmap', 'copier']);
  });

  it('needs objects to reconcile', () => {
    const { manager, reconciler } = bare();
    expect(() => controllerManagedBy(manager).complete(reconciler)).toThrow('call for()');
  });
});
