/** The Pod Security Standard "restricted" (which includes "baseline"), as Kubernetes' admission checks it. */
import type { Pod } from '../../src/kube/types/builtins.ts';

type PodSpec = NonNullable<Pod['spec']>;
type Container = PodSpec['containers'][number];

const ALLOWED_VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);

/** What a namespace that enforces "restricted" would refuse the pod for; none: it may run. */
export function restrictedViolations(spec: PodSpec): string[] {
  const containers = [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])];
  const broken = (rules: Record<string, boolean>): string[] =>
    Object.entries(rules).flatMap(([rule, isBroken]) => (isBroken ? [rule] : []));
  return [
    ...broken({
      'host namespaces': [spec.hostNetwork, spec.hostPID, spec.hostIPC].includes(true),
      'volume types': (spec.volumes ?? []).some((volume) =>
        Object.keys(volume).some((key) => key !== 'name' && !ALLOWED_VOLUMES.has(key)),
      ),
      sysctls: (spec.securityContext?.sysctls ?? []).length > 0,
      'runAsUser of the pod': spec.securityContext?.runAsUser === 0,
    }),
    ...containers.flatMap((container) =>
      broken(containerRules(spec, container)).map((rule) => `${container.name}: ${rule}`),
    ),
  ];
}

function containerRules({ securityContext: pod }: PodSpec, container: Container): Record<string, boolean> {
  const { securityContext: own, ports } = container;
  const seccomp = (own?.seccompProfile ?? pod?.seccompProfile)?.type;
  return {
    privileged: own?.privileged === true,
    allowPrivilegeEscalation: own?.allowPrivilegeEscalation !== false,
    'capabilities drop': own?.capabilities?.drop?.includes('ALL') !== true,
    'capabilities add': (own?.capabilities?.add ?? []).some((capability) => capability !== 'NET_BIND_SERVICE'),
    runAsNonRoot: (own?.runAsNonRoot ?? pod?.runAsNonRoot) !== true,
    runAsUser: own?.runAsUser === 0,
    seccompProfile: seccomp !== 'RuntimeDefault' && seccomp !== 'Localhost',
    procMount: (own?.procMount ?? 'Default') !== 'Default',
    hostPort: (ports ?? []).some(({ hostPort }) => hostPort !== undefined && hostPort !== 0),
    'host of probes': [container.livenessProbe, container.readinessProbe, container.startupProbe].some(
      (probe) => probe?.tcpSocket?.host !== undefined || probe?.httpGet?.host !== undefined,
    ),
  };
}
