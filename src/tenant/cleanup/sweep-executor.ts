/** Executes what was decided about sweeps. A failure here never affects the servers or their conditions. */
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { Job } from '../../kube/types/builtins.ts';
import { isConflict, isNotFound, StatusError, toError, TransportError } from '../../kube/types/errors.ts';
import { OwnerGoneError } from '../../kube/types/owner.ts';
import type { Applier } from '../../kube/write/apply.ts';
import { clearSweepRequest, postponeSweep, requestSweep } from '../../resources/sweep-request.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { sweepJob } from '../builders/sweepjob.ts';
import { refusalOfRequest } from '../decisions/refusal.ts';
import type { OperatorFacts } from '../model.ts';
import { postponedSweep, type PostponedSweep, SWEEP_RETRY_MS, type SweepDecision } from './sweep-decision.ts';

/** What sweeps are executed with. */
export interface SweepContext {
  readonly applier: Applier;
  readonly client: KubeClient;
  readonly facts: OperatorFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Time for the cache to show what a write conflicted with, in ms. */
const CONFLICT_RETRY_MS = 1_000;
/** Until a step that the API server failed to execute is decided again, in ms: no event need follow a write that was not executed. */
const FAILURE_RETRY_MS = 10_000;

/** What became of the sweeps. */
export interface SweepOutcome {
  /** About sweeps that cannot be done now. */
  readonly failures: readonly string[];
  /** Then what was not done is to be decided again, in ms; undefined: everything was done, or has its time in the cluster. */
  readonly retryAfterMs?: number | undefined;
}

/** Executes all steps; no failure of one is thrown. */
export async function executeSweeps(
  context: SweepContext,
  tenant: CopilotTenant,
  steps: readonly SweepDecision[],
): Promise<SweepOutcome> {
  const outcomes = await Promise.all(steps.map((step) => execute(context, tenant, step)));
  const dues = outcomes.flatMap(({ retryAfterMs }) => retryAfterMs ?? []);
  return {
    failures: outcomes.flatMap(({ failures }) => failures),
    ...(dues.length > 0 && { retryAfterMs: Math.min(...dues) }),
  };
}

async function execute(context: SweepContext, tenant: CopilotTenant, step: SweepDecision): Promise<SweepOutcome> {
  const { client, applier, clock, log, signal } = context;
  try {
    if (step.action === 'start') await start(context, tenant, step);
    if (step.action === 'request') await requestSweep(client, step.claim, clock.now(), signal);
    if (step.action === 'deleteJob') await applier.delete(Job, step.job, tenant, { signal });
    if (step.action === 'clear') await clearSweepRequest(client, step.claim, signal);
    return { failures: step.action === 'postpone' ? await postpone(context, step) : [] };
  } catch (error) {
    if (signal.aborted) throw error;
    // The objects have changed since the decision.
    if (isConflict(error) || isNotFound(error) || error instanceof OwnerGoneError)
      return { failures: [], retryAfterMs: CONFLICT_RETRY_MS };
    log.warn({ err: error, action: step.action }, 'sweep of a volume failed');
    if (step.action !== 'start' || isPassing(error)) return { failures: [], retryAfterMs: FAILURE_RETRY_MS };
    const refusal = refusalOfRequest(error, `Job of tenant ${tenant.metadata.name}`);
    const why = refusal?.message ?? toError(error).message;
    return execute(context, tenant, postponedSweep(step.index, step.claim, clock.now() + SWEEP_RETRY_MS, why));
  }
}

/** Whether the API server is the cause. The Job may even have been created, and then nothing has to be put off for an hour. */
function isPassing(error: unknown): boolean {
  if (error instanceof TransportError) return true;
  return error instanceof StatusError && (error.code >= 500 || error.code === 429);
}

async function start(
  { applier, facts, signal }: SweepContext,
  tenant: CopilotTenant,
  step: SweepDecision & { action: 'start' },
) {
  const { index, at, besideServer } = step;
  const { operatorImage: image } = facts;
  if (image === undefined) {
    throw new Error(
      'the operator does not know its own image, which the Job needs: upgrade the chart, or set --operator-image of the operator',
    );
  }
  // A Job is immutable: one that exists by now is not changed.
  const options = { derivedFrom: 'absent', signal } as const;
  await applier.apply(Job, sweepJob(tenant, index, { image, at, besideServer }), undefined, tenant, options);
}

async function postpone(
  { client, signal }: SweepContext,
  { claim, until, message }: PostponedSweep,
): Promise<string[]> {
  await postponeSweep(client, claim, until, signal);
  return [message];
}
