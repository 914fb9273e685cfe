/** Decides what to do with one server: first the reasons to wait or to stop, then its Deployment. */
import { ReconcilingReason } from '../api/conditions.ts';
import { Annotation } from '../api/names.ts';
import type { Deployment, Job, PersistentVolumeClaim, Pod, ReplicaSet } from '../kube/types/builtins.ts';
import { claimName, isOfPreviousTenant, serverName, serverPods } from '../resources/names.ts';
import { isSharedStorage, isStopped, type CopilotTenant } from '../resources/tenant.ts';
import { persistentVolumeClaim } from './builders/persistentvolumeclaim.ts';
import { acceptedLosses, dataLoss } from './decisions/data-loss.ts';
import { deploymentPaused } from './decisions/deployment-paused.ts';
import { deletedDeployment, leftPods, type LeftPods } from './decisions/left-pods.ts';
import { waitForPreviousTenant } from './decisions/previous-tenant.ts';
import { waitForPreviousPod } from './decisions/previous-pod.ts';
import type { SharedStorageDecision } from './decisions/shared-storage.ts';
import { templateRevision } from './decisions/template-revision.ts';
import { volumeAdoption, type VolumeAdoption } from './decisions/volume-adoption.ts';
import { volumeJobsDecision, type VolumeJobsDecision } from './decisions/volume-jobs.ts';
import { isRolloutComplete, replacementsOf, replicasOf, TemplateAnnotation } from './deployments.ts';
import type { ServerObservation, ServerWorld, TenantCause, Wait } from './model.ts';
import { hasEnded } from './pods.ts';
import { planRunning, type RunningInput, type RunningPlan, serverVersions } from './running-plan.ts';

/** What a reconcile does with one server. */
export interface ServerPlan extends RunningPlan {
  readonly index: number;
  readonly name: string;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** The claim to apply; absent: it is neither changed nor created. */
  readonly claim?: PersistentVolumeClaim | undefined;
  /** What requires user action. */
  readonly cause?: TenantCause | undefined;
  /** It uses a volume that existed before. */
  readonly adoptedVolume?: VolumeAdoption | undefined;
  /** Jobs that would delete sessions on its volume beside it: they are deleted now. */
  readonly withdrawn?: readonly Job[] | undefined;
}

/** What the plan of one server is decided from. */
export interface ServerPlanInput extends RunningInput {
  /** Pods of the tenant that belong to no server: those of cleanups, sweeps and session removals. */
  readonly cleanupPods: readonly Pod[];
  /** All Jobs of the tenant. */
  readonly jobs: readonly Job[];
  /** What keeps servers that share a volume from starting, and what is wrong with it. */
  readonly sharedStorage?: SharedStorageDecision | undefined;
  /** Hash of what the pod reads from Secrets; absent if these cannot be used, and then no pod may start. */
  readonly credentialsHash: string | undefined;
}

/** Decides the plan of one server. */
export function planServer(input: ServerPlanInput): ServerPlan {
  const { tenant, live, observed, credentialsHash } = input;
  const { index } = live;
  const name = serverName(tenant.metadata.name, index);
  const base = { index, name, live, observed, replaces: false };
  const previous = [live.deployment, live.claim, live.service].find(
    (child) => child && isOfPreviousTenant(child, tenant),
  );
  if (previous !== undefined) return { ...base, wait: waitForPreviousTenant(previous) };
  const claimWait = terminatingClaimWait(tenant, name, live);
  const loss = claimWait === undefined ? dataLossOf(tenant, name, live) : undefined;
  const usesClaim = claimWait === undefined && loss === undefined;
  const claim = usesClaim ? persistentVolumeClaim(tenant, index, live.claim) : undefined;
  const left = live.deployment === undefined ? leftPodsOf(tenant, live) : undefined;
  const cause =
    loss ??
    input.sharedStorage?.cause ??
    deploymentPaused(live.deployment, observed.ready) ??
    (left?.action === 'refuse' ? left.cause : undefined);
  const adoptedVolume = adoptionOf(tenant, name, live);
  const withClaim = { ...base, claim, cause, wait: claimWait, adoptedVolume };
  // One that drains stops when it has drained: drain-plan.ts holds that back.
  if (isStopped(tenant) || tenant.status?.hibernation?.phase === 'Draining') {
    return { ...withClaim, deployment: stoppedDeployment(input) };
  }
  if (!usesClaim || credentialsHash === undefined || left?.action === 'refuse') return withClaim;
  // One that runs goes on with what it has.
  if (input.sharedStorage?.mayStart === false && replicasOf(live.deployment) === 0) {
    return { ...withClaim, wait: input.sharedStorage.wait };
  }
  if (left?.action === 'adopt') return { ...withClaim, ...planTakeover(input, credentialsHash, left.replicaSet) };
  const volumeJobs = volumeJobsOf(input);
  const { withdrawn } = volumeJobs;
  const blocker =
    left?.action === 'wait' ? `its previous pod ${left.pod} has stopped` : (awaitedStop(live) ?? volumeJobs.message);
  if (blocker !== undefined) {
    const why = isSharedStorage(tenant)
      ? 'nothing may be deleted from the volume beside a server'
      : 'only one pod may write to its volume';
    const message = `Server ${name} waits until ${blocker}: ${why}.`;
    return { ...withClaim, withdrawn, wait: { reason: ReconcilingReason.ServersStarting, message } };
  }
  return { ...withClaim, withdrawn, wait: waitForPreviousPod(live, name), ...planRunning(input, credentialsHash) };
}

// A server that runs restarts its container without the operator, so only a start from zero replicas can wait.
function volumeJobsOf({ tenant, live, observed, jobs, cleanupPods }: ServerPlanInput): VolumeJobsDecision {
  // Beside a failed server of several on one volume others run, and a Job would not be alone.
  const running = observed.state === 'Failed' && !isSharedStorage(tenant) ? 'Failed' : 'Running';
  const state = replicasOf(live.deployment) > 0 ? running : 'Stopped';
  return volumeJobsDecision({ volume: claimName(tenant, live.index), state, jobs, pods: cleanupPods });
}

/** Of a volume that servers share it is reported by the first one. */
function adoptionOf(tenant: CopilotTenant, server: string, { index, claim }: ServerWorld): VolumeAdoption | undefined {
  if (isSharedStorage(tenant) && index > 0) return undefined;
  return volumeAdoption(tenant, server, claim, recordedVolumeUID(tenant, server));
}

// The server was scaled down with its volume and is desired again before the volume was deleted: that is no data loss.
function terminatingClaimWait(
  tenant: CopilotTenant,
  server: string,
  { claim, deployment: live }: ServerWorld,
): Wait | undefined {
  const recorded = recordedVolumeUID(tenant, server);
  const deleted = claim?.metadata.deletionTimestamp !== undefined && claim.metadata.uid !== recorded;
  if (!deleted || live !== undefined) return undefined;
  const name = claim?.metadata.name ?? server;
  const message = `Waiting for PersistentVolumeClaim ${name} to be deleted; server ${server} then starts with a new one.`;
  return { reason: ReconcilingReason.WaitingForDeletion, message };
}

// A server that was just added has recorded nothing of the volume that it shares.
function recordedVolumeUID(tenant: CopilotTenant, server: string): string | undefined {
  const recorded = tenant.status?.servers?.filter(({ volumeUID }) => volumeUID !== undefined) ?? [];
  return (isSharedStorage(tenant) ? recorded[0] : recorded.find(({ name }) => name === server))?.volumeUID;
}

function dataLossOf(tenant: CopilotTenant, server: string, live: ServerWorld): TenantCause | undefined {
  return dataLoss({
    tenant: tenant.metadata.name,
    server,
    ...(isSharedStorage(tenant) && { shared: claimName(tenant, live.index) }),
    live: live.claim,
    recordedUID: recordedVolumeUID(tenant, server),
    accepted: acceptedLosses(tenant.metadata.annotations?.[Annotation.acceptDataLoss]),
  });
}

function leftPodsOf(tenant: CopilotTenant, { index, pods, replicaSets = [] }: ServerWorld): LeftPods {
  return leftPods({ pods, replicaSets, labels: serverPods(tenant.metadata.name, index) });
}

/** The Deployment that takes over a running pod: with the template that the pod has, unless the tenant has changed. */
function planTakeover(
  input: ServerPlanInput,
  credentialsHash: string,
  replicaSet: ReplicaSet,
): Pick<ServerPlan, 'deployment' | 'replaces'> {
  const { live, templates } = input;
  const deleted = deletedDeployment(replicaSet);
  const before = { ...input, live: { ...live, deployment: deleted } };
  const { template, current, recorded = current, input: versions } = serverVersions(before, credentialsHash);
  const { takesCurrent } = templateRevision({ ...versions, restarts: false });
  // A revision that is unknown here cannot be rendered.
  const known = { ...recorded, revision: Math.min(recorded.revision, templates.current) };
  // The pod goes on running with its image, whatever else of the tenant has changed.
  const version = takesCurrent ? { ...current, image: recorded.image } : known;
  return { deployment: template.render(version, replacementsOf(deleted)), replaces: false };
}

/** The Deployment without a pod. Stopping is always allowed, so unknown values are taken from the live Deployment. */
function stoppedDeployment(input: ServerPlanInput): Deployment {
  const { live, credentialsHash, templates } = input;
  const hash = live.deployment?.spec?.template.metadata?.annotations?.[TemplateAnnotation.credentials];
  const versions = serverVersions(input, credentialsHash ?? hash ?? '');
  const { takesCurrent, revision } = templateRevision({ ...versions.input, restarts: false });
  // A revision that is unknown here cannot be rendered, and no pod runs with what is written instead.
  const isUnknown = takesCurrent || revision > templates.current;
  const { template, current, recorded = current } = versions;
  return template.render(isUnknown ? { ...recorded, revision: templates.current } : recorded, {
    running: false,
    ...replacementsOf(live.deployment),
  });
}

// A ReplicaSet does not wait for terminating pods, and a node mounts a ReadWriteOnce volume into two pods.
function awaitedStop({ deployment: live, pods }: ServerWorld): string | undefined {
  if (replicasOf(live) > 0) return undefined;
  const pod = pods.find((candidate) => !hasEnded(candidate));
  if (pod !== undefined) return `its previous pod ${pod.metadata.name} has stopped`;
  return live === undefined || isRolloutComplete(live) ? undefined : 'its Deployment has scaled to zero';
}
