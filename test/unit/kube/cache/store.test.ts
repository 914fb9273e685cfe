import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Store, stripServerFields, type Delta } from '../../../../src/kube/cache/store.ts';
import { keyOf, type KubeObject } from '../../../../src/kube/types/types.ts';

interface Thing extends KubeObject {
  color: string;
}

const thing = (name: string, { namespace = 'a', uid = 'u1', version = '1', color = 'red' } = {}): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { namespace, name, uid, resourceVersion: version },
  color,
});
const byColor = { color: (object: Thing) => (object.color === '' ? [] : [object.color]) };
const types = (deltas: Delta<Thing>[]): string[] => deltas.map(({ type, object }) => `${type} ${keyOf(object)}`);

describe('a store', () => {
  it('finds objects by key, namespace and index, and removes them everywhere', () => {
    const store = new Store(byColor);
    const [a, b] = [thing('a'), thing('b', { namespace: 'b', color: 'blue' })];
    store.upsert(a);
    store.upsert(b);
    expect(store.get('a/a')).toBe(a);
    expect(store.get({ namespace: 'b', name: 'b' })).toBe(b);
    expect(store.list('b')).toEqual([b]);
    expect(store.byIndex('color', 'red')).toEqual([a]);
    store.upsert(thing('a', { version: '2', color: 'blue' }));
    expect(store.byIndex('color', 'red')).toEqual([]);
    store.delete(b);
    expect(store.list('b')).toEqual([]);
    expect([...store.keys()]).toEqual(['a/a']);
  });

  it('names the index that does not exist', () => {
    expect(() => new Store(byColor).byIndex('size', '1')).toThrow(
      'index "size" does not exist; existing indexes: color',
    );
  });

  it('distinguishes a change from a repetition', () => {
    const store = new Store<Thing>();
    expect(types(store.upsert(thing('a')))).toEqual(['added a/a']);
    expect(store.upsert(thing('a'))).toEqual([]);
    expect(types(store.upsert(thing('a', { version: '2' })))).toEqual(['updated a/a']);
  });

  it('reports an object that was recreated under its name as a deletion and an addition', () => {
    const store = new Store<Thing>();
    store.upsert(thing('a', { uid: 'old' }));
    const deltas = store.upsert(thing('a', { uid: 'new', version: '2' }));
    expect(deltas.map(({ type, object }) => [type, object.metadata.uid])).toEqual([
      ['deleted', 'old'],
      ['added', 'new'],
    ]);
  });

  it('does not delete an object because another one of its name was deleted', () => {
    const store = new Store<Thing>();
    store.upsert(thing('a', { uid: 'new' }));
    expect(store.delete(thing('a', { uid: 'old' }))).toEqual([]);
    expect(store.size).toBe(1);
  });

  it('replaces one namespace and leaves the others', () => {
    const store = new Store<Thing>();
    for (const object of [thing('a'), thing('b'), thing('c', { namespace: 'c' })]) store.upsert(object);
    expect(types(store.replace([thing('b')], 'a'))).toEqual(['deleted a/a']);
    expect([...store.keys()].sort()).toEqual(['a/b', 'c/c']);
  });

  it('keeps an object that an indexer can not read, outside of that index, and reports it', () => {
    const reported: string[] = [];
    const color = (object: Thing): string[] => {
      if (object.color === 'poison') throw new Error('poison');
      return [object.color];
    };
    const store = new Store<Thing>({ color }, (_, { metadata }) => reported.push(metadata.name));
    store.upsert(thing('a'));
    expect(types(store.upsert(thing('a', { version: '2', color: 'poison' })))).toEqual(['updated a/a']);
    expect(store.get('a/a')?.color).toBe('poison');
    expect(store.byIndex('color', 'red')).toEqual([]);
    expect(reported).toEqual(['a']);
    store.upsert(thing('a', { version: '3' }));
    expect(store.byIndex('color', 'red')).toHaveLength(1);
    expect(types(store.delete(thing('a', { version: '3' })))).toEqual(['deleted a/a']);
  });

  it('equals a plain map after any history, and so does a copy built from its deltas', () => {
    const object = fc
      .record({
        name: fc.constantFrom('a', 'b', 'c'),
        namespace: fc.constantFrom('x', 'y'),
        uid: fc.constantFrom('u1', 'u2'),
        version: fc.constantFrom('1', '2', '3'),
        color: fc.constantFrom('red', 'blue', ''),
      })
      .map(({ name, ...rest }) => thing(name, rest));
    const change = fc.oneof(
      fc.record({ do: fc.constant('upsert' as const), object }),
      fc.record({ do: fc.constant('delete' as const), object }),
      fc.record({
        do: fc.constant('replace' as const),
        objects: fc.array(object),
        namespace: fc.constantFrom(undefined, 'x'),
      }),
    );
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const store = new Store(byColor);
        const copy = new Map<string, Thing>();
        for (const step of changes) {
          const inScope =
            step.do === 'replace'
              ? step.objects.filter(
                  ({ metadata }) => step.namespace === undefined || metadata.namespace === step.namespace,
                )
              : [];
          const deltas =
            step.do === 'upsert'
              ? store.upsert(step.object)
              : step.do === 'delete'
                ? store.delete(step.object)
                : store.replace(inScope, step.namespace);
          for (const delta of deltas) {
            if (delta.type === 'deleted') expect(copy.delete(keyOf(delta.object))).toBe(true);
            else {
              expect(copy.has(keyOf(delta.object))).toBe(delta.type === 'updated');
              copy.set(keyOf(delta.object), delta.object);
            }
          }
          if (step.do === 'replace') {
            const wanted = new Map(inScope.map((o) => [keyOf(o), o.metadata.uid] as const));
            expect(new Map(store.list(step.namespace).map((o) => [keyOf(o), o.metadata.uid]))).toEqual(wanted);
          }
        }
        expect(new Map(store.list().map((o) => [keyOf(o), o]))).toEqual(copy);
        for (const color of ['red', 'blue']) {
          const expected = [...copy.values()].filter((o) => o.color === color).map(keyOf);
          expect(store.byIndex('color', color).map(keyOf).sort()).toEqual(expected.sort());
        }
        for (const ns of ['x', 'y']) {
          const expected = [...copy.values()].filter((o) => o.metadata.namespace === ns);
          expect(new Set(store.list(ns))).toEqual(new Set(expected));
        }
      }),
    );
  });
});

describe('the default strip', () => {
  it('drops the fields that only the API server and kubectl read, and no others', () => {
    const object = thing('a');
    object.metadata.managedFields = [{ manager: 'kubectl' }];
    object.metadata.annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', mine: 'stays' };
    expect(stripServerFields(object).metadata).toEqual({ ...thing('a').metadata, annotations: { mine: 'stays' } });
  });
});
