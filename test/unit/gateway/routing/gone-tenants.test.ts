import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryStore } from '../../../../src/gateway/locks/memory-store.ts';
import { forgetGoneTenants } from '../../../../src/gateway/routing/gone-tenants.ts';
import type { RoutedTenant } from '../../../../src/gateway/routing/slim.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const TENANT = {
  metadata: { namespace: 'team', name: 'acme', uid: 'uid-1' },
  spec: { topology: 'SharedStorage' },
} as RoutedTenant;
const KEY = { tenant: 'uid-1', session: 's' };

let clock: FakeClock;
let memory: MemoryStore;
let asked: string[];
let isAway: boolean;
let isBack: boolean;
let stop: AbortController;
let deleted: (tenant: RoutedTenant) => void;

beforeEach(async () => {
  clock = new FakeClock(0);
  memory = new MemoryStore();
  asked = [];
  [isAway, isBack] = [false, false];
  stop = new AbortController();
  const place = { server: 'team/acme-0', podUID: 'pod' };
  await memory.advance(KEY, { seen: undefined, floor: 0, place, holder: 'h' });
  forgetGoneTenants({
    fleet: {
      onDeleted: (listener) => {
        deleted = listener;
        return () => undefined;
      },
      has: () => isBack,
    },
    store: {
      forgetTenant: async (uid) => {
        asked.push(uid);
        if (isAway) throw new Error('the store is away');
        await memory.forgetTenant(uid);
      },
    },
    clock,
    random: () => 0.5,
    log: { info: () => undefined },
    stop: stop.signal,
  });
});

/** Lets time pass until nothing follows. */
async function pass(ms: number): Promise<void> {
  await settle();
  await clock.advance(ms);
  await settle();
}

describe('the records of a tenant that is gone', () => {
  it('are forgotten, a while after its home has closed', async () => {
    deleted(TENANT);
    await pass(59_000);
    expect(asked).toEqual([]);
    await pass(61_000);
    expect([asked, await memory.read(KEY)]).toEqual([['uid-1'], undefined]);
    await pass(3_600_000);
    expect(asked).toHaveLength(1);
  });

  it('are tried again while the store is away', async () => {
    isAway = true;
    deleted(TENANT);
    await pass(95_000);
    expect(asked).toHaveLength(1);
    isAway = false;
    await pass(20_000);
    expect([asked.length, await memory.read(KEY)]).toEqual([2, undefined]);
  });

  it('are kept where it was gone by mistake', async () => {
    deleted(TENANT);
    isBack = true;
    await pass(3_600_000);
    expect([asked, (await memory.read(KEY))?.epoch]).toEqual([[], 1]);
  });

  it('are not asked for where servers share no volume, or the process stops', async () => {
    deleted({ ...TENANT, spec: {} });
    deleted(TENANT);
    stop.abort();
    await pass(3_600_000);
    expect(asked).toEqual([]);
  });
});
