/** What all pods of a tenant have in common, those of servers and of the operator's Jobs. */
import type { CopilotTenantSpec } from '../api/tenant.ts';
import type { Pod } from '../kube/types/builtins.ts';
import type { CopilotTenant } from './tenant.ts';

export type PodSpec = NonNullable<Pod['spec']>;
export type Container = PodSpec['containers'][number];

/** The name of the server's container. */
export const SERVER_CONTAINER = 'server';
/** The name of the sidecar in front of a server that shares its volume. */
export const GUARD_CONTAINER = 'guard';

/** uid and gid of images/copilot-cli: every pod with a volume of sessions must run as one user. */
const USER = 10001;

type SecurityContext = NonNullable<PodSpec['securityContext']>;

/** Passes the Pod Security standard "restricted", whoever chooses the user. */
export function podSecurity({ spec: { pods } }: CopilotTenant): SecurityContext {
  const user = { runAsUser: USER, runAsGroup: USER, fsGroup: USER };
  return {
    runAsNonRoot: true,
    ...(pods?.securityContext !== 'FromCluster' && user),
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** Passes the Pod Security standard "restricted". */
export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] as string[] },
} as const satisfies Container['securityContext'];

/** Whether the pod has the condition Ready: its Service sends it clients. */
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Labels and annotations of a pod: those of the spec, and the operator's own, which win. */
export function podMetadata(
  { spec: { pods } }: CopilotTenant,
  own: { labels: Record<string, string>; annotations: Record<string, string> },
): { labels: Record<string, string>; annotations: Record<string, string> } {
  return {
    labels: { ...pods?.labels, ...own.labels },
    annotations: { ...pods?.annotations, ...own.annotations },
  };
}

/** Resources of a container as core/v1 has them: the CRD also accepts a number as a quantity. */
export function containerResources({
  requests,
  limits,
}: CopilotTenantSpec['server']['resources']): NonNullable<Container['resources']> {
  const text = (map: Record<string, string | number>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).map(([name, quantity]) => [name, String(quantity)]));
  return { ...(requests && { requests: text(requests) }), ...(limits && { limits: text(limits) }) };
}

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
