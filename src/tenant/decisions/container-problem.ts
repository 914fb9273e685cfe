/** Reads what keeps a container from running from its status, whichever container it is. */
import type { Pod } from '../../kube/types/builtins.ts';

export type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];
export type Terminated = NonNullable<NonNullable<ContainerStatus['state']>['terminated']>;

/** What keeps a container from running. */
export type ContainerProblem =
  | { readonly type: 'image'; readonly message: string | undefined }
  | { readonly type: 'creation'; readonly reason: string; readonly message: string | undefined }
  | { readonly type: 'exit'; readonly end: Terminated };

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

/** Undefined if it runs or is starting. */
export function containerProblem(status: ContainerStatus): ContainerProblem | undefined {
  const { reason, message } = status.state?.waiting ?? {};
  if (reason !== undefined && imagePullReasons.has(reason)) return { type: 'image', message: pullError(message) };
  if (reason !== undefined && cannotRunReasons.has(reason)) return { type: 'creation', reason, message };
  const end = lastEnd(status);
  return end && { type: 'exit', end };
}

// A crashing container is "running" for moments between its crashes; until it is ready, its last exit counts.
function lastEnd(status: ContainerStatus): Terminated | undefined {
  const end = status.state?.terminated ?? (status.ready ? undefined : status.lastState?.terminated);
  return status.restartCount + (status.state?.terminated ? 1 : 0) < 1 ? undefined : end;
}

// The kubelet alternates between ErrImagePull and ImagePullBackOff; both messages contain the error itself.
function pullError(message: string | undefined): string | undefined {
  return message?.replace(/^Back-off pulling image "[^"]*"(: )?/, '').replace(/^ErrImagePull: /, '');
}
