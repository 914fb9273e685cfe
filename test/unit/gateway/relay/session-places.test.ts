import { describe, expect, it } from '@jest/globals';
import { SessionPlaces } from '../../../../src/gateway/relay/tenant/session-places.ts';

describe('where sessions are', () => {
  it('is known once it was heard, until they are deleted there', () => {
    const places = new SessionPlaces();
    expect(places.find('s')).toBeUndefined();
    places.seen('s', 'one');
    places.deleted('s', 'other');
    expect(places.find('s')).toBe('one');
    places.deleted('s', 'one');
    expect(places.find('s')).toBeUndefined();
  });

  it('is remembered of as many as are bounded', () => {
    const places = new SessionPlaces();
    for (let index = 0; index <= 10_000; index++) places.seen(`s${index}`, 'one');
    expect([places.find('s0'), places.find('s1')]).toEqual([undefined, 'one']);
  });
});

describe('what a server may have', () => {
  it('is anything, until it said what it has', () => {
    const places = new SessionPlaces();
    expect(places.mayHave('s', 'one')).toBe(true);
    places.listed('one', ['a']);
    expect(['a', 's'].map((id) => places.mayHave(id, 'one'))).toEqual([true, false]);
    expect(places.mayHave('s', 'other')).toBe(true);
  });

  it('follows what is heard of it', () => {
    const places = new SessionPlaces();
    places.listed('one', ['a']);
    places.seen('b', 'one');
    places.deleted('a', 'one');
    expect(['a', 'b'].map((id) => places.mayHave(id, 'one'))).toEqual([false, true]);
  });

  it('is anything again of a server that has too many, or that the tenant had no more', () => {
    const places = new SessionPlaces();
    const many = Array.from({ length: 20_000 }, (_, index) => `s${index}`);
    places.listed('one', many);
    expect(places.isListed('one')).toBe(true);
    places.seen('another', 'one');
    expect([places.isListed('one'), places.mayHave('x', 'one')]).toEqual([false, true]);
    places.listed('one', [...many, 'another']);
    expect(places.isListed('one')).toBe(false);
    places.listed('two', []);
    places.removed('two');
    expect(places.mayHave('x', 'two')).toBe(true);
  });
});
