/** Observes the servers: interprets what was read of each, together with its health. */
import type { ServerState, ServerStatus } from '../api/tenant.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { Deployment, Pod } from '../kube/types/builtins.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { ServerHealth } from '../servers/server.ts';
import { serverName } from '../resources/names.ts';
import { isStopped, type CopilotTenant } from '../resources/tenant.ts';
import { lostNodeCause } from './decisions/lost-node.ts';
import { podCause } from './decisions/pod-cause.ts';
import { previousPod } from './decisions/previous-pod.ts';
import { refusalOfMessage } from './decisions/refusal.ts';
import { canWrite, writeErrorCause } from './decisions/write-error.ts';
import { isRolloutComplete } from './deployments.ts';
import type { ServerObservation, ServerWorld, TenantCause } from './model.ts';
import { isReady } from '../resources/pod.ts';
import { hasEnded, isPortOpen, servingPod } from './pods.ts';
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
  /** Wall clock, ms. */
  readonly now: number;
}

/** The state of one server. A server that should not run has no cause, unless it cannot stop. */
export function observeServer({ tenant, server, running, health, remembered, now }: ObserveInput): ServerObservation {
  const name = serverName(tenant, server.index);
  const pod = servingPod(server);
  const podReady = pod !== undefined && isReady(pod);
  const lost = podReady ? undefined : lostNodeCause(server.pods, name, now);
  const cause =
    lost ??
    (running
      ? (causeOf(server, name, pod, now) ?? writeErrorCause(health, name, server.claim?.metadata.name))
      : undefined);
  const known =
    podReady && (remembered?.state === 'Healthy' || remembered?.state === 'Unhealthy') ? remembered : undefined;
  const responds = health.state === 'Healthy' || known?.state === 'Healthy';
  const ready = running && podReady && responds && canWrite(health) && staysAsItIs(server.deployment);
  return {
    index: server.index,
    name,
    state: stateOf({ running, cause, pod, health, ready, remembered: known }),
    ready,
    portOpen: pod !== undefined && isPortOpen(pod),
    version: health.state === 'Healthy' ? health.version : known?.version,
    health,
    remembered: known !== undefined && health.state === 'Unknown',
    cause,
    stopping: server.pods.filter((candidate) => !(running && candidate === pod) && !hasEnded(candidate)),
  };
}

/** Whether nothing is about to be replaced: a rollout that a user has paused waits as long as that user wants, and the pod of before serves. */
function staysAsItIs(deployment: Deployment | undefined): boolean {
  return deployment?.spec?.paused === true || isRolloutComplete(deployment);
}

function causeOf(server: ServerWorld, name: string, pod: Pod | undefined, now: number): TenantCause | undefined {
  const { deployment, warning, claim } = server;
  if (previousPod(server) !== undefined) return undefined;
  if (pod !== undefined) return podCause(pod, name, { warning, claim: claim?.metadata.name, now });
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

/** What servers are observed with. */
export interface ObserveContext {
  readonly health: Pick<HealthSource, 'get'>;
  readonly targets: Pick<Targets, 'wasRunning'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** Observes all desired servers of a tenant, by index. */
export function observeServers(
  tenant: CopilotTenant,
  servers: ReadonlyMap<number, ServerWorld>,
  { health, targets, clock }: ObserveContext,
): Map<number, ServerObservation> {
  const { metadata, spec, status } = tenant;
  const observed = new Map<number, ServerObservation>();
  for (let index = 0; index < spec.replicas; index++) {
    const found = health.get(targetKey(tenant, index));
    const isRemembered = found.state === 'Unknown' && targets.wasRunning(tenant, index);
    const observation = observeServer({
      tenant: metadata.name,
      server: servers.get(index) ?? { index, pods: [] },
      running: !isStopped(tenant),
      health: found,
      remembered: isRemembered ? rememberedStatus(status?.servers?.[index]) : undefined,
      now: clock.now(),
    });
    observed.set(index, observation);
  }
  return observed;
}

// It answered when it began to drain.
function rememberedStatus(last: ServerStatus | undefined): ServerStatus | undefined {
  return last?.state === 'Draining' ? { ...last, state: 'Healthy' } : last;
}
