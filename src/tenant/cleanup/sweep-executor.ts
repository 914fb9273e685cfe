/** Carries out what was decided about sweeps of volumes. Nothing that fails here says anything about the servers. */
import type { Logger } from 'pino';
import type { Applier } from '../../kube/write/apply.ts';
import { Job } from '../../kube/types/builtins.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { isConflict, isNotFound, toError } from '../../kube/types/errors.ts';
import { OwnerGoneError } from '../../kube/types/owner.ts';
import { clearSweepRequest, postponeSweep, requestSweep } from '../../resources/sweep-request.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sweepJob } from '../builders/sweepjob.ts';
import { refusalOfRequest } from '../decisions/refusal.ts';
import { postponed, SWEEP_RETRY_MS, type Postponed, type SweepStep } from './sweep-decision.ts';
import type { OperatorFacts } from '../model.ts';

export interface Sweeper {
  readonly applier: Applier;
  readonly client: KubeClient;
  readonly facts: OperatorFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Returns what is to be told of sweeps that can't be done now. */
export async function carryOutSweeps(
  sweeper: Sweeper,
  tenant: CopilotTenant,
  steps: readonly SweepStep[],
): Promise<string[]> {
  const told = await Promise.all(steps.map((step) => carryOut(sweeper, tenant, step)));
  return told.flat();
}

async function carryOut(sweeper: Sweeper, tenant: CopilotTenant, step: SweepStep): Promise<string[]> {
  const { client, applier, clock, log, signal } = sweeper;
  try {
    if (step.action === 'start') await start(sweeper, tenant, step);
    if (step.action === 'ask') await requestSweep(client, step.claim, clock.now(), signal);
    if (step.action === 'discard') await applier.delete(Job, step.job, tenant, { signal });
    if (step.action === 'end') await clearSweepRequest(client, step.claim, signal);
    return step.action === 'postpone' ? await postpone(sweeper, step) : [];
  } catch (error) {
    if (signal.aborted) throw error;
    // Something has changed since it was decided, which brings the next pass.
    if (isConflict(error) || isNotFound(error) || error instanceof OwnerGoneError) return [];
    log.warn({ err: error, action: step.action }, 'a sweep of a volume was not carried on');
    if (step.action !== 'start') return [];
    const refusal = refusalOfRequest(error, `Job of tenant ${tenant.metadata.name}`);
    const why = refusal?.message ?? toError(error).message;
    return carryOut(sweeper, tenant, postponed(step.index, step.claim, clock.now() + SWEEP_RETRY_MS, why));
  }
}

async function start(
  { applier, facts, signal }: Sweeper,
  tenant: CopilotTenant,
  step: SweepStep & { action: 'start' },
) {
  const { index, at, besideServer } = step;
  const { operatorImage: image } = facts;
  if (image === undefined) {
    throw new Error(
      'the operator does not know its own image, which sweeps: upgrade its chart, or start it with --operator-image',
    );
  }
  // A Job can't be changed: what stands there by now is left alone.
  const options = { derivedFrom: 'absent', signal } as const;
  await applier.apply(Job, sweepJob(tenant, index, { image, at, besideServer }), undefined, tenant, options);
}

async function postpone({ client, signal }: Sweeper, { claim, until, message }: Postponed): Promise<string[]> {
  await postponeSweep(client, claim, until, signal);
  return [message];
}
