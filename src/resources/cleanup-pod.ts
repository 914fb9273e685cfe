/**
 * The pod that runs `copilot-operator cleanup`: for a tenant's CronJob, for the Job that removes the data of one session while no
 * server runs, and for the Job that sweeps a volume. It has no access to Kubernetes; its result is in its termination message.
 */
import { Label, SERVER_PORT } from '../api/names.ts';
import { childName, claimName, serverName, serverPods, tenantLabels, TOKEN_KEY } from './names.ts';
import type { Pod } from '../kube/types/builtins.ts';
import { CONTAINER_SECURITY, containerResources, podMetadata, podSecurity, scheduling, type PodSpec } from './pod.ts';
import type { CopilotTenant } from './tenant.ts';

/** Value of the label component on the Jobs and pods of cleanups. */
export const CLEANUP_COMPONENT = 'cleanup';
/** The name of the one container. */
export const CLEANUP_CONTAINER = 'cleanup';
/** Key in the ConfigMap of the sessions that CopilotSessions keep. */
export const POLICIES_KEY = 'policies.json';

/** Of a cleanup whose tenant sets no `spec.sessions.cleanupResources`. */
const DEFAULT_RESOURCES = { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '256Mi' } };
const POLICIES_PATH = '/etc/copilot-operator';
const VOLUMES_PATH = '/volumes';

/** What a cleanup pod does, and where. */
export interface CleanupPodOptions {
  /** The operator's own image, which has the command. */
  readonly image: string;
  /** Flags for the task, such as `--ttl=720h`. Those for servers and volumes are added here. */
  readonly args: readonly string[];
  /** Indexes of running servers, through which sessions are deleted. */
  readonly servers: readonly number[];
  /**
   * Indexes of servers whose volumes are mounted; of those that share one, a single index. The volume of a running server is ReadWriteOnce, so the pod then runs on that server's
   * node.
   */
  readonly volumes: readonly number[];
  /** Index of a running server that is not connected to: the pod runs on its node. */
  readonly beside?: number | undefined;
  /** Name of the ConfigMap with {@link POLICIES_KEY}. */
  readonly policies?: string | undefined;
}

/** The status of the container that does the work of a cleanup pod. */
export function cleanupContainer(pod: Pod | undefined) {
  return pod?.status?.containerStatuses?.find(({ name }) => name === CLEANUP_CONTAINER);
}

/** Labels of the cleanup pods of a tenant, not those of a server: its Service must not select them. */
export function cleanupLabels(tenant: string): Record<string, string> {
  return { ...tenantLabels(tenant), [Label.component]: CLEANUP_COMPONENT };
}

/**
 * Metadata of the cleanup pods themselves: service meshes add no sidecar to them. One that is no native sidecar would keep the Job from
 * completing until its deadline.
 */
export function cleanupPodMetadata(
  tenant: CopilotTenant,
  labels: Record<string, string>,
): ReturnType<typeof podMetadata> {
  return podMetadata(tenant, {
    labels: { ...labels, 'sidecar.istio.io/inject': 'false', 'kuma.io/sidecar-injection': 'disabled' },
    annotations: {
      'sidecar.istio.io/inject': 'false',
      'linkerd.io/inject': 'disabled',
      'consul.hashicorp.com/connect-inject': 'false',
    },
  });
}

/** The spec of a cleanup pod. */
export function cleanupPod(
  tenant: CopilotTenant,
  { image, args, servers, volumes, beside, policies }: CleanupPodOptions,
): PodSpec {
  const { name, namespace = '' } = tenant.metadata;
  const nearServer = beside ?? volumes.find((index) => servers.includes(index));
  const path = (index: number) => `${VOLUMES_PATH}/${claimName(tenant, index)}`;
  return {
    serviceAccountName: childName(name, 'servers'),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 10,
    securityContext: podSecurity(tenant),
    containers: [
      {
        name: CLEANUP_CONTAINER,
        image,
        args: [
          'cleanup',
          ...args,
          ...(policies === undefined ? [] : [`--policies=${POLICIES_PATH}/${POLICIES_KEY}`]),
          ...servers.map(
            (index) =>
              `${serverFlag(serverName(name, index))}${serverName(name, index)}.${namespace}.svc:${SERVER_PORT}`,
          ),
          ...volumes.map((index) => `${volumeFlag(claimName(tenant, index))}${path(index)}`),
          '--result-file=/dev/termination-log',
        ],
        ...(servers.length > 0 && {
          env: [
            {
              name: 'COPILOT_CONNECTION_TOKEN',
              valueFrom: { secretKeyRef: { name: childName(name, 'token'), key: TOKEN_KEY } },
            },
          ],
        }),
        resources: containerResources(tenant.spec.sessions.cleanupResources ?? DEFAULT_RESOURCES),
        securityContext: CONTAINER_SECURITY,
        terminationMessagePolicy: 'FallbackToLogsOnError',
        volumeMounts: [
          ...(policies === undefined ? [] : [{ name: 'policies', mountPath: POLICIES_PATH, readOnly: true }]),
          ...volumes.map((index) => ({ name: claimName(tenant, index), mountPath: path(index) })),
        ],
      },
    ],
    volumes: [
      ...(policies === undefined ? [] : [{ name: 'policies', configMap: { name: policies } }]),
      ...volumes.map((index) => ({
        name: claimName(tenant, index),
        persistentVolumeClaim: { claimName: claimName(tenant, index) },
      })),
    ],
    ...scheduling(tenant),
    ...(volumes.length > 0 && { affinity: affinity(tenant, volumes, nearServer) }),
  };
}

/** Replaces the tenant's own affinity where a server's pod runs, which has chosen the node. */
function affinity(
  tenant: CopilotTenant,
  volumes: readonly number[],
  nearServer: number | undefined,
): NonNullable<PodSpec['affinity']> {
  const beside = (index: number) => ({
    topologyKey: 'kubernetes.io/hostname',
    labelSelector: { matchLabels: serverPods(tenant.metadata.name, index) },
  });
  if (nearServer !== undefined) {
    return { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [beside(nearServer)] } };
  }
  // The pod of a server that keeps crashing holds its volume on a node. A suspended server has no pod, and this has no effect.
  const preferred = volumes.map((index) => ({ weight: 100, podAffinityTerm: beside(index) }));
  const own = tenant.spec.server.affinity;
  const others = own?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    ...own,
    podAffinity: { ...own?.podAffinity, preferredDuringSchedulingIgnoredDuringExecution: [...others, ...preferred] },
  };
}

/** The flag with which a cleanup only removes what no server uses, so that it may run beside one without connecting to it. */
export const SWEEP_FLAG = '--sweep';

/**
 * Whether a pod of {@link cleanupPod}, or of a Job with its template, deletes sessions on a volume. One that connects to the server of the same name only sweeps the
 * volume, so it may run beside it.
 */
export function deletesOnVolume({ spec }: Pick<Pod, 'spec'>, volume: string): boolean {
  const args = spec?.containers.flatMap((container) => container.args ?? []) ?? [];
  const has = (flag: string) => args.some((arg) => arg.startsWith(flag));
  return has(volumeFlag(volume)) && !has(serverFlag(volume)) && !args.includes(SWEEP_FLAG);
}

/** Whether {@link deletesOnVolume} depends on this argument; there may be hundreds of others. */
export function isVolumeArg(arg: string): boolean {
  return arg === SWEEP_FLAG || arg.startsWith('--server=') || arg.startsWith('--volume=');
}

const serverFlag = (server: string): string => `--server=${server}=`;
const volumeFlag = (volume: string): string => `--volume=${volume}=`;
