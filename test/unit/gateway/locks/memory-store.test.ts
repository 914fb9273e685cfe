import { describe } from '@jest/globals';
import { MemoryStore } from '../../../../src/gateway/locks/memory-store.ts';
import type { CoordinationStore } from '../../../../src/gateway/locks/store.ts';
import { itIsACoordinationStore } from '../../../support/coordination-suite.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('the store in memory', () => {
  itIsACoordinationStore(async () => {
    const clock = new FakeClock();
    // There is no second gateway: what is opened again is the same one.
    const store: CoordinationStore = new MemoryStore(clock);
    return {
      open: () => store,
      pass: (ms) => clock.advance(ms),
      [Symbol.asyncDispose]: () => store.close(),
    };
  });
});
