// What the locks of every coordination store must do.
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Acquire, CoordinationStore, HeldLock, SessionKey } from '../../src/gateway/locks/store.ts';
import type { StoreWorld } from './coordination-suite.ts';

const CALLERS = 20;
const GATEWAYS = 4;

/** Registers the tests. `makeWorld` makes a world without locks for each of them. */
export function itHasLocks(makeWorld: () => Promise<StoreWorld>): void {
  let world: StoreWorld;
  let store: CoordinationStore;
  let key: SessionKey;
  beforeEach(async () => {
    world = await makeWorld();
    store = world.open();
    key = { tenant: randomUUID(), session: 'first' };
  });
  afterEach(async () => world[Symbol.asyncDispose]());

  const wish = (holder: string, more: Partial<Acquire> = {}): Acquire => ({ holder, ttlMs: 1_000, floor: 0, ...more });
  const acquire = async (holder: string, more: Partial<Acquire> = {}): Promise<HeldLock> => {
    const result = await store.acquire(key, wish(holder, more));
    if (result.outcome !== 'Acquired') throw new Error(`held by ${JSON.stringify(result.by)}`);
    return result.lock;
  };

  it('gives a lock to one of many, and says to the others who has it', async () => {
    const gateways = Array.from({ length: GATEWAYS }, () => world.open());
    const results = await Promise.all(
      Array.from({ length: CALLERS }, (_, caller) =>
        (gateways[caller % GATEWAYS] ?? store).acquire(key, wish(`caller-${caller}`)),
      ),
    );
    const [acquired, ...more] = results.flatMap((result) => (result.outcome === 'Acquired' ? [result.lock] : []));
    expect(more).toEqual([]);
    expect(acquired?.epoch).toBe(1);
    const others = results.flatMap((result) => (result.outcome === 'Held' ? [result.by] : []));
    expect(others).toHaveLength(CALLERS - 1);
    for (const by of others) expect(by).toEqual({ holder: acquired?.holder, epoch: 1 });
  });

  it('does not give a lock twice to the same holder, who may go on with the one that it has', async () => {
    const lock = await acquire('alice');
    expect(await store.acquire(key, wish('alice'))).toEqual({
      outcome: 'Held',
      by: { holder: 'alice', epoch: lock.epoch },
    });
    expect((await store.renew(lock, 1_000)).outcome).toBe('Renewed');
  });

  it('frees a lock for the next, with a higher epoch, and only for who holds it', async () => {
    const lock = await acquire('alice');
    for (const foreign of [
      { ...lock, holder: 'ALICE' },
      { ...lock, epoch: lock.epoch + 1 },
      { ...lock, epoch: 7 },
    ]) {
      expect(await store.release(foreign)).toEqual({ outcome: 'Lost' });
      expect(await store.renew(foreign, 1_000)).toEqual({ outcome: 'Lost' });
    }
    expect((await store.acquire(key, wish('bob'))).outcome).toBe('Held');
    expect(await store.release(lock)).toEqual({ outcome: 'Released' });
    expect(await store.release(lock)).toEqual({ outcome: 'Lost' });
    const next = await acquire('bob');
    expect(next.epoch).toBeGreaterThan(lock.epoch);
    expect(await store.release(lock)).toEqual({ outcome: 'Lost' });
    expect((await world.open().acquire(key, wish('carol'))).outcome).toBe('Held');
    expect((await store.release(next)).outcome).toBe('Released');
    expect((await acquire('alice', { floor: 40 })).epoch).toBe(41);
  });

  it('lets a lock expire that is not renewed, and then knows its holder no more', async () => {
    const other = world.open();
    const lock = await acquire('alice', { ttlMs: 1_000 });
    expect((await other.acquire(key, wish('bob'))).outcome).toBe('Held');
    await world.pass(1_050);
    const result = await other.acquire(key, wish('bob', { ttlMs: 30_000 }));
    expect(result).toMatchObject({ outcome: 'Acquired', lock: { holder: 'bob', epoch: 2 } });
    expect(await store.renew(lock, 1_000)).toEqual({ outcome: 'Lost' });
    expect(await store.release(lock)).toEqual({ outcome: 'Lost' });
    expect(await store.acquire(key, wish('alice'))).toEqual({ outcome: 'Held', by: { holder: 'bob', epoch: 2 } });
  });

  it('keeps a lock that is renewed in time', async () => {
    const other = world.open();
    let lock = await acquire('alice', { ttlMs: 1_000 });
    for (let round = 0; round < 3; round += 1) {
      expect((await other.acquire(key, wish('bob'))).outcome).toBe('Held');
      await world.pass(600);
      const before = lock;
      const renewed = await store.renew(lock, 1_000);
      if (renewed.outcome !== 'Renewed') throw new Error('lost');
      lock = renewed.lock;
      expect(lock.heldUntil).toBeGreaterThan(before.heldUntil);
      expect(lock.epoch).toBe(before.epoch);
    }
    expect((await other.acquire(key, wish('bob'))).outcome).toBe('Held');
  });
}
