/** Transforms that reduce objects to what is read of them before they enter the caches: a thousand tenants have nine thousand objects. */
import { Annotation, Label } from '../api/names.ts';
import { stripServerFields } from '../kube/cache/store.ts';
import type { Deployment, Job, Pod } from '../kube/types/builtins.ts';
import { slimController, slimMetadata } from '../kube/types/slim.ts';
import { CLEANUP_CONTAINER, isVolumeArg } from '../resources/cleanup-pod.ts';
import { getControllerOf } from '../kube/types/owner.ts';

const podLabels = new Set<string>([Label.tenant, Label.server]);

type PodStatus = NonNullable<Pod['status']>;
type ContainerStatus = NonNullable<PodStatus['containerStatuses']>[number];

/**
 * Keeps of a pod: its labels of ownership, controller, readiness, address, why it is not ready, and its termination message; of a
 * cleanup pod also the arguments, which say what it works on, of a server's the claims that it mounts, and of any pod its node and the
 * scheduling gates that it waits for.
 */
export function slimPod(pod: Pod): Pod {
  const kept = Object.entries(pod.metadata.labels ?? {}).filter(([label]) => podLabels.has(label));
  const controller = getControllerOf(pod);
  return {
    apiVersion: pod.apiVersion,
    kind: pod.kind,
    metadata: {
      ...slimMetadata(pod.metadata),
      labels: Object.fromEntries(kept),
      ...(controller && { ownerReferences: [slimController(controller)] }),
    },
    ...slimSpec(pod),
    ...(pod.status && { status: slimPodStatus(pod.status) }),
  };
}

function slimSpec({ spec, metadata: { labels } }: Pod): Pick<Pod, 'spec'> {
  const containers = (spec?.containers ?? []).filter(({ name }) => name === CLEANUP_CONTAINER);
  const { schedulingGates = [], nodeName } = spec ?? {};
  const claims = labels?.[Label.server] === undefined ? [] : claimsOf(spec);
  if (containers.length === 0 && claims.length === 0 && schedulingGates.length === 0 && nodeName === undefined) {
    return {};
  }
  return {
    spec: {
      containers: containers.map(({ name, args = [] }) => ({ name, args: args.filter(isVolumeArg) })),
      ...(claims.length > 0 && { volumes: claims }),
      ...(schedulingGates.length > 0 && { schedulingGates }),
      ...(nodeName !== undefined && { nodeName }),
    },
  };
}

function claimsOf(spec: Pod['spec']): NonNullable<NonNullable<Pod['spec']>['volumes']> {
  return (spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim: claim }) =>
    claim === undefined ? [] : [{ name, persistentVolumeClaim: { claimName: claim.claimName } }],
  );
}

function slimJobSpec(spec: Job['spec']): Pick<Job, 'spec'> {
  const containers = (spec?.template.spec?.containers ?? []).filter(({ name }) => name === CLEANUP_CONTAINER);
  return {
    spec: {
      template: {
        spec: { containers: containers.map(({ name, args = [] }) => ({ name, args: args.filter(isVolumeArg) })) },
      },
    },
  };
}

const podConditions = new Set(['PodScheduled', 'Ready', 'ContainersReady', 'DisruptionTarget']);

function slimPodStatus(status: PodStatus): PodStatus {
  const { phase, podIP, reason, message, conditions, containerStatuses, initContainerStatuses } = status;
  return {
    ...(phase !== undefined && { phase }),
    ...(podIP !== undefined && { podIP }),
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    conditions: (conditions ?? []).filter(({ type }) => podConditions.has(type)),
    containerStatuses: (containerStatuses ?? []).map(slimContainer),
    ...(initContainerStatuses && { initContainerStatuses: initContainerStatuses.map(slimContainer) }),
  };
}

function slimContainer(status: ContainerStatus): ContainerStatus {
  const { name, image, imageID, ready, restartCount, started, state, lastState } = status;
  return {
    name,
    image,
    imageID,
    ready,
    restartCount,
    ...(started !== undefined && { started }),
    ...(state && { state }),
    ...(lastState && { lastState }),
  };
}

/** Keeps of a Deployment everything that is applied, and of its status what is read. */
export function slimDeployment(deployment: Deployment): Deployment {
  const { status } = deployment;
  if (status?.conditions) status.conditions = status.conditions.filter(({ type }) => type === 'ReplicaFailure');
  return stripServerFields(deployment);
}

const jobConditions = new Set(['Complete', 'Failed', 'Suspended']);

/**
 * Keeps of a Job its age and owner, what its pods do to which volumes, how it ended or that it is suspended, and what
 * it was created for.
 */
export function slimJob({ apiVersion, kind, metadata, spec, status }: Job): Job {
  const { labels, annotations, ownerReferences } = metadata;
  const kept = [Annotation.sweepAt, Annotation.removes].flatMap((key) => {
    const value = annotations?.[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  const conditions = (status?.conditions ?? []).filter(({ type }) => jobConditions.has(type));
  return {
    apiVersion,
    kind,
    metadata: {
      ...slimMetadata(metadata),
      ...(labels && { labels }),
      ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }),
      ...(ownerReferences && { ownerReferences }),
    },
    ...slimJobSpec(spec),
    status: { conditions },
  };
}
