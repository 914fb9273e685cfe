import type { ServerHealth } from '../../../src/servers/server.ts';
import type { UnhealthyReason } from '../../../src/copilot/errors.ts';
import type { Deployment, PersistentVolumeClaim, Pod } from '../../../src/kube/types/builtins.ts';
import type { ObjectMeta } from '../../../src/kube/types/types.ts';
import { deployment } from '../../../src/tenant/builders/deployment.ts';
import { persistentVolumeClaim } from '../../../src/tenant/builders/persistentvolumeclaim.ts';
import { sampleTenant } from '../../support/tenants.ts';

/** Wall clock of these tests, in ms. */
export const NOW = Date.parse('2026-01-02T03:04:05Z');
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const healthy = (version = '1.0.102'): ServerHealth => ({ state: 'Healthy', version, since: NOW });

export const unhealthy = (reason: UnhealthyReason = 'Timeout', since = NOW): ServerHealth => ({
  state: 'Unhealthy',
  reason,
  message: `10.0.0.1:4321 gave no answer (${reason})`,
  since,
});

type PodStatus = NonNullable<Pod['status']>;
type ContainerStatus = NonNullable<PodStatus['containerStatuses']>[number];

/** A pod of acme-0 that runs and is ready, but for what is stated. */
export function pod(status: Partial<PodStatus> = {}, metadata: Partial<ObjectMeta> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'acme-0-5d8f7-x2v9k', namespace: 'team', creationTimestamp: '2026-01-02T03:00:00Z', ...metadata },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      conditions: [
        { type: 'PodScheduled', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
      containerStatuses: [container()],
      ...status,
    },
  };
}

/** The status of the one container: running and ready, with overrides. */
export function container(status: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    name: 'server',
    image: 'example.com/copilot:1',
    imageID: '',
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: {} },
    ...status,
  };
}

interface Rollout {
  readonly restart?: { readonly at: string; readonly attempt: number };
  readonly image?: string;
  /** The image comes from the spec; default: it is the operator's default image. */
  readonly isNamed?: boolean;
  readonly running?: boolean;
}

/** The Deployment of acme-0 after a complete rollout. */
export function rolledOutDeployment({
  restart,
  image = 'example.com/copilot:1',
  isNamed = false,
  running = true,
}: Rollout = {}): Deployment {
  const made = deployment(sampleTenant(), 0, {
    image: { image, isDefault: !isNamed },
    running,
    credentialsHash: 'hash',
    restart,
  });
  const replicas = running ? 1 : 0;
  const status = { observedGeneration: 1, replicas, updatedReplicas: replicas };
  return { ...made, metadata: { ...made.metadata, generation: 1 }, status };
}

/** The claim of acme-0, bound. */
export function boundClaim(
  status: NonNullable<PersistentVolumeClaim['status']> = {},
  metadata: Partial<ObjectMeta> = {},
): PersistentVolumeClaim {
  const made = persistentVolumeClaim(sampleTenant(), 0, undefined);
  return {
    ...made,
    metadata: { ...made.metadata, uid: 'uid-claim', ...metadata },
    spec: { ...made.spec, volumeName: 'pv-1' },
    status: { phase: 'Bound', capacity: { storage: '1Gi' }, ...status },
  };
}
