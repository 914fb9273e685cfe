/** What all pods of a tenant have in common, those of servers and of the operator's Jobs. */
import type { Pod } from '../kube/types/builtins.ts';
import type { CopilotTenant } from './tenant.ts';

export type PodSpec = NonNullable<Pod['spec']>;
export type Container = PodSpec['containers'][number];

/** The name of the server's container. */
export const SERVER_CONTAINER = 'server';

/** uid and gid of images/copilot-cli: every pod with a volume of sessions must run as this user. */
const USER = 10001;

/** Passes the Pod Security standard "restricted". */
export const POD_SECURITY = {
  runAsNonRoot: true,
  runAsUser: USER,
  runAsGroup: USER,
  fsGroup: USER,
  fsGroupChangePolicy: 'OnRootMismatch',
  seccompProfile: { type: 'RuntimeDefault' },
} as const satisfies PodSpec['securityContext'];

/** Passes the Pod Security standard "restricted". */
export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] as string[] },
} as const satisfies Container['securityContext'];

/** The scheduling fields of the spec, unchanged. */
export function scheduling(tenant: CopilotTenant): Partial<PodSpec> {
  const { nodeSelector, tolerations, affinity, runtimeClassName, priorityClassName, imagePullSecrets } =
    tenant.spec.server;
  return {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations }),
    ...(affinity && { affinity }),
    ...(runtimeClassName !== undefined && { runtimeClassName }),
    ...(priorityClassName !== undefined && { priorityClassName }),
    ...(imagePullSecrets && { imagePullSecrets }),
  };
}
