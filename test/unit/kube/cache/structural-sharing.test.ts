import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { shareStructure } from '../../../../src/kube/cache/structural-sharing.ts';

/** As if received from the API server: it shares nothing. */
const parsed = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

describe('structural sharing of an object with the one before it', () => {
  it('keeps equal parts once', () => {
    const like = { name: 'a', labels: { app: 'x' }, items: [{ port: 1 }, { port: 2 }] };
    const shared = shareStructure(parsed({ ...like, name: 'b', items: [{ port: 1 }, { port: 3 }] }), like);
    expect(shared).toEqual({ name: 'b', labels: { app: 'x' }, items: [{ port: 1 }, { port: 3 }] });
    expect(shared.labels).toBe(like.labels);
    expect(shared.items[0]).toBe(like.items[0]);
    expect(like).toEqual({ name: 'a', labels: { app: 'x' }, items: [{ port: 1 }, { port: 2 }] });
  });

  it('returns the earlier object if they are equal', () => {
    const like = { spec: { replicas: 1 }, list: [1, null, { a: true }] };
    expect(shareStructure(parsed(like), like)).toBe(like);
  });

  it.each([
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: 1, b: 2 }, { a: 1 }],
    [{ a: undefined }, { b: undefined }],
    [['x'], { 0: 'x' }],
    [{}, []],
    [{ a: null }, { a: {} }],
    [[1, 2], [1]],
  ])('are two when they are not: %j, %j', (fresh: object, like: object) => {
    const expected = structuredClone(fresh);
    const shared = shareStructure(fresh, like);
    expect(shared).not.toBe(like);
    expect(shared).toStrictEqual(expected);
  });

  it('changes no value, whatever the objects are', () => {
    // Few keys and values, so that much is equal.
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, fc.constantFrom(null, 0, 1, '', 'x', true), tie('list'), tie('map')),
      list: fc.array(tie('tree'), { maxLength: 3 }),
      map: fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), tie('tree')),
    }));
    fc.assert(
      fc.property(tree.map(parsed), tree.map(parsed), (fresh, like) => {
        const [expected, before] = [JSON.stringify(fresh), JSON.stringify(like)];
        expect(JSON.stringify(shareStructure(fresh, like))).toBe(expected);
        expect(JSON.stringify(like)).toBe(before);
      }),
    );
  });
});
