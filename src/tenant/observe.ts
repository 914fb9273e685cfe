import type { ServerState, ServerStatus } from '../api/tenant.ts';
import type { ServerHealth } from '../servers/health/health.ts';
import type { Deployment, Pod } from '../kube/types/builtins.ts';
import type { TenantCause } from './model.ts';
import { podTrouble } from './decisions/pod.ts';
import { refusalOfMessage } from './decisions/refusal.ts';
import { serverName } from '../resources/names.ts';
import { hasEnded, isReady, servingPod } from './pods.ts';
import type { ServerWorld } from './world.ts';

/** What can be said of one server from outside it. */
export interface ServerObservation {
  readonly index: number;
  readonly name: string;
  readonly state: ServerState;
  /** It runs what its Deployment says, its port is open, and it answers. */
  readonly ready: boolean;
  /** The kubelet's word: the port is open. */
  readonly podReady: boolean;
  /** Version that the server itself reports. */
  readonly version?: string | undefined;
  /** Why it is Unhealthy. */
  readonly health: ServerHealth;
  /** The pinger has no result yet because this process has just begun; state and version are those of the last status. */
  readonly remembered: boolean;
  /** Why it can't run, when it can't. */
  readonly cause?: TenantCause | undefined;
  /** Pods of it that are to stop and have not yet. */
  readonly stopping: readonly Pod[];
}

export interface ObserveInput {
  readonly tenant: string;
  readonly server: ServerWorld;
  /** Whether a pod of it is meant to run. */
  readonly running: boolean;
  readonly health: ServerHealth;
  /** The server as status last told it, if `health` is Unknown only because this process has just begun. */
  readonly remembered?: ServerStatus | undefined;
}

export function observeServer({ tenant, server, running, health, remembered }: ObserveInput): ServerObservation {
  const name = serverName(tenant, server.index);
  const pod = servingPod(server);
  const podReady = pod !== undefined && isReady(pod);
  const cause = running ? troubleOf(server, name, pod) : undefined;
  const known =
    podReady && (remembered?.state === 'Healthy' || remembered?.state === 'Unhealthy') ? remembered : undefined;
  const answers = health.state === 'Healthy' || known?.state === 'Healthy';
  const ready = running && podReady && answers && isCurrent(server.deployment);
  return {
    index: server.index,
    name,
    state: stateOf({ running, cause, pod, health, ready, remembered: known }),
    ready,
    podReady,
    version: health.state === 'Healthy' ? health.version : known?.version,
    health,
    remembered: known !== undefined && health.state === 'Unknown',
    cause,
    stopping: server.pods.filter((candidate) => !(running && candidate === pod) && !hasEnded(candidate)),
  };
}

/** Whether the Deployment controller has seen the latest template and its pod, and no other, runs. */
export function isCurrent(deployment: Deployment | undefined): boolean {
  const { status } = deployment ?? {};
  return (
    status !== undefined &&
    isObserved(deployment) &&
    (status.updatedReplicas ?? 0) === (deployment?.spec?.replicas ?? 0) &&
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0)
  );
}

/** Whether the Deployment controller has seen the latest spec: until then its status tells of the one before. */
export function isObserved(deployment: Deployment | undefined): boolean {
  return (deployment?.status?.observedGeneration ?? 0) >= (deployment?.metadata.generation ?? 0);
}

function troubleOf({ deployment, warning }: ServerWorld, name: string, pod: Pod | undefined): TenantCause | undefined {
  if (pod !== undefined) return podTrouble(pod, name, warning);
  const failure = deployment?.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  return failure?.status === 'True' ? refusalOfMessage(failure.message ?? '', `The pod of server ${name}`) : undefined;
}

interface StateInput {
  readonly running: boolean;
  readonly cause: TenantCause | undefined;
  readonly pod: Pod | undefined;
  readonly health: ServerHealth;
  readonly ready: boolean;
  readonly remembered: ServerStatus | undefined;
}

function stateOf({ running, cause, pod, health, ready, remembered }: StateInput): ServerState {
  if (!running) return 'Stopped';
  if (cause !== undefined) return 'Failed';
  if (pod?.status?.phase !== 'Running') return 'Pending';
  if (health.state === 'Unhealthy' || remembered?.state === 'Unhealthy') return 'Unhealthy';
  return ready ? 'Healthy' : 'Starting';
}
