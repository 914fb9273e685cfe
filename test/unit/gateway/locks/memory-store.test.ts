import { describe } from '@jest/globals';
import { MemoryStore } from '../../../../src/gateway/locks/memory-store.ts';
import { itHasLocks } from '../../../support/coordination-locks.ts';
import { itIsACoordinationStore, type StoreWorld } from '../../../support/coordination-suite.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

async function makeWorld(): Promise<StoreWorld> {
  const clock = new FakeClock();
  // There is no second gateway: what is opened again is the same store.
  const store = new MemoryStore(clock);
  return { open: () => store, pass: (ms) => clock.advance(ms), [Symbol.asyncDispose]: () => store.close() };
}

describe('the store in memory', () => {
  itIsACoordinationStore(makeWorld);
});

describe('locks in memory', () => {
  itHasLocks(makeWorld);
});
