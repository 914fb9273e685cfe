import { describe, expect, it } from '@jest/globals';
import { Members } from '../../../src/gateway/members.ts';

function abc(): { members: Members<string>; places: ReturnType<Members<string>['add']>[] } {
  const members = new Members<string>();
  const places = ['a', 'b', 'c'].map((name) => members.add(name));
  return { members, places };
}

describe('Members', () => {
  it('are in the order in which they came', () => {
    const { members } = abc();
    expect([[...members], members.size, members.first]).toEqual([['a', 'b', 'c'], 3, 'a']);
  });

  it.each([
    [0, ['b', 'c']],
    [1, ['a', 'c']],
    [2, ['a', 'b']],
  ])('number %i leaves', (index, rest) => {
    const { members, places } = abc();
    const place = places[index];
    if (place === undefined) throw new Error('there is no such place');
    expect([members.remove(place), members.remove(place)]).toEqual([true, false]);
    expect([[...members], members.size, members.first]).toEqual([rest, 2, rest[0]]);
    members.add('d');
    expect([...members]).toEqual([...rest, 'd']);
  });

  it('are nobody when all have left', () => {
    const { members, places } = abc();
    for (const place of places) members.remove(place);
    expect([[...members], members.size, members.first]).toEqual([[], 0, undefined]);
    members.add('d');
    expect([...members]).toEqual(['d']);
  });

  it('may leave, and come, while they are looked at', () => {
    const { members, places } = abc();
    const seen: string[] = [];
    for (const name of members) {
      seen.push(name);
      for (const place of places.slice(0, 2)) members.remove(place);
      members.add('d');
    }
    expect([seen, [...members]]).toEqual([
      ['a', 'c'],
      ['c', 'd', 'd'],
    ]);
  });
});
