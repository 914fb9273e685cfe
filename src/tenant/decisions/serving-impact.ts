/** Decides which causes keep servers from serving: the condition Ready is about these only. */
import { StalledReason } from '../../api/conditions.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import { childName } from '../../resources/names.ts';
import type { TenantCause } from '../model.ts';

/** Whether servers run and are reached without a child of this kind. NetworkPolicies and ConfigMaps are decided by their name. */
const servesWithoutKind: Readonly<Record<string, boolean>> = {
  Deployment: false,
  Service: false,
  PersistentVolumeClaim: false,
  Secret: false,
  ServiceAccount: false,
  // Without them the gateway cannot connect to the servers.
  Role: false,
  RoleBinding: false,
  PodDisruptionBudget: true,
  // Only pods that have ended are deleted.
  Pod: true,
  CronJob: true,
};

/** Reasons that concern something beside the running servers, whatever the object. */
const servesDespite: ReadonlySet<StalledReason> = new Set([
  StalledReason.VolumeNotExpandable,
  StalledReason.OperatorImageUnknown,
]);

/** Whether the servers of `tenant` serve without this child. */
export function servesWithout({ kind, metadata }: KubeObject, tenant: string): boolean {
  // Without its own policy a server would be reachable by everyone, so it is not started.
  if (kind === 'NetworkPolicy') return metadata.name === childName(tenant, 'cleanup');
  // Without the keys that its guard verifies grants with no server is started.
  if (kind === 'ConfigMap') return metadata.name !== childName(tenant, 'guard');
  return servesWithoutKind[kind] ?? false;
}

/** Whether the cause keeps servers from serving. */
export function blocksServing({ reason, isBesideServers = false }: TenantCause): boolean {
  return !isBesideServers && !servesDespite.has(reason);
}
