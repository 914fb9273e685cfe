import { beforeEach, describe, expect, it } from '@jest/globals';
import { HalfOpen, addressKey, type HalfOpenEntry } from '../../../../src/gateway/client/half-open.ts';

let evicted: string[];

beforeEach(() => {
  evicted = [];
});

const entry = (name: string, from = 'a'): HalfOpenEntry => ({ from, evict: () => evicted.push(name) });
const bounds = { total: 3, perAddress: 2, bytes: 1_000 };

describe('connections that are not admitted', () => {
  it('make room of the same address for a further one, the oldest first', () => {
    const open = new HalfOpen(bounds);
    for (const name of ['1', '2', '3', '4']) open.add(entry(name));
    expect([evicted, open.size]).toEqual([['1', '2'], 2]);
  });

  it('make room of any address when there are too many in all', () => {
    const open = new HalfOpen(bounds);
    for (const name of ['1', '2', '3', '4']) open.add(entry(name, name));
    expect([evicted, open.size]).toEqual([['1'], 3]);
  });

  it('count no longer once they are admitted or gone', () => {
    const open = new HalfOpen(bounds);
    for (let n = 0; n < 100; n += 1) {
      const one = entry(String(n));
      open.add(one);
      open.received(one, 900);
      open.remove(one);
      open.remove(one);
    }
    expect([evicted, open.size]).toEqual([[], 0]);
  });

  it('make room when they hold too much', () => {
    const open = new HalfOpen(bounds);
    const [old, young] = [entry('old'), entry('young', 'b')];
    open.add(old);
    open.add(young);
    open.received(old, 600);
    open.received(young, 400);
    expect(evicted).toEqual([]);
    open.received(young, 1);
    expect(evicted).toEqual(['old']);
    // What arrives for one that is gone holds nothing.
    open.received(old, 10_000);
    expect(open.size).toBe(1);
  });

  it('may be one alone in a bound of one', () => {
    const open = new HalfOpen({ total: 1, perAddress: 1, bytes: 1 });
    for (const name of ['1', '2', '3']) open.add(entry(name));
    expect([evicted, open.size]).toEqual([['1', '2'], 1]);
  });
});

describe('an address', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['unknown', 'unknown'],
  ])('%s counts as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});
