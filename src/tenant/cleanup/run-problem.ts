/** Decides whether a cleanup run cannot start or end, which keeps the next one from starting (`concurrencyPolicy: Forbid`). */
import type { Pod } from '../../kube/types/builtins.ts';
import { containerProblem, type ContainerStatus } from '../decisions/container-problem.ts';
import { cleanupContainer } from '../../resources/cleanup-pod.ts';
import { isSuspended } from '../../resources/job.ts';
import { detail } from '../../resources/quote.ts';
import { refusalOfMessage } from '../decisions/refusal.ts';
import type { EventWarning } from '../../resources/event-warning.ts';
import { openRun, type Runs } from '../open-run.ts';

/** How long a Job may be suspended, in ms: queues admit Jobs after some time. */
const SUSPENDED_GRACE_MS = 10 * 60_000;
/** How long a run may take to start before its problem is reported, in ms: nodes, images and quotas need some time. */
const START_GRACE_MS = 60_000;
/** Longer than the deadline of a run (builders/cronjob.ts), in ms. */
const MAX_RUN_MS = 35 * 60_000;

/** What is decided from. */
export interface RunProblemInput extends Runs {
  /** The latest Warning event of the Job or its pod, where their status does not say why the run does not start. */
  readonly warning?: EventWarning | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/**
 * Why the open run cannot start or end, or in how many ms it will count as blocked. `isWaiting`: none of its containers runs, so that
 * the operator has servers delete expired sessions meanwhile.
 */
export interface RunProblem {
  readonly blocked?: string | undefined;
  readonly isWaiting?: boolean;
  readonly dueInMs?: number | undefined;
}

/** The problem of the open run; empty if there is none. */
export function runProblem({ warning, now, ...runs }: RunProblemInput): RunProblem {
  const run = openRun(runs);
  if (run === undefined) return {};
  const { job, pod } = run;
  const { name, creationTimestamp = '' } = job.metadata;
  const ageMs = now - Date.parse(creationTimestamp);
  if (isSuspended(job)) {
    if (ageMs < SUSPENDED_GRACE_MS) return { dueInMs: SUSPENDED_GRACE_MS - ageMs };
    const blocked = `Job ${name} is suspended, and no other cleanup run starts until it has ended. Exclude the namespace from the controller that suspends its Jobs, such as Kueue, or run kubectl delete job ${name}.`;
    return { blocked, isWaiting: true };
  }
  if (ageMs < START_GRACE_MS) return { dueInMs: START_GRACE_MS - ageMs };
  const problem = startProblem(pod, warning, name);
  if (problem !== undefined) return { blocked: problem, isWaiting: true };
  if (ageMs < MAX_RUN_MS) return { dueInMs: MAX_RUN_MS - ageMs };
  return {
    blocked: `Job ${name} has not ended within its deadline, and no other cleanup run starts until it has. Find the cause with kubectl describe job ${name}, then run kubectl delete job ${name}.`,
  };
}

/** Why the pod of a run does not start, without the random name of the pod: that would change the message with each attempt. */
export function startProblem(pod: Pod | undefined, warning: EventWarning | undefined, job: string): string | undefined {
  if (pod === undefined) {
    if (warning === undefined) return undefined;
    return refusalOfMessage(warning.message, `Pod of Job ${job}`, { resources: 'spec.sessions.cleanupResources' })
      .message;
  }
  return containersProblem(pod, job) ?? schedulingProblem(pod, job) ?? mountProblem(pod, warning, job);
}

function containersProblem(pod: Pod, job: string): string | undefined {
  const own = cleanupContainer(pod);
  // What happens to other containers once ours has run is no matter of the cleanup.
  if (own?.state?.running !== undefined || own?.state?.terminated !== undefined) return undefined;
  for (const status of pod.status?.initContainerStatuses ?? []) {
    if (status.state?.terminated?.exitCode === 0) continue;
    const problem = describe(status);
    if (problem === undefined) continue;
    return `Pod of Job ${job} waits for init container ${status.name}, which ${problem}. The operator did not add this container: fix the webhook or policy that injects it.`;
  }
  const problem = own && describe(own);
  return (
    problem &&
    `Pod of Job ${job} ${problem}. Check the image of the operator (--operator-image) and spec.server.imagePullSecrets.`
  );
}

function describe(status: ContainerStatus): string | undefined {
  const problem = containerProblem(status);
  if (problem === undefined) return undefined;
  if (problem.type === 'image') return `cannot pull image ${status.image}${detail(problem.message)}`;
  if (problem.type === 'creation') return `cannot be created (${problem.reason})${detail(problem.message)}`;
  return `exited with code ${problem.end.exitCode}`;
}

function schedulingProblem({ spec, status }: Pod, job: string): string | undefined {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status !== 'False') return undefined;
  if (scheduled.reason === 'SchedulingGated') {
    const gates = (spec?.schedulingGates ?? []).map(({ name }) => name).join(', ');
    return `Pod of Job ${job} waits for scheduling gates${detail(gates)}. The controller that added them must remove them, for example a queue such as Kueue; or exclude the namespace from it.`;
  }
  if (scheduled.reason !== 'Unschedulable') return undefined;
  return `Pod of Job ${job} cannot be scheduled${detail(scheduled.message)}. It needs room on the node of the server whose volume it mounts: make room there, or uncordon the node.`;
}

function mountProblem(pod: Pod, warning: EventWarning | undefined, job: string): string | undefined {
  if (warning === undefined || pod.status?.phase !== 'Pending') return undefined;
  return `Pod of Job ${job} cannot be started (${warning.reason})${detail(warning.message)}. See kubectl describe job ${job}.`;
}
