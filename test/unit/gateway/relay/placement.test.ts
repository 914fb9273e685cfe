import { describe, expect, it } from '@jest/globals';
import type { Placement } from '../../../../src/api/names.ts';
import { chooseServer, type Placed, type ServerLoad } from '../../../../src/gateway/relay/tenant/placement.ts';

const load = (index: number, turns = 0, sessions = 0, takesNew = true): ServerLoad => ({
  index,
  turns,
  sessions,
  takesNew,
});

const NOBODY: Placed = { user: undefined, last: undefined };
const chosen = (placement: Placement, servers: readonly ServerLoad[], placed: Partial<Placed> = {}) =>
  chooseServer(placement, servers, { ...NOBODY, ...placed });

describe('by load a new session goes to the server', () => {
  it.each([
    ['with the fewest turns, whatever its sessions', [load(0, 1, 1), load(1, 0, 9)], 1],
    ['with the fewest sessions of those', [load(0, 1, 3), load(1, 1, 2), load(2, 2, 0)], 1],
    ['with the lowest index of those', [load(2, 0, 0), load(1, 0, 0)], 1],
    ['that takes new ones, whatever it has to do', [load(0, 0, 0, false), load(1, 9, 9)], 1],
    ['that comes first, if none does', [load(1, 0, 0, false), load(0, 0, 0, false)], 0],
  ])('%s', (_, servers, index) => {
    expect(chosen('LeastLoaded', servers)?.server.index).toBe(index);
  });

  it('and it is said why', () => {
    expect(chosen('LeastLoaded', [load(0, 2, 5), load(1, 1, 7)])).toMatchObject({
      reason: 'LeastLoaded',
      message: '1 turns and 7 sessions',
    });
  });
});

describe('in turn new sessions go', () => {
  it('to one server after the other, whatever they have to do', () => {
    const servers = [load(0, 9), load(1), load(2)];
    const order = [];
    for (let last: number | undefined, n = 0; n < 5; n += 1) {
      last = chosen('RoundRobin', servers, { last })?.server.index;
      order.push(last);
    }
    expect(order).toEqual([0, 1, 2, 0, 1]);
  });

  it('past one that takes none, and one that is gone', () => {
    expect(chosen('RoundRobin', [load(0), load(1, 0, 0, false), load(2)], { last: 0 })?.server.index).toBe(2);
    expect(chosen('RoundRobin', [load(0), load(1)], { last: 7 })?.server.index).toBe(0);
  });
});

describe('by user', () => {
  const USERS = Array.from({ length: 10_000 }, (_, n) => `user-${n}@example.com`);
  const serversOf = (count: number, but?: number) =>
    Array.from({ length: count }, (_, index) => load(index, index, 0, index !== but));
  const placesOf = (servers: readonly ServerLoad[]) =>
    USERS.map((user) => chosen('ByUser', servers, { user })?.server.index);

  it('the sessions of a user go to one server, whatever that has to do', () => {
    const places = placesOf(serversOf(3));
    expect(placesOf(serversOf(3).map((server) => ({ ...server, turns: 50 - server.turns })))).toEqual(places);
    for (const index of [0, 1, 2]) {
      const share = places.filter((place) => place === index).length / USERS.length;
      expect(share).toBeGreaterThan(0.31);
      expect(share).toBeLessThan(0.36);
    }
  });

  it('a fourth server takes a quarter of the users, and none of them changes between the others', () => {
    const [before, after] = [placesOf(serversOf(3)), placesOf(serversOf(4))];
    const moved = after.filter((place, n) => place !== before[n]);
    expect(new Set(moved)).toEqual(new Set([3]));
    // By a modulo it would be three quarters.
    expect(moved.length / USERS.length).toBeGreaterThan(0.23);
    expect(moved.length / USERS.length).toBeLessThan(0.27);
  });

  it('of a server that takes none only its own users go elsewhere', () => {
    const [before, without] = [placesOf(serversOf(4)), placesOf(serversOf(4, 2))];
    for (const [n, place] of before.entries()) {
      if (place === 2) expect(without[n]).not.toBe(2);
      else expect(without[n]).toBe(place);
    }
  });

  it('sessions without a user go by load', () => {
    expect(chosen('ByUser', [load(0, 1), load(1)])).toMatchObject({ reason: 'LeastLoaded', server: { index: 1 } });
  });
});

it.each(['LeastLoaded', 'RoundRobin', 'ByUser'] as const)('%s chooses none where there is none', (placement) => {
  expect(chosen(placement, [], { user: 'alice', last: 0 })).toBeUndefined();
});
