/** Decides why the pod of a server cannot run. */
import { StalledReason } from '../../api/conditions.ts';
import { Label } from '../../api/names.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import type { EventWarning } from '../../resources/event-warning.ts';
import type { TenantCause } from '../model.ts';
import { serverContainer } from '../pods.ts';
import { containerProblem, type Terminated } from './container-problem.ts';
import { injectedCause, readinessGateCause, schedulingGateCause } from './injected-cause.ts';
import { detail, lastLine } from '../../resources/quote.ts';
import { evictionRemedy } from './eviction-remedy.ts';

/** What a cause is decided from besides the pod. */
export interface PodCauseInput {
  /**
   * The latest event of the pod or of its claim, where the status of the pod is not enough (`waitsForVolume`, `isUnscheduled`,
   * `isCreating`).
   */
  readonly warning?: EventWarning | undefined;
  /** Name of the claim that it mounts; default: that of the server. */
  readonly claim?: string | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/**
 * Why the pod of `server` cannot run; undefined if it runs or is starting. Messages contain nothing that changes between
 * attempts, because each change is a write.
 */
export function podCause(
  pod: Pod,
  server: string,
  { warning, claim = server, now }: PodCauseInput,
): TenantCause | undefined {
  return (
    serverCause(pod, server) ??
    injectedCause(pod, server) ??
    schedulingGateCause(pod, server, now) ??
    schedulingCause(pod, server, claim, warning) ??
    mountCause(pod, server, claim, warning) ??
    readinessGateCause(pod, server, now)
  );
}

function serverCause(pod: Pod, server: string): TenantCause | undefined {
  const status = serverContainer(pod);
  const problem = status && containerProblem(status);
  if (problem?.type === 'image') {
    return {
      reason: StalledReason.ImagePullFailed,
      message: `Server ${server}: failed to pull image ${status?.image ?? ''}${detail(problem.message)}. Check spec.server.image and spec.server.imagePullSecrets.`,
    };
  }
  if (problem?.type === 'creation') {
    return {
      reason: StalledReason.ContainerCannotRun,
      message: `Server ${server}: the container cannot be created (${problem.reason})${detail(problem.message)}. ${describePod(server)}`,
    };
  }
  // An eviction also kills the container: its exit code is then a consequence and not the cause.
  return failedPodCause(pod, server) ?? (problem && crashCause(problem.end, server));
}

function crashCause(end: Terminated, server: string): TenantCause {
  if (end.reason === 'OOMKilled') {
    return {
      reason: StalledReason.ContainerCrashed,
      message: `Server ${server}: the container was killed because it exceeded its memory limit (OOMKilled). Raise spec.server.resources.limits.memory.`,
    };
  }
  return {
    reason: StalledReason.ContainerCrashed,
    message: `Server ${server}: the container exited with code ${end.exitCode}${lastLine(end.message)}. See kubectl logs deploy/${server}.`,
  };
}

/** Why a pod has failed or is being evicted; undefined if it has not failed. */
export function failedPodCause({ status }: Pod, server: string): TenantCause | undefined {
  // The kubelet sets this condition first, and the phase once the containers have ended.
  const evicted = status?.conditions?.find(
    ({ type, reason }) => type === 'DisruptionTarget' && reason === 'TerminationByKubelet',
  );
  const hasFailed = status?.phase === 'Failed' || evicted?.status === 'True' || status?.reason === 'Evicted';
  if (!hasFailed) return undefined;
  const message = status?.message ?? evicted?.message;
  return {
    reason: StalledReason.ContainerCrashed,
    message: `Server ${server}: its pod failed (${status?.reason ?? (evicted ? 'Evicted' : 'Failed')})${detail(message)}. ${evictionRemedy(message) ?? describePod(server)}`,
  };
}

function schedulingCause(
  pod: Pod,
  server: string,
  claim: string,
  warning: EventWarning | undefined,
): TenantCause | undefined {
  const scheduled = scheduling(pod);
  if (isUnscheduled(pod)) return warning && volumeCause(server, claim, warning.message);
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return undefined;
  if (waitsForVolume(pod)) return volumeCause(server, claim, warning?.message ?? scheduled.message ?? '');
  return {
    reason: StalledReason.Unschedulable,
    message: `Server ${server}: the pod cannot be scheduled${detail(scheduled.message)}. Check spec.server.resources, nodeSelector, tolerations and affinity.`,
  };
}

/** Whether the pod cannot be scheduled because of its volume; the events of the claim then say why. */
export function waitsForVolume(pod: Pod): boolean {
  const scheduled = scheduling(pod);
  return scheduled?.status === 'False' && /persistentvolumeclaim|storageclass|volume/i.test(scheduled.message ?? '');
}

/**
 * Whether the scheduler has not decided yet. If that lasts, it has chosen a node and waits for the volume; the events of the
 * claim then say why.
 */
export function isUnscheduled(pod: Pod): boolean {
  return pod.status?.phase === 'Pending' && scheduling(pod) === undefined;
}

function scheduling({ status }: Pod) {
  return status?.conditions?.find(({ type }) => type === 'PodScheduled');
}

function mountCause(
  pod: Pod,
  server: string,
  claim: string,
  warning: EventWarning | undefined,
): TenantCause | undefined {
  if (!isCreating(pod) || warning === undefined) return undefined;
  if (/Mount|Attach|Volume/.test(warning.reason)) return volumeCause(server, claim, warning.message);
  return {
    reason: StalledReason.ContainerCannotRun,
    message: `Server ${server}: its pod cannot be started (${warning.reason})${detail(warning.message)}. ${describePod(server)}`,
  };
}

/** Whether its volume and sandbox are being set up; if that lasts, the events of the pod say why. */
export function isCreating(pod: Pod): boolean {
  const waiting = serverContainer(pod)?.state?.waiting;
  return pod.status?.phase === 'Pending' && waiting?.reason === 'ContainerCreating';
}

// By label: the name of the pod is random, and would change the message with each pod.
function describePod(server: string): string {
  return `See kubectl describe pod -l ${Label.server}=${server}.`;
}

function volumeCause(server: string, claim: string, what: string): TenantCause {
  const missing = /storageclass\.storage\.k8s\.io "([^"]+)" not found/.exec(what);
  if (missing) {
    return {
      reason: StalledReason.StorageClassNotFound,
      message: `Server ${server}: StorageClass ${missing[1]} not found. Create it; spec.storage.storageClassName cannot be changed.`,
    };
  }
  if (/no persistent volumes available for this claim and no storage class is set/.test(what)) {
    return {
      reason: StalledReason.StorageClassNotFound,
      message: `Server ${server}: the cluster has no default StorageClass. Mark one as default, or recreate the tenant with spec.storage.storageClassName.`,
    };
  }
  if (what.includes('kubernetes.io/no-provisioner')) {
    return {
      reason: StalledReason.VolumePending,
      message: `Server ${server}: no PersistentVolume matches claim ${claim}, and its StorageClass does not provision any. Create a PersistentVolume with the class, size and access mode of the claim.`,
    };
  }
  const sharedRemedy =
    claim === server
      ? ''
      : ' It has to provide ReadWriteMany volumes, because the servers of the tenant share one (spec.topology SharedStorage).';
  return {
    reason: StalledReason.VolumePending,
    message: `Server ${server}: its volume is not available${detail(what)}. Check claim ${claim}, its StorageClass and the provisioner.${sharedRemedy}`,
  };
}
