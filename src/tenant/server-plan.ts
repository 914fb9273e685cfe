/** What is to be done about one server: a chain of reasons to leave it alone, and then its Deployment. */
import { ReconcilingReason } from '../api/conditions.ts';
import { Annotation } from '../api/names.ts';
import type { Deployment, PersistentVolumeClaim, Pod } from '../kube/types/builtins.ts';
import { timestamp } from '../kube/types/time.ts';
import { deployment } from './builders/deployment.ts';
import { persistentVolumeClaim } from './builders/persistentvolumeclaim.ts';
import type { TenantCause, Wait, Restart, ServerObservation, OperatorFacts, ServerWorld } from './model.ts';
import { serverImage } from './decisions/server-image.ts';
import { waitForPreviousTenant } from './decisions/previous-tenant.ts';
import { restartDecision } from './decisions/restart.ts';
import { acceptedLosses, dataLoss } from './decisions/data-loss.ts';
import { deletesOnVolume } from '../resources/cleanup-pod.ts';
import { isOfPreviousTenant, serverName } from '../resources/names.ts';
import { hasEnded } from './pods.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { restartOf, TemplateAnnotation, isCurrent, isObserved } from './deployments.ts';

export interface ServerPlan {
  readonly index: number;
  readonly name: string;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** The claim to apply; absent: it is left as it is, or not made. */
  readonly claim?: PersistentVolumeClaim | undefined;
  /** The Deployment to apply; absent: it is left as it is, or not made. */
  readonly deployment?: Deployment | undefined;
  /** Applying the Deployment replaces a running pod: that takes its turn. */
  readonly replaces: boolean;
  /** What is wrong with it, and what comes of that, if it does not answer. */
  readonly healthMessage?: string | undefined;
  /** Why this reconcile restarts it. */
  readonly restart?: { readonly reason: string; readonly message: string } | undefined;
  /** What keeps it from being as wanted until somebody acts. */
  readonly cause?: TenantCause | undefined;
  readonly wait?: Wait | undefined;
  /** When something is due for it that no event announces, in ms. */
  readonly dueInMs?: number | undefined;
}

export interface ServerInput {
  readonly tenant: CopilotTenant;
  readonly facts: OperatorFacts;
  readonly live: ServerWorld;
  readonly observed: ServerObservation;
  /** Pods of the tenant that are no server's: those of its cleanup and of deletions of single sessions. */
  readonly cleanupPods: readonly Pod[];
  /** Of what the pod takes from Secrets; absent while these can't be used, and then no pod may start. */
  readonly credentialsHash: string | undefined;
  /** Whether applying the Deployment would change it. */
  readonly wouldWrite: (desired: Deployment, live: Deployment) => boolean;
  /** Wall clock, ms. */
  readonly now: number;
}

export function planServer(input: ServerInput): ServerPlan {
  const { tenant, live, observed, credentialsHash } = input;
  const { index } = live;
  const name = serverName(tenant.metadata.name, index);
  const base = { index, name, live, observed, replaces: false };
  const previous = [live.deployment, live.claim, live.service].find(
    (child) => child && isOfPreviousTenant(child, tenant),
  );
  if (previous !== undefined) return { ...base, wait: waitForPreviousTenant(previous) };
  const deleted = deletedClaimWait(tenant, name, live);
  const lost = deleted === undefined ? dataLossOf(tenant, name, live) : undefined;
  const kept = deleted === undefined && lost === undefined;
  const claim = kept ? persistentVolumeClaim(tenant, index, live.claim) : undefined;
  const drafted = { ...base, claim, cause: lost, wait: deleted };
  if (tenant.spec.suspend) return { ...drafted, deployment: stoppedDeployment(input) };
  if (!kept || credentialsHash === undefined) return drafted;
  const blocker = awaitedStop(live) ?? awaitedDeletion(name, input);
  if (blocker !== undefined) {
    const message = `Server ${name} waits until ${blocker}: only one pod may write to its volume.`;
    return { ...drafted, wait: { reason: ReconcilingReason.ServersStarting, message } };
  }
  return { ...drafted, ...planRunning(input, credentialsHash) };
}

// Scaled away with its volume and wanted again before the volume was gone: nothing is lost that was to be kept.
function deletedClaimWait(
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

/** The Deployment without a pod. Stopping is always allowed, so what can't be known is taken from what is there. */
function stoppedDeployment({ tenant, facts, live, credentialsHash }: ServerInput): Deployment {
  const hash = live.deployment?.spec?.template.metadata?.annotations?.[TemplateAnnotation.credentials];
  return deployment(tenant, live.index, {
    image: serverImage({ ...desiredImage(tenant, facts), running: false }, live.deployment),
    running: false,
    credentialsHash: credentialsHash ?? hash ?? '',
    restart: restartOf(live.deployment),
  });
}

function planRunning(
  { tenant, facts, live, observed, wouldWrite, now }: ServerInput,
  credentialsHash: string,
): Pick<ServerPlan, 'deployment' | 'replaces' | 'restart' | 'healthMessage' | 'wait' | 'dueInMs'> {
  const image = serverImage({ ...desiredImage(tenant, facts), running: true }, live.deployment);
  const build = (restart: Restart | undefined, runs = true): Deployment =>
    deployment(tenant, live.index, { image, running: runs, credentialsHash, restart });
  // A start from nothing forgets the restarts before it.
  if (live.deployment === undefined || replicasOf(live.deployment) === 0) {
    return { deployment: build(undefined), replaces: false };
  }
  const last = restartOf(live.deployment);
  const desired = build(last);
  if (wouldWrite(desired, live.deployment)) return planChange(desired, build(last, false), live.deployment, live.pods);
  const { health, podReady, cause } = observed;
  // A crash, or a replacement on its way, has its own remedy.
  if (cause !== undefined || !isCurrent(live.deployment)) return { deployment: desired, replaces: false };
  const decision = restartDecision({ server: observed.name, health, podReady, last, now });
  const { reason, message } = decision;
  const healthMessage = health.state === 'Unhealthy' ? message : undefined;
  if (decision.action !== 'restart') {
    const dueInMs = decision.action === 'wait' ? decision.afterMs : undefined;
    return { deployment: desired, replaces: false, healthMessage, dueInMs };
  }
  const restart = { at: timestamp(now), attempt: decision.attempt };
  return { deployment: build(restart), replaces: true, healthMessage, restart: { reason, message } };
}

/**
 * How a running Deployment is changed. Recreate keeps the pods of two revisions apart, but not those of one: set back to a
 * revision whose pod is still stopping, because somebody edited the template, its ReplicaSet makes a pod beside that one.
 * So what is under way is stopped first, and starts again when everything has stopped.
 */
function planChange(
  desired: Deployment,
  stopped: Deployment,
  live: Deployment,
  pods: readonly Pod[],
): Pick<ServerPlan, 'deployment' | 'replaces' | 'wait'> {
  // Somebody's second pod writes to the same volume: that waits for nobody's turn.
  if (replicasOf(live) > 1) return { deployment: desired, replaces: false };
  if (!isObserved(live)) {
    const message = `Waiting for the Deployment controller to observe the last change of Deployment ${live.metadata.name}.`;
    return { replaces: true, wait: { reason: ReconcilingReason.ServersUpdating, message } };
  }
  const remaining = pods.filter((pod) => !hasEnded(pod));
  const stops = remaining.some(({ metadata }) => metadata.deletionTimestamp !== undefined);
  const hasRolledOut = isCurrent(live) && !stops;
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

// A ReplicaSet does not wait for terminating pods, and a node lets two pods on one ReadWriteOnce volume.
function awaitedStop({ deployment: live, pods }: ServerWorld): string | undefined {
  if (replicasOf(live) > 0) return undefined;
  const pod = pods.find((candidate) => !hasEnded(candidate));
  if (pod !== undefined) return `its previous pod ${pod.metadata.name} has stopped`;
  return live === undefined || isCurrent(live) ? undefined : 'its Deployment has scaled to zero';
}

// Nobody could ask the server about the sessions that the pod is about to delete. It is waited for no longer than its Job
// lets it live (activeDeadlineSeconds), and only by a server that starts from nothing: one that runs restarts as it likes.
function awaitedDeletion(name: string, { live, cleanupPods }: ServerInput): string | undefined {
  if (replicasOf(live.deployment) > 0) return undefined;
  const pod = cleanupPods.find((candidate) => !hasEnded(candidate) && deletesOnVolume(candidate, name));
  return pod && `pod ${pod.metadata.name} has finished cleaning up its volume`;
}
