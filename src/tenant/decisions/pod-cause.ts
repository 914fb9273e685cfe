/** Decides why the pod of a server cannot run. */
import { StalledReason } from '../../api/conditions.ts';
import { Label } from '../../api/names.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import type { EventWarning, TenantCause } from '../model.ts';

type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];
type Terminated = NonNullable<NonNullable<ContainerStatus['state']>['terminated']>;

/** Longest quotation in a message, in characters: the status is no log. */
const MAX_QUOTE = 300;

const imagePullReasons = new Set([
  'ImagePullBackOff',
  'ErrImagePull',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);
const cannotRunReasons = new Set([
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'PreCreateHookError',
]);

/**
 * Why the pod of `server` cannot run; undefined if it runs or is starting. `warning`: the latest event of the pod or of its
 * claim, where the status of the pod is not enough (`waitsForVolume`, `isUnscheduled`, `isCreating`). Messages contain nothing
 * that changes between attempts, because each change is a write.
 */
export function podCause(pod: Pod, server: string, warning?: EventWarning): TenantCause | undefined {
  return containerCause(pod, server) ?? schedulingCause(pod, server, warning) ?? mountCause(pod, server, warning);
}

function containerCause(pod: Pod, server: string): TenantCause | undefined {
  const status = pod.status?.containerStatuses?.[0];
  const waiting = status?.state?.waiting;
  if (waiting?.reason !== undefined && imagePullReasons.has(waiting.reason)) {
    return {
      reason: StalledReason.ImagePullFailed,
      message: `Server ${server}: failed to pull image ${status?.image ?? ''}${detail(pullError(waiting.message))}. Check spec.server.image and spec.server.imagePullSecrets.`,
    };
  }
  if (waiting?.reason !== undefined && cannotRunReasons.has(waiting.reason)) {
    return {
      reason: StalledReason.ContainerCannotRun,
      message: `Server ${server}: the container cannot be created (${waiting.reason})${detail(waiting.message)}. ${describePod(server)}`,
    };
  }
  // An eviction also kills the container: its exit code is then a consequence and not the cause.
  return failedPodCause(pod, server) ?? (status && crashCause(status, server));
}

// A crashing container is "running" for moments between its crashes; until it is ready, its last exit counts.
function crashCause(status: ContainerStatus, server: string): TenantCause | undefined {
  const end = status.state?.terminated ?? (status.ready ? undefined : status.lastState?.terminated);
  if (end === undefined || status.restartCount + (status.state?.terminated ? 1 : 0) < 1) return undefined;
  if (end.reason === 'OOMKilled') {
    return {
      reason: StalledReason.ContainerCrashed,
      message: `Server ${server}: the container was killed because it exceeded its memory limit (OOMKilled). Raise spec.server.resources.limits.memory.`,
    };
  }
  return {
    reason: StalledReason.ContainerCrashed,
    message: `Server ${server}: the container exited with code ${end.exitCode}${lastLine(end)}. See kubectl logs deploy/${server}.`,
  };
}

function lastLine(end: Terminated): string {
  const line = (end.message ?? '')
    .split('\n')
    .map((text) => text.trim())
    .findLast((text) => text !== '');
  return line === undefined ? ' with no output' : `: ${quote(line)}`;
}

function failedPodCause(pod: Pod, server: string): TenantCause | undefined {
  if (pod.status?.phase !== 'Failed') return undefined;
  return {
    reason: StalledReason.ContainerCrashed,
    message: `Server ${server}: its pod failed (${pod.status.reason ?? 'Failed'})${detail(pod.status.message)}.`,
  };
}

function schedulingCause(pod: Pod, server: string, warning: EventWarning | undefined): TenantCause | undefined {
  const scheduled = scheduling(pod);
  if (isUnscheduled(pod)) return warning && volumeCause(server, warning.message);
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return undefined;
  if (waitsForVolume(pod)) return volumeCause(server, warning?.message ?? scheduled.message ?? '');
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

function mountCause(pod: Pod, server: string, warning: EventWarning | undefined): TenantCause | undefined {
  if (!isCreating(pod) || warning === undefined) return undefined;
  if (/Mount|Attach|Volume/.test(warning.reason)) return volumeCause(server, warning.message);
  return {
    reason: StalledReason.ContainerCannotRun,
    message: `Server ${server}: its pod cannot be started (${warning.reason})${detail(warning.message)}. ${describePod(server)}`,
  };
}

/** Whether its volume and sandbox are being set up; if that lasts, the events of the pod say why. */
export function isCreating(pod: Pod): boolean {
  const waiting = pod.status?.containerStatuses?.[0]?.state?.waiting;
  return pod.status?.phase === 'Pending' && waiting?.reason === 'ContainerCreating';
}

// By label: the name of the pod is random, and would change the message with each pod.
function describePod(server: string): string {
  return `See kubectl describe pod -l ${Label.server}=${server}.`;
}

function volumeCause(server: string, what: string): TenantCause {
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
      message: `Server ${server}: no PersistentVolume matches claim ${server}, and its StorageClass does not provision any. Create one with the class, size and access mode of the claim.`,
    };
  }
  return {
    reason: StalledReason.VolumePending,
    message: `Server ${server}: its volume is not available${detail(what)}. Check claim ${server}, its StorageClass and the provisioner.`,
  };
}

// The kubelet alternates between ErrImagePull and ImagePullBackOff; both messages contain the error itself.
function pullError(message: string | undefined): string | undefined {
  return message?.replace(/^Back-off pulling image "[^"]*"(: )?/, '').replace(/^ErrImagePull: /, '');
}

function detail(text: string | undefined): string {
  return text === undefined || text === '' ? '' : `: ${quote(text)}`;
}

function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
  return line.length > MAX_QUOTE ? `${line.slice(0, MAX_QUOTE)}…` : line;
}
