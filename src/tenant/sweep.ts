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
  const failures = await Promise.all(steps.map((step) => carryOut(sweeper, tenant, step)));
  return failures.flatMap((failure) => failure ?? []);
}

async function carryOut(
  { attempt, client, facts, clock }: Sweeper,
  tenant: CopilotTenant,
  step: SweepStep,
): Promise<string | undefined> {
  switch (step.action) {
    case 'wait':
      return undefined;
    case 'start': {
      const { index, at, besideServer, live } = step;
      const { operatorImage: image } = facts;
      // The request stays on the claim, for an operator that knows it.
      if (image === undefined) return undefined;
      await attempt.apply(Job, sweepJob(tenant, index, { image, at, besideServer }), live);
      return undefined;
    }
    case 'discard':
      await attempt.delete(Job, step.job);
      return undefined;
    case 'end':
      await attempt.write(step.claim, (signal) => endSweep(client, step.claim, signal));
      return undefined;
    case 'postpone': {
      const at = clock.now() + SWEEP_RETRY_MS;
      const written = await attempt.write(step.claim, (signal) => askForSweep(client, step.claim, at, signal));
      return written ? step.message : undefined;
    }
  }
}
