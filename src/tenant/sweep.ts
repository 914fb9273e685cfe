/** Carries out what was decided about sweeps of volumes. */
import { Job } from '../kube/builtins.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Clock } from '../kube/clock.ts';
import { askForSweep, endSweep } from '../resources/sweep.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { Attempt } from './attempt.ts';
import { sweepJob } from './builders/sweepjob.ts';
import { SWEEP_RETRY_MS, type SweepStep } from './decisions/sweep.ts';
import type { OperatorFacts } from './facts.ts';

export interface Sweeper {
  readonly attempt: Attempt;
  readonly client: KubeClient;
  readonly facts: OperatorFacts;
  readonly clock: Clock;
}

/** Returns what is to be told of sweeps that have failed. */
export async function carryOutSweeps(
  sweeper: Sweeper,
  tenant: CopilotTenant,
  steps: readonly SweepStep[],
): Promise<string[]> {
  const told = await Promise.all(steps.map(async (step) => ({ step, written: await carryOut(sweeper, tenant, step) })));
  return told.flatMap(({ step, written }) => (step.action === 'postpone' && written ? [step.message] : []));
}

/** Whether an annotation was written. */
async function carryOut(
  { attempt, client, facts, clock }: Sweeper,
  tenant: CopilotTenant,
  step: SweepStep,
): Promise<boolean> {
  if (step.action === 'end') return attempt.write(step.claim, (signal) => endSweep(client, step.claim, signal));
  if (step.action === 'postpone') {
    const at = clock.now() + SWEEP_RETRY_MS;
    return attempt.write(step.claim, (signal) => askForSweep(client, step.claim, at, signal));
  }
  // Without an image the request stays on the claim, for an operator that knows it.
  if (step.action === 'start' && facts.operatorImage !== undefined) {
    const { index, at, besideServer, live } = step;
    await attempt.apply(Job, sweepJob(tenant, index, { image: facts.operatorImage, at, besideServer }), live);
  }
  if (step.action === 'discard') await attempt.delete(Job, step.job);
  return false;
}
