/** Decides what to do with one server: first the reasons to wait or to stop, then its Deployment. */
import { ReconcilingReason } from '../api/conditions.ts';
import { Annotation } from '../api/names.ts';
import type { Deployment, Job, PersistentVolumeClaim, Pod, ReplicaSet } from '../kube/types/builtins.ts';
import { timestamp } from '../kube/types/time.ts';
import { differences } from '../kube/write/diff.ts';
import { isOfPreviousTenant, serverName, serverPods } from '../resources/names.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { persistentVolumeClaim } from './builders/persistentvolumeclaim.ts';
import type { PodTemplates } from './builders/pod-template/template.ts';
import { acceptedLosses, dataLoss } from './decisions/data-loss.ts';
import { deploymentPaused } from './decisions/deployment-paused.ts';
import { deletedDeployment, leftPods, type LeftPods } from './decisions/left-pods.ts';
import { waitForPreviousTenant } from './decisions/previous-tenant.ts';
import { restartDecision } from './decisions/restart.ts';
import { serverImage } from './decisions/server-image.ts';
import { type RevisionInput, templateRevision } from './decisions/template-revision.ts';
import { volumeAdoption, type VolumeAdoption } from './decisions/volume-adoption.ts';
import { volumeJobsDecision, type VolumeJobsDecision } from './decisions/volume-jobs.ts';
import { isObserved, isRolloutComplete, recordedTemplateOf, restartOf, TemplateAnnotation } from './deployments.ts';
import type { OperatorFacts, ServerObservation, ServerWorld, TenantCause, Wait } from './model.ts';
import { hasEnded } from './pods.ts';
import { ServerTemplate, type WasApplied } from './server-template.ts';

/** What a reconcile does with one server. */
export interface ServerPlan {
  readonly index: number;
  readonly name: string;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** The claim to apply; absent: it is neither changed nor created. */
  readonly claim?: PersistentVolumeClaim | undefined;
  /** The Deployment to apply; absent: it is neither changed nor created. */
  readonly deployment?: Deployment | undefined;
  /** Applying the Deployment replaces a running pod, which the rollout has to allow. */
  readonly replaces: boolean;
  /** If it is Unhealthy: why, and what the operator does about it. */
  readonly healthMessage?: string | undefined;
  /** Why this reconcile restarts it. */
  readonly restart?: { readonly reason: string; readonly message: string } | undefined;
  /** What requires user action. */
  readonly cause?: TenantCause | undefined;
  readonly wait?: Wait | undefined;
  /** It uses a volume that existed before. */
  readonly adoptedVolume?: VolumeAdoption | undefined;
  /** Jobs that would delete sessions on its volume beside it: they are deleted now. */
  readonly withdrawn?: readonly Job[] | undefined;
  /** When something is due for it that no watch reports, in ms. */
  readonly dueInMs?: number | undefined;
}

/** What the plan of one server is decided from. */
export interface ServerPlanInput {
  readonly tenant: CopilotTenant;
  readonly facts: OperatorFacts;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** Pods of the tenant that belong to no server: those of cleanups, sweeps and session removals. */
  readonly cleanupPods: readonly Pod[];
  /** All Jobs of the tenant. */
  readonly jobs: readonly Job[];
  /** Hash of what the pod reads from Secrets; absent if these cannot be used, and then no pod may start. */
  readonly credentialsHash: string | undefined;
  /** Whether applying the Deployment would change it. */
  readonly wouldWrite: (desired: Deployment, live: Deployment) => boolean;
  readonly wasApplied: WasApplied;
  readonly templates: PodTemplates;
  /** Wall clock, ms. */
  readonly now: number;
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
  const cause = loss ?? deploymentPaused(live.deployment) ?? (left?.action === 'refuse' ? left.cause : undefined);
  const adoptedVolume = volumeAdoption(tenant, name, live.claim, recordedVolumeUID(tenant, name));
  const withClaim = { ...base, claim, cause, wait: claimWait, adoptedVolume };
  if (tenant.spec.suspend) return { ...withClaim, deployment: stoppedDeployment(input) };
  if (!usesClaim || credentialsHash === undefined || left?.action === 'refuse') return withClaim;
  if (left?.action === 'adopt') return { ...withClaim, ...planTakeover(input, credentialsHash, left.replicaSet) };
  const volumeJobs = volumeJobsOf(name, input);
  const { withdrawn } = volumeJobs;
  const blocker =
    left?.action === 'wait' ? `its previous pod ${left.pod} has stopped` : (awaitedStop(live) ?? volumeJobs.message);
  if (blocker !== undefined) {
    const message = `Server ${name} waits until ${blocker}: only one pod may write to its volume.`;
    return { ...withClaim, withdrawn, wait: { reason: ReconcilingReason.ServersStarting, message } };
  }
  return { ...withClaim, withdrawn, ...planRunning(input, credentialsHash) };
}

// A server that runs restarts its container without the operator, so only a start from zero replicas can wait.
function volumeJobsOf(server: string, { live, observed, jobs, cleanupPods }: ServerPlanInput): VolumeJobsDecision {
  const running = observed.state === 'Failed' ? 'Failed' : 'Running';
  const state = replicasOf(live.deployment) > 0 ? running : 'Stopped';
  return volumeJobsDecision({ server, state, jobs, pods: cleanupPods });
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
  const message = `Waiting for PersistentVolumeClaim ${server} to be deleted; server ${server} then starts with a new one.`;
  return { reason: ReconcilingReason.WaitingForDeletion, message };
}

function recordedVolumeUID({ status }: CopilotTenant, server: string): string | undefined {
  return status?.servers?.find(({ name }) => name === server)?.volumeUID;
}

function dataLossOf(tenant: CopilotTenant, server: string, live: ServerWorld): TenantCause | undefined {
  return dataLoss({
    tenant: tenant.metadata.name,
    server,
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
  const template = templateOf(before, credentialsHash, true);
  const { revision } = templateRevision({ ...recordOf(before, template), restarts: false });
  // A revision that is unknown here cannot be rendered.
  const known = Math.min(revision, templates.current);
  return { deployment: template.render({ revision: known, restart: restartOf(deleted) }), replaces: false };
}

/** The Deployment without a pod. Stopping is always allowed, so unknown values are taken from the live Deployment. */
function stoppedDeployment(input: ServerPlanInput): Deployment {
  const { live, credentialsHash, templates } = input;
  const hash = live.deployment?.spec?.template.metadata?.annotations?.[TemplateAnnotation.credentials];
  const template = templateOf(input, credentialsHash ?? hash ?? '', false);
  const { revision } = templateRevision({ ...recordOf(input, template), restarts: false });
  const restart = restartOf(live.deployment);
  // A revision that is unknown here cannot be rendered, and no pod runs with what is written instead.
  return template.render({ revision: Math.min(revision, templates.current), running: false, restart });
}

function planRunning(
  input: ServerPlanInput,
  credentialsHash: string,
): Pick<ServerPlan, 'deployment' | 'replaces' | 'restart' | 'healthMessage' | 'wait' | 'dueInMs'> {
  const { live, observed, wouldWrite, templates, now } = input;
  const template = templateOf(input, credentialsHash, true);
  // A start from zero replicas begins a new series of restarts.
  if (live.deployment === undefined || replicasOf(live.deployment) === 0) {
    return { deployment: template.render({ revision: templates.current }), replaces: false };
  }
  const last = restartOf(live.deployment);
  const record = recordOf(input, template);
  const { revision } = templateRevision({ ...record, restarts: false });
  const desired = revision > templates.current ? undefined : template.render({ revision, restart: last });
  if (desired !== undefined && wouldWrite(desired, live.deployment)) {
    const stopped = template.render({ revision, restart: last, running: false });
    return planChange(desired, stopped, live.deployment, live.pods);
  }
  const { health, portOpen: podReady, cause } = observed;
  // A crash is handled by the kubelet, an incomplete rollout by the Deployment controller.
  if (cause !== undefined || !isRolloutComplete(live.deployment)) return { deployment: desired, replaces: false };
  const decision = restartDecision({ server: observed.name, health, podReady, last, now });
  const { reason, message } = decision;
  const healthMessage = health.state === 'Unhealthy' ? message : undefined;
  if (decision.action !== 'restart') {
    const dueInMs = decision.action === 'wait' ? decision.afterMs : undefined;
    return { deployment: desired, replaces: false, healthMessage, dueInMs };
  }
  const restart = { at: timestamp(now), attempt: decision.attempt };
  const restarted = template.render({ revision: templateRevision({ ...record, restarts: true }).revision, restart });
  return { deployment: restarted, replaces: true, healthMessage, restart: { reason, message } };
}

function templateOf(
  { tenant, facts, live, templates }: ServerPlanInput,
  credentialsHash: string,
  running: boolean,
): ServerTemplate {
  const image = serverImage({ ...desiredImage(tenant, facts), running }, live.deployment);
  return new ServerTemplate({ tenant, index: live.index, image, credentialsHash, templates });
}

/** What the live Deployment says about its revision, and whether its tenant has changed since. */
function recordOf(
  { live: { deployment: live }, templates: { current }, wasApplied }: ServerPlanInput,
  template: ServerTemplate,
): Pick<RevisionInput, 'recorded' | 'current' | 'changed'> {
  if (live === undefined) return { recorded: undefined, current, changed: false };
  const recorded = recordedTemplateOf(live).revision;
  // Of an unknown revision no drift can be repaired, but a second pod on the volume cannot stay.
  const twoPods = recorded > current && replicasOf(live) > 1;
  return { recorded, current, changed: twoPods || template.hasChanged(live, restartOf(live), wasApplied) };
}

/**
 * Decides how a running Deployment is changed. Recreate never runs pods of two revisions at once, but it may run two of one
 * revision: when the template is reverted to a revision whose pod is still terminating, its ReplicaSet creates another. So an
 * incomplete rollout is scaled to zero first, and starts again when all pods have stopped.
 */
function planChange(
  desired: Deployment,
  stopped: Deployment,
  live: Deployment,
  pods: readonly Pod[],
): Pick<ServerPlan, 'deployment' | 'replaces' | 'wait'> {
  // Labels, annotations and the owner do not replace the pod.
  if (!differences(desired, live).some(({ path }) => path.startsWith('spec.'))) {
    return { deployment: desired, replaces: false };
  }
  // A second pod, by another writer, would write to the same volume: that cannot wait for the rollout.
  if (replicasOf(live) > 1) return { deployment: desired, replaces: false };
  if (!isObserved(live)) {
    const message = `Waiting for the Deployment controller to observe the last change of Deployment ${live.metadata.name}.`;
    return { replaces: true, wait: { reason: ReconcilingReason.ServersUpdating, message } };
  }
  const remaining = pods.filter((pod) => !hasEnded(pod));
  const stops = remaining.some(({ metadata }) => metadata.deletionTimestamp !== undefined);
  const hasRolledOut = isRolloutComplete(live) && !stops;
  if (hasRolledOut || remaining.length === 0) return { deployment: desired, replaces: true };
  return { deployment: stopped, replaces: true };
}

function desiredImage({ spec }: CopilotTenant, facts: OperatorFacts): { image?: string; default: string } {
  const { image } = spec.server;
  return { default: facts.serverImage, ...(image !== undefined && { image }) };
}

function replicasOf(live: Deployment | undefined): number {
  return live?.spec?.replicas ?? 0;
}

// A ReplicaSet does not wait for terminating pods, and a node mounts a ReadWriteOnce volume into two pods.
function awaitedStop({ deployment: live, pods }: ServerWorld): string | undefined {
  if (replicasOf(live) > 0) return undefined;
  const pod = pods.find((candidate) => !hasEnded(candidate));
  if (pod !== undefined) return `its previous pod ${pod.metadata.name} has stopped`;
  return live === undefined || isRolloutComplete(live) ? undefined : 'its Deployment has scaled to zero';
}
