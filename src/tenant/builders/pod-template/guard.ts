/** The guard of a server that shares its volume with others: the one way to it from outside (docs/adr/0061-guard.md). */
import { GUARD_HEALTH_PORT, GuardPath } from '../../../resources/guard-protocol.ts';
import { childName, serverName } from '../../../resources/names.ts';
import { CONTAINER_SECURITY, GUARD_CONTAINER, type Container, type PodSpec } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';

/** The probe of a server behind its guard: whether that accepts connections to it. */
export const GUARD_READINESS = { httpGet: { path: '/readyz', port: GUARD_HEALTH_PORT } };
const GUARD_LIVENESS = { httpGet: { path: '/livez', port: GUARD_HEALTH_PORT } };

/** Its memory is bounded by what it keeps of connections and sessions. */
const RESOURCES = { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '256Mi' } };

/**
 * A native sidecar: it starts before the server, stops after it, and its restart leaves the server running. It does not wait for the
 * server, which would not be started before the guard has been. `image`: the operator's own.
 */
export function guardContainer(tenant: CopilotTenant, index: number, image: string): Container {
  const { name, namespace = '' } = tenant.metadata;
  return {
    name: GUARD_CONTAINER,
    image,
    restartPolicy: 'Always',
    // Everything else has its default, from the same constants.
    args: ['guard', `--tenant=${namespace}/${name}`, `--server-name=${namespace}/${serverName(name, index)}`],
    env: [{ name: 'POD_UID', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } }],
    resources: RESOURCES,
    startupProbe: { ...GUARD_LIVENESS, periodSeconds: 1, failureThreshold: 60 },
    livenessProbe: { ...GUARD_LIVENESS, periodSeconds: 10, failureThreshold: 6 },
    securityContext: CONTAINER_SECURITY,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'guard-state', mountPath: GuardPath.state },
      { name: 'guard-keys', mountPath: GuardPath.keys, readOnly: true },
      { name: 'sessions', mountPath: GuardPath.sessions },
    ],
  };
}

/** The volumes of a guard besides that of the sessions. */
export function guardVolumes({ metadata: { name } }: CopilotTenant): NonNullable<PodSpec['volumes']> {
  return [
    // Of the pod and not of the container: after a restart of the guard it still refuses what was late before.
    { name: 'guard-state', emptyDir: { sizeLimit: '256Mi' } },
    { name: 'guard-keys', configMap: { name: childName(name, 'guard') } },
  ];
}
