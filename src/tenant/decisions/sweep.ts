/** What is to be done about a sweep that the claim of a server asks for. */
import type { Job, PersistentVolumeClaim, Pod } from '../../kube/builtins.ts';
import { isControlledBy } from '../../kube/owner.ts';
import { sweepAt } from '../../resources/sweep.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { isReady, servingPod } from '../observe.ts';
import type { ServerWorld } from '../world.ts';
import { isOfOnePod, isStopping } from './cleanup-places.ts';
import { endOf, wordOf } from './cleanup.ts';

/** After a sweep that failed, the next one is made this much later, in ms: what failed is rarely over in minutes. */
export const SWEEP_RETRY_MS = 3_600_000;

/**
 * `start`: make the Job. `end`: it has succeeded, so take the request off. `postpone`: it has failed, so ask for it later. `discard`:
 * take the Job away, for its request is gone. `wait`: nothing to do now.
 */
export type SweepStep = { readonly index: number; readonly reason: string; readonly message: string } & (
  | { readonly action: 'start'; readonly at: string; readonly besideServer: boolean; readonly live: Job | undefined }
  | { readonly action: 'end' | 'postpone'; readonly claim: PersistentVolumeClaim }
  | { readonly action: 'discard'; readonly job: Job }
  | { readonly action: 'wait'; readonly dueInMs?: number | undefined }
);

export interface SweepInput {
  readonly tenant: CopilotTenant;
  readonly server: ServerWorld;
  /** What stands under the name of the Job. */
  readonly job: Job | undefined;
  /** Pods of the tenant that are no server's. */
  readonly pods: readonly Pod[];
  /** Wall clock, ms. */
  readonly now: number;
}

/** Undefined: no sweep is asked for, and there is no Job of one. */
export function sweepStep({ tenant, server, job, pods, now }: SweepInput): SweepStep | undefined {
  const { index, claim } = server;
  const going = claim?.metadata.deletionTimestamp !== undefined;
  const at = claim === undefined || going ? undefined : sweepAt(claim);
  const step = { index };
  if (job !== undefined && isControlledBy(job, tenant)) return underWay({ step, job, pods, claim, at });
  if (claim === undefined || at === undefined) return undefined;
  const dueInMs = Date.parse(at) - now;
  if (dueInMs > 0) return { ...step, action: 'wait', reason: 'NotDue', message: `It is due at ${at}.`, dueInMs };
  const { suspend, replicas } = tenant.spec;
  const besideServer = !suspend && index < replicas;
  const held = besideServer ? heldBy(server, claim) : isStopping(server) && 'The server is still stopping.';
  if (held) return { ...step, action: 'wait', reason: 'VolumeHeld', message: held };
  const message = besideServer ? 'The volume is swept beside its server.' : 'No server runs: the volume is swept.';
  return { ...step, action: 'start', reason: 'Due', message, at, besideServer, live: job };
}

interface UnderWay {
  readonly step: { readonly index: number };
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly claim: PersistentVolumeClaim | undefined;
  readonly at: string | undefined;
}

function underWay({ step, job, pods, claim, at }: UnderWay): SweepStep {
  const end = endOf(job);
  if (end === undefined || job.metadata.deletionTimestamp !== undefined) {
    return { ...step, action: 'wait', reason: 'UnderWay', message: `Job ${job.metadata.name} is at it.` };
  }
  // Whatever was asked for after the Job was made is for the next one, since it may have looked before that.
  if (claim === undefined || at === undefined || at !== sweepAt(job)) {
    return { ...step, action: 'discard', reason: 'Over', message: 'The Job has ended, and its request is over.', job };
  }
  if (end.failure === undefined) {
    return { ...step, action: 'end', reason: 'Swept', message: 'The volume was swept.', claim };
  }
  const why = wordOf(job, pods)?.message ?? end.failure;
  const message = `What deleted sessions have left on the volume of server ${claim.metadata.name} could not be swept, which is tried again in an hour: ${why.replace(/\.?$/, '.')}`;
  return { ...step, action: 'postpone', reason: 'SweepFailed', message, claim };
}

/** Why a Job can't mount the volume of a server that is meant to run. */
function heldBy(server: ServerWorld, { spec }: PersistentVolumeClaim): string | undefined {
  if (isOfOnePod(spec?.accessModes ?? [])) return 'The volume is ReadWriteOncePod: it is swept while no server runs.';
  const pod = servingPod(server);
  // The Job's pod goes to the node of the server, which it has for sure once it is ready.
  return pod !== undefined && isReady(pod) ? undefined : 'The server is not ready yet.';
}
