/** Merges several causes into the one that the condition Stalled reports. */
import { StalledReason } from '../../api/conditions.ts';
import type { TenantCause } from '../model.ts';

// A cause that explains others comes before them: a pod that exceeds a quota is never scheduled either.
const PRIORITY: readonly StalledReason[] = [
  StalledReason.NamespaceTerminating,
  StalledReason.Forbidden,
  StalledReason.ForeignObject,
  StalledReason.ModelNotConfigured,
  StalledReason.EnvironmentNotUsable,
  StalledReason.CABundleNotUsable,
  StalledReason.DataLost,
  StalledReason.InvalidSpec,
  StalledReason.QuotaExceeded,
  StalledReason.ResourcesRequired,
  StalledReason.LimitRangeViolated,
  StalledReason.PriorityClassNotFound,
  StalledReason.RuntimeClassNotFound,
  StalledReason.ServiceAccountNotFound,
  StalledReason.PodSecurityViolated,
  StalledReason.AdmissionDenied,
  StalledReason.PodCreationFailed,
  StalledReason.DeploymentPaused,
  StalledReason.NodeLost,
  StalledReason.StorageClassNotFound,
  StalledReason.VolumeNotShared,
  StalledReason.VolumePending,
  StalledReason.VolumeNotWritable,
  StalledReason.Unschedulable,
  StalledReason.ImagePullFailed,
  StalledReason.SchedulingGated,
  StalledReason.InitContainerFailed,
  StalledReason.ContainerCannotRun,
  StalledReason.ContainerCrashed,
  StalledReason.ReadinessGateNotReady,
  StalledReason.SidecarFailed,
  StalledReason.LookAlikePod,
  StalledReason.ConflictingWriter,
  StalledReason.GatewayNotInstalled,
  StalledReason.VolumeNotExpandable,
  StalledReason.OperatorImageUnknown,
];

const MAX_MESSAGES = 3;

/** One cause out of several: the reason of the one to act on first, with the messages of the first few. */
export function aggregateCauses(causes: readonly TenantCause[]): TenantCause | undefined {
  const rank = ({ reason }: TenantCause): number => PRIORITY.indexOf(reason);
  const distinct = [...new Map(causes.map((cause) => [cause.message, cause])).values()].toSorted(
    (a, b) => rank(a) - rank(b),
  );
  const [first] = distinct;
  if (first === undefined) return undefined;
  const messages = distinct.slice(0, MAX_MESSAGES).map(({ message }) => message);
  const more = distinct.length > MAX_MESSAGES ? [`And ${distinct.length - MAX_MESSAGES} more.`] : [];
  return { reason: first.reason, message: [...messages, ...more].join(' ') };
}
