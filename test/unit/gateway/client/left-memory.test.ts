import { beforeEach, describe, expect, it } from '@jest/globals';
import { LeftMemory } from '../../../../src/gateway/client/left-memory.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let clock: FakeClock;
let given: number;
let memory: LeftMemory;

beforeEach(() => {
  clock = new FakeClock(0);
  given = 0;
  memory = new LeftMemory(clock, () => (given += 1));
});

/** Clients come or leave one at a time, until so many are there. */
function become(from: number, to: number): void {
  const step = Math.sign(to - from);
  for (let clients = from; clients !== to; clients += step) memory.count(clients + step);
}

describe('the memory of clients that have left', () => {
  it('is given back ten seconds after most of many have left, once', async () => {
    become(0, 5_000);
    become(5_000, 0);
    await clock.advance(9_999);
    expect(given).toBe(0);
    await clock.advance(1);
    expect(given).toBe(1);
    await clock.advance(60_000);
    expect(given).toBe(1);
  });

  it('is given back each time', async () => {
    for (const times of [1, 2]) {
      become(0, 2_000);
      become(2_000, 500);
      await clock.advance(10_000);
      expect(given).toBe(times);
      become(500, 0);
    }
  });

  it.each([
    ['few were there', 999, 0],
    ['more than a quarter stays', 4_000, 1_001],
  ])('is not where %s', async (_, most, staying) => {
    become(0, most);
    become(most, staying);
    await clock.advance(60_000);
    expect(given).toBe(0);
  });

  it('is not where they come back meanwhile, but when they have left for good', async () => {
    become(0, 5_000);
    become(5_000, 0);
    await clock.advance(5_000);
    become(0, 5_000);
    await clock.advance(60_000);
    expect(given).toBe(0);
    become(5_000, 0);
    await clock.advance(10_000);
    expect(given).toBe(1);
  });

  it('is not after the end', async () => {
    become(0, 5_000);
    become(5_000, 0);
    memory.stop();
    await clock.advance(60_000);
    expect(given).toBe(0);
  });
});
