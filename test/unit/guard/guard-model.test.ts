// Two gateways that move a session between three servers, in every order, while the store loses its data, pods die and guards are killed.
import { describe, expect, it } from '@jest/globals';
import { explore, type Budget, type Mutant } from './model.ts';

const NOTHING: Budget = { moves: 2, retries: 1, writes: 1, losses: 0, deaths: 0, restarts: 0, cuts: 0, erasures: 0 };
const BUDGETS: readonly Budget[] = [
  { ...NOTHING, writes: 2 },
  { ...NOTHING, losses: 1, retries: 2 },
  { ...NOTHING, deaths: 1 },
  { ...NOTHING, restarts: 1 },
  { ...NOTHING, cuts: 1, erasures: 1 },
];
const TWO_MOVES: Budget = { ...NOTHING, writes: 2 };
const A_LOSS: Budget = { ...NOTHING, losses: 1 };
const A_CUT: Budget = { ...NOTHING, cuts: 1, erasures: 1 };
const THREE_MOVES: Budget = { ...NOTHING, moves: 3, writes: 2, restarts: 1 };

describe('a session on a shared volume, in every order of what may happen', () => {
  it.each(BUDGETS)('has never two writers, with %j', (budget) => {
    const found = explore(budget);
    expect(found).toEqual({ states: expect.any(Number), served: expect.any(Number) });
    expect(found.states).toBeGreaterThan(5_000);
    expect(found.served).toBeGreaterThan(100);
  });

  it.each<[string, Mutant, Budget]>([
    ['whose guards check nothing', { checksNothing: true }, TWO_MOVES],
    ['that is moved without a close', { movesWithoutClose: true }, TWO_MOVES],
    ['that is taken for closed where the volume has lost its epochs', { trustsSilence: true }, A_CUT],
    ['with no stamps, when the store loses its data', { hasNoStamps: true }, A_LOSS],
    ['with no stamps, in a store that writes blindly', { hasNoStamps: true, writesBlindly: true }, TWO_MOVES],
    ['with no stamps, whose epoch is lost with the container', { hasNoStamps: true, forgetsFences: true }, THREE_MOVES],
  ])('would, as the model finds, have two if it were one %s', (_what, mutant, budget) => {
    expect(explore(budget, mutant)).toHaveProperty('wrong');
  });

  it.each<[string, Mutant, Budget]>([
    ['a store that writes blindly', { writesBlindly: true }, TWO_MOVES],
    ['epochs that are lost with the container', { forgetsFences: true }, { ...NOTHING, restarts: 1 }],
  ])('has none even with %s, by its stamps', (_what, mutant, budget) => {
    expect(explore(budget, mutant)).not.toHaveProperty('wrong');
  });
});
