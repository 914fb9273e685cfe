import { describe, expect, it } from '@jest/globals';
import { leastLoaded } from '../../../../src/gateway/relay/placement.ts';

const load = (index: number, turns: number, sessions: number, takesNew = true) => ({
  index,
  turns,
  sessions,
  takesNew,
});

describe('a new session goes to the server', () => {
  it.each([
    ['with the fewest turns, whatever its sessions', [load(0, 1, 1), load(1, 0, 9)], 1],
    ['with the fewest sessions of those', [load(0, 1, 3), load(1, 1, 2), load(2, 2, 0)], 1],
    ['with the lowest index of those', [load(2, 0, 0), load(1, 0, 0)], 1],
    ['that takes new ones, whatever it has to do', [load(0, 0, 0, false), load(1, 9, 9)], 1],
    ['that comes first, if none does', [load(1, 0, 0, false), load(0, 0, 0, false)], 0],
  ])('%s', (_, servers, chosen) => {
    expect(leastLoaded(servers)?.index).toBe(chosen);
  });

  it('that there is', () => {
    expect(leastLoaded([])).toBeUndefined();
  });
});
