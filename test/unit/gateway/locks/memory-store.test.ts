import { describe } from '@jest/globals';
import { MemoryStore } from '../../../../src/gateway/locks/memory-store.ts';
import { itIsACoordinationStore, type StoreWorld } from '../../../support/coordination-suite.ts';

async function makeWorld(): Promise<StoreWorld> {
  // There is no second gateway: what is opened again is the same store.
  const store = new MemoryStore();
  return { open: () => store, [Symbol.asyncDispose]: () => store.close() };
}

describe('the store in memory', () => {
  itIsACoordinationStore(makeWorld);
});
