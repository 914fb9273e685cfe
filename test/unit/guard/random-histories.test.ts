// Random histories of one session on a shared volume: two gateways, three servers behind real guards, and faults. GUARD_SEEDS=1-10000 runs
// others; a history is the same for the same seed.
import { describe, expect, it } from '@jest/globals';
import { guardHistory } from '../../support/guard-history.ts';
import type { GuardMutant } from '../../support/guard-world.ts';
import { seedsOf } from '../../support/random.ts';

const SEEDS = process.env['GUARD_SEEDS'] ?? '1-300';
/** A mutant is found within so many. */
const MOST_SEEDS = 300;

describe('a session on a shared volume, in random histories', () => {
  it(`is one chain of events without a lost turn, in those of the seeds ${SEEDS}`, async () => {
    let acknowledged = 0;
    let moves = 0;
    for (const seed of seedsOf(SEEDS)) {
      const found = await guardHistory(seed);
      if (found.wrong.length > 0)
        throw new Error(
          `GUARD_SEEDS=${seed}:\n${found.wrong.join('\n')}\n${JSON.stringify(found.journal, undefined, 1)}`,
        );
      acknowledged += found.acknowledged;
      moves += found.journal.filter(({ server }, at) => at > 0 && server !== found.journal[at - 1]?.server).length;
    }
    const seeds = seedsOf(SEEDS).length;
    // Else the histories would prove nothing.
    expect(acknowledged).toBeGreaterThan(2 * seeds);
    expect(moves).toBeGreaterThan(seeds / 2);
  }, 3_600_000);

  it.each<[string, GuardMutant]>([
    ['guards check nothing', { checksNothing: true }],
    ['sessions are moved without a close', { movesWithoutClose: true }],
    ['epochs are lost with the container, and nothing is stamped', { forgetsFences: true, hasNoStamps: true }],
    ['the store writes blindly, and nothing is stamped', { writesBlindly: true, hasNoStamps: true }],
  ])(
    'would not be one if %s',
    async (_what, mutant) => {
      let found: readonly string[] = [];
      for (let seed = 1; seed <= MOST_SEEDS && found.length === 0; seed += 1) {
        const { wrong } = await guardHistory(seed, mutant);
        found = wrong.filter((each) => !each.startsWith('in the end'));
      }
      expect(found).not.toEqual([]);
    },
    600_000,
  );
});
