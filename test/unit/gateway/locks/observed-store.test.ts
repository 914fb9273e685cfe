import { describe, expect, it } from '@jest/globals';
import { MemoryStore } from '../../../../src/gateway/locks/memory-store.ts';
import { ObservedStore } from '../../../../src/gateway/locks/observed-store.ts';
import type { Operation, OperationResult } from '../../../../src/gateway/locks/observer.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const key = { tenant: 'uid', session: 's' };
const place = { server: 'team/acme-0', podUID: 'pod' };

describe('a store that is observed', () => {
  it('tells what came of each operation, and how long it took', async () => {
    const clock = new FakeClock();
    const told: [Operation, OperationResult, number][] = [];
    const observer = { operated: (...each: [Operation, OperationResult, number]) => void told.push(each) };
    const store = new ObservedStore({ store: new MemoryStore(), clock, observer });
    const to = { seen: undefined, floor: 0, place, holder: 'a' };
    await store.read(key);
    const won = await store.advance(key, to);
    await store.advance(key, to);
    if (won.record !== undefined) await store.settle(key, won.record);
    for await (const page of store.list(key.tenant)) {
      expect(page).toHaveLength(1);
      await clock.advance(250);
    }
    await store.advance(key, { ...to, floor: -1 }).catch(() => undefined);
    await store.close();
    await store.forgetTenant(key.tenant).catch(() => undefined);
    const pages = store.list(key.tenant)[Symbol.asyncIterator]();
    await pages.next().catch(() => undefined);
    expect(told).toEqual([
      ['read', 'Done', 0],
      ['advance', 'Done', 0],
      ['advance', 'Lost', 0],
      ['settle', 'Done', 0],
      ['list', 'Done', 0.25],
      ['advance', 'Invalid', 0],
      ['forgetTenant', 'Unavailable', 0],
      ['list', 'Unavailable', 0],
    ]);
  });
});
