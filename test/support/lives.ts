/** Runs lives that chance decides, each by its seed, and says which went wrong and how. */
import type { Life } from './life.ts';
import { Dice, seedsOf } from './random.ts';

/** A life that has come to its end. */
export interface EndedLife {
  readonly life: Pick<Life, 'toString'>;
  /** In sentences; empty: none. */
  readonly problems: readonly string[];
}

export interface Lives {
  /** Of the test. */
  readonly file: string;
  /** The seeds of the unit tests; RELAY_SEEDS has others. */
  readonly sample: string;
  readonly run: (dice: Dice, seed: number) => Promise<EndedLife>;
}

/** Seeds that are shown when many went wrong. */
const MOST_SHOWN = 20;
/** Longest time of a life on a busy machine, in ms. */
const LIFE_MS = 2000;

export function chosenSeeds({ sample }: Pick<Lives, 'sample'>): readonly number[] {
  return seedsOf(process.env['RELAY_SEEDS'] ?? sample);
}

/** For the test that runs them. */
export function deadlineOf(lives: Pick<Lives, 'sample'>): number {
  return 60_000 + chosenSeeds(lives).length * LIFE_MS;
}

/** Fails with the problems and the log of the first life that went wrong, and with the seeds of the others. */
export async function runLives({ file, sample, run }: Lives): Promise<void> {
  const seeds = chosenSeeds({ sample });
  const wrong: { readonly seed: number; readonly problems: readonly string[]; readonly log: string }[] = [];
  for (const seed of seeds) {
    const { life, problems } = await run(new Dice(seed), seed);
    if (problems.length > 0) wrong.push({ seed, problems, log: wrong.length === 0 ? String(life) : '' });
  }
  const [first] = wrong;
  if (first === undefined) return;
  throw new Error(
    [
      `${wrong.length} of ${seeds.length} lives went wrong:`,
      ...wrong.slice(0, MOST_SHOWN).map(({ seed, problems }) => `  seed ${seed}: ${problems.join('; ')}`),
      `To run the first one again: RELAY_SEEDS=${first.seed} npm run -s jest -- ${file} --selectProjects unit`,
      `The log of seed ${first.seed}, in ms since it began:`,
      first.log,
    ].join('\n'),
  );
}
