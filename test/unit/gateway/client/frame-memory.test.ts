import { beforeEach, describe, expect, it } from '@jest/globals';
import { FrameMemory, frameLimits, type FrameHolder } from '../../../../src/gateway/client/frame-memory.ts';

let abandoned: string[];
let memory: FrameMemory;

beforeEach(() => {
  abandoned = [];
  memory = new FrameMemory({ total: 1_000, perTenant: 500, free: 10 });
});

const holder = (name: string, tenant = 'team/acme'): FrameHolder => ({
  tenant,
  abandon: () => abandoned.push(name),
});

describe('the memory for frames that have not arrived in full', () => {
  it('is taken from who has sent nothing for the longest time of the same tenant', () => {
    const [a, b, c] = [holder('a'), holder('b'), holder('c')];
    memory.hold(a, 100);
    memory.hold(b, 300);
    memory.hold(a, 150);
    expect(abandoned).toEqual([]);
    memory.hold(c, 100);
    expect([abandoned, memory.total]).toEqual([['b'], 250]);
  });

  it('is taken from the tenant that has the most, where all of them together have too much', () => {
    memory.hold(holder('a', 'team/a'), 300);
    for (const name of ['b1', 'b2']) memory.hold(holder(name, 'team/b'), 240);
    memory.hold(holder('c', 'team/c'), 200);
    memory.hold(holder('d', 'team/d'), 30);
    expect([abandoned, memory.total]).toEqual([['b1'], 770]);
  });

  it('may be that of one alone, which is too much', () => {
    memory.hold(holder('a'), 501);
    expect([abandoned, memory.total]).toEqual([['a'], 0]);
  });

  it.each([
    [1, 16 * 1024],
    [4_096, 16 * 1024],
    [20_000, 3_355],
    [1_000_000_000, 0],
  ])('holds no more than half of the bound uncounted of %d clients', (clients, free) => {
    const limits = frameLimits(clients);
    expect(limits.free).toBe(free);
    expect(limits.free * clients).toBeLessThanOrEqual(limits.total / 2);
  });

  it('has room for small ones without counting, and again for all once their frames are whole', () => {
    for (let n = 0; n < 1_000; n += 1) {
      memory.hold(holder(String(n)), 10);
      const large = holder('large');
      memory.hold(large, 400);
      memory.hold(large, 5);
      memory.hold(large, 400);
      memory.hold(large, 0);
    }
    expect([abandoned, memory.total]).toEqual([[], 0]);
  });
});
