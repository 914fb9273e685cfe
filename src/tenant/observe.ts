/** Observes the servers: interprets what was read of each, together with its health. */
import type { ServerState, ServerStatus } from '../api/tenant.ts';
import type { Pod } from '../kube/types/builtins.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { ServerHealth } from '../servers/server.ts';
import { serverName } from '../resources/names.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { podCause } from './decisions/pod-cause.ts';
import { refusalOfMessage } from './decisions/refusal.ts';
import { isRolloutComplete } from './deployments.ts';
import type { ServerObservation, ServerWorld, TenantCause } from './model.ts';
import { hasEnded, isReady, servingPod } from './pods.ts';
import { targetKey, type Targets } from './targets.ts';

/** What one server is observed from. */
export interface ObserveInput {
  readonly tenant: string;
  readonly server: ServerWorld;
  /** Whether a pod of it should run. */
  readonly running: boolean;
  readonly health: ServerHealth;
  /** The server in the last status, if `health` is Unknown only because this process has just started. */
  readonly remembered?: ServerStatus | undefined;
}

/** The state of one server. A server that should not run has no cause. */
export function observeServer({ tenant, server, running, health, remembered }: ObserveInput): ServerObservation {
  const name = serverName(tenant, server.index);
  const pod = servingPod(server);
  const podReady = pod !== undefined && isReady(pod);
  const cause = running ? causeOf(server, name, pod) : undefined;
  const known =
    podReady && (remembered?.state === 'Healthy' || remembered?.state === 'Unhealthy') ? remembered : undefined;
  const responds = health.state === 'Healthy' || known?.state === 'Healthy';
  const ready = running && podReady && responds && isRolloutComplete(server.deployment);
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

function causeOf({ deployment, warning }: ServerWorld, name: string, pod: Pod | undefined): TenantCause | undefined {
  if (pod !== undefined) return podCause(pod, name, warning);
  const failure = deployment?.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  return failure?.status === 'True' ? refusalOfMessage(failure.message ?? '', `Pod of server ${name}`) : undefined;
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

/** Observes all desired servers of a tenant, by index. */
export function observeServers(
  tenant: CopilotTenant,
  servers: ReadonlyMap<number, ServerWorld>,
  { health, targets }: { readonly health: Pick<HealthSource, 'get'>; readonly targets: Pick<Targets, 'wasRunning'> },
): Map<number, ServerObservation> {
  const { metadata, spec, status } = tenant;
  const observed = new Map<number, ServerObservation>();
  for (let index = 0; index < spec.replicas; index++) {
    const found = health.get(targetKey(tenant, index));
    const isRemembered = found.state === 'Unknown' && targets.wasRunning(tenant, index);
    const observation = observeServer({
      tenant: metadata.name,
      server: servers.get(index) ?? { index, pods: [] },
      running: !spec.suspend,
      health: found,
      remembered: isRemembered ? status?.servers?.[index] : undefined,
    });
    observed.set(index, observation);
  }
  return observed;
}
