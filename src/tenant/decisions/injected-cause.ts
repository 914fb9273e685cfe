/** Decides what others that take part in a pod keep it from: injected containers, scheduling gates and readiness gates. */
import { StalledReason } from '../../api/conditions.ts';
import { Label } from '../../api/names.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { GUARD_CONTAINER, SERVER_CONTAINER } from '../../resources/pod.ts';
import type { TenantCause } from '../model.ts';
import { isPortOpen, serverContainer } from '../pods.ts';
import { containerProblem, type ContainerProblem, type ContainerStatus } from './container-problem.ts';
import { detail, lastLine } from '../../resources/quote.ts';

/** For how long gates are waited for without a report, in ms: controllers that open them need some time. */
const GATE_GRACE_MS = 60_000;

/** A cause in another container of the server's pod: the operator adds none but the guard, so a webhook or a policy did. */
export function injectedCause(pod: Pod, server: string): TenantCause | undefined {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const waits = serverContainer(pod)?.state?.waiting !== undefined;
  for (const status of initContainerStatuses) {
    if (status.state?.terminated?.exitCode === 0) continue;
    const problem = containerProblem(status);
    if (problem === undefined) continue;
    return waits
      ? {
          reason: StalledReason.InitContainerFailed,
          message: `Server ${server} waits for init container ${describeProblem(status, problem)}. ${remedy(server, status)}`,
        }
      : sidecarCause(server, status, problem);
  }
  for (const status of containerStatuses) {
    if (status.name === SERVER_CONTAINER) continue;
    const problem = containerProblem(status);
    if (problem !== undefined) return sidecarCause(server, status, problem);
  }
  return undefined;
}

function sidecarCause(server: string, status: ContainerStatus, problem: ContainerProblem): TenantCause {
  return {
    reason: StalledReason.SidecarFailed,
    message: `Server ${server}: sidecar ${describeProblem(status, problem)}. While it does not run, the Service sends no clients to the server. ${remedy(server, status)}`,
  };
}

function describeProblem({ name, image }: ContainerStatus, problem: ContainerProblem): string {
  if (problem.type === 'image') return `${name}, which cannot pull image ${image}${detail(problem.message)}`;
  if (problem.type === 'creation') {
    return `${name}, which cannot be created (${problem.reason})${detail(problem.message)}`;
  }
  const { exitCode, reason, message } = problem.end;
  return reason === 'OOMKilled'
    ? `${name}, which exceeded its own memory limit (OOMKilled)`
    : `${name}, which exited with code ${exitCode}${lastLine(message)}`;
}

// No spec field of the tenant changes a container that the operator did not add.
function remedy(server: string, { name }: ContainerStatus): string {
  if (name === GUARD_CONTAINER) {
    return `It is the guard of the server, which has the image of the operator: see kubectl logs -l ${Label.server}=${server} -c ${name}.`;
  }
  return `The operator did not add this container: fix the webhook or policy that injects it; see kubectl logs -l ${Label.server}=${server} -c ${name}.`;
}

/** A scheduling gate that nothing has removed. */
export function schedulingGateCause({ metadata, spec, status }: Pod, server: string, now: number) {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.reason !== 'SchedulingGated' || now - startOf(metadata.creationTimestamp) < GATE_GRACE_MS) {
    return undefined;
  }
  const gates = (spec?.schedulingGates ?? []).map(({ name }) => name);
  return {
    reason: StalledReason.SchedulingGated,
    message: `Server ${server}: its pod waits for scheduling gates${detail(gates.join(', '))}. The controller that added them must remove them, for example a queue such as Kueue; or exclude the namespace from it.`,
  };
}

/** A readiness gate that nothing sets: the server runs, and its Service sends no clients to it. */
export function readinessGateCause(pod: Pod, server: string, now: number): TenantCause | undefined {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  const startedAt = serverContainer(pod)?.state?.running?.startedAt ?? pod.metadata.creationTimestamp;
  if (ready?.reason !== 'ReadinessGatesNotReady' || !isPortOpen(pod) || now - startOf(startedAt) < GATE_GRACE_MS) {
    return undefined;
  }
  return {
    reason: StalledReason.ReadinessGateNotReady,
    message: `Server ${server} runs, but its pod is not ready${detail(ready.message)}. The controller that added the readiness gate must set this condition of the pod; or exclude the namespace from it.`,
  };
}

function startOf(timestamp: string | undefined): number {
  return timestamp === undefined ? 0 : Date.parse(timestamp);
}
