/**
 * The fault campaign: the life of a tenant with one fault must come to the same as without. `make test` runs a small sample, the same
 * each time, `make test-faults` every plan. A failure names the plan, which FAULT_PLAN=crash:12:at runs again.
 */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Campaign } from './campaign.ts';
import { LIFE } from './life.ts';
import { allPlans, idOf, type Plan, plansOf, sample, shardOf } from './plans.ts';
import { live, type Life } from './run.ts';

/** Plans of each kind in the sample. */
const SAMPLE = Number(process.env['FAULT_SAMPLE'] ?? 1);
const seed = Number(process.env['FAULT_SEED'] ?? 1);
const chosen = process.env['FAULT_PLAN'];
/** Lives at a time: while one waits for the API server, others work. */
const LIVES = Number(process.env['FAULT_LIVES'] ?? 2);
/** Which part of the plans this process runs: `make test-faults JOBS=2` has two processes. */
const SHARD = process.env['FAULT_SHARD'] ?? '1/1';

jest.setTimeout(12 * 3_600_000);

let campaign: Campaign;
let reference: Life;
beforeAll(async () => {
  campaign = await Campaign.start();
  reference = await live(campaign);
});
afterAll(() => campaign.stop());

it('a life without a fault comes to the same each time', async () => {
  await live(campaign, undefined, reference);
});

it('every plan is in one of the shards', () => {
  const plans = allPlans(3, ['create', 'end']);
  const shards = ['1/4', '2/4', '3/4', '4/4'].flatMap((shard) => shardOf(plans, shard));
  expect(shards.map(idOf).toSorted()).toEqual(plans.map(idOf).toSorted());
});

it('a life with one fault comes to the same as without', async () => {
  const plans = shardOf(chosenPlans(), SHARD);
  const failures: string[] = [];
  const startedAll = performance.now();
  let done = 0;
  const run = async (plan: Plan): Promise<void> => {
    const started = performance.now();
    const failure = await live(campaign, plan, reference).then(
      () => undefined,
      (error: unknown) => `${idOf(plan)}: ${error instanceof Error ? error.message : String(error)}`,
    );
    if (failure !== undefined) failures.push(failure);
    done += 1;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const minutesLeft = ((performance.now() - startedAll) / 60_000 / done) * (plans.length - done);
    process.stderr.write(
      `shard ${SHARD}: ${done}/${plans.length}, ${failures.length} failed, ${minutesLeft.toFixed(0)} min left: ` +
        `${idOf(plan)} ${seconds} s${failure === undefined ? '' : ` FAILED: ${failure}`}\n`,
    );
  };
  const left = plans.values();
  const takeTurns = async (): Promise<void> => {
    for (const plan of left) await run(plan);
  };
  await Promise.all(Array.from({ length: LIVES }, takeTurns));
  const again = failures.map((failure) => `FAULT_PLAN=${failure.slice(0, failure.indexOf(': '))} make test-faults`);
  expect({ seed, failures, again }).toEqual({ seed, failures: [], again: [] });
});

function chosenPlans(): Plan[] {
  const plans = allPlans(
    reference.writes,
    LIFE.map(({ name }) => name),
  );
  if (chosen === 'all') return plans;
  if (chosen !== undefined) return plansOf(plans, chosen.split(','));
  return sample(plans, SAMPLE, seed);
}
