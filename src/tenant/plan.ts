/**
 * Decides what a reconcile does, before anything is written: pure functions of the world, so that every rule can be tested
 * without a cluster. apply.ts executes the plan.
 */
import { createHmac } from 'node:crypto';
import { StalledReason } from '../api/conditions.ts';
import type { Deployment } from '../kube/types/builtins.ts';
import { isOfPreviousTenant, serverName, sweepName } from '../resources/names.ts';
import { isSharedStorage, isStopped, isTenantPaused, type CopilotTenant } from '../resources/tenant.ts';
import { POD_TEMPLATES, type PodTemplates } from './builders/pod-template/template.ts';
import { clientAccess, type ClientAccess } from './client-access.ts';
import { sweepDecision, type SweepDecision } from './cleanup/sweep-decision.ts';
import type { TokenDecision, TokenRotation } from './decisions/connection-token.ts';
import { endedPods, type EndedPod } from './decisions/ended-pods.ts';
import { evictionDecision, unlessStranded, type EvictionDecision } from './decisions/node-drain.ts';
import { tenantOfPods } from './decisions/injection.ts';
import { modelDecision, type ModelDecision } from './decisions/model-credential.ts';
import { podInputs, podSecrets } from './decisions/pod-inputs.ts';
import { lookAlikeCause } from './decisions/pod-ownership.ts';
import type { PendingRollout } from './decisions/pending-rollout.ts';
import { PAUSED_TENANT, type RolloutBudget } from './decisions/rollout-budget.ts';
import { sharedStorage } from './decisions/shared-storage.ts';
import { volumeServer, type VolumeServer } from './decisions/volume-server.ts';
import { isRolloutComplete, replicasOf } from './deployments.ts';
import type { OperatorFacts, ServerObservation, ServerWorld, TenantCause, VolumeFacts, Wait, World } from './model.ts';
import { type DrainReports, drainTimeoutMs, leavingDrains, type PlannedDrain, planDrains } from './drain-plan.ts';
import { limitRollout, rollOut } from './rollout-plan.ts';
import { planServer, type ServerPlan } from './server-plan.ts';
import type { WasApplied } from './server-template.ts';
import { rotationOf, tokenOf } from './token-plan.ts';

/** What a reconcile decided to do. */
export interface Plan {
  /** The connection token; absent if its Secret cannot be used, and then no server is started. */
  readonly token?: string | undefined;
  /** The token is not the one that servers and clients have. */
  readonly rotation?: TokenRotation | undefined;
  readonly model: ModelDecision;
  /** How clients connect. */
  readonly clients: ClientAccess;
  /** Whether evictions of servers are refused, because the operator drains them first. Default: they are not. */
  readonly evictions?: EvictionDecision | undefined;
  /** Values of Secrets that the pods have besides token and model credential. */
  readonly podSecrets: readonly string[];
  /** The desired servers, by index. */
  readonly servers: readonly ServerPlan[];
  /** Servers beyond `spec.replicas`, highest index first. */
  readonly surplus: readonly ServerWorld[];
  /** The drains that are stated, by the index of the server. One of `surplus` that drains is not deleted yet. */
  readonly drains?: ReadonlyMap<number, PlannedDrain>;
  /** The epoch of the last drain; undefined: there was none. */
  readonly drainEpoch?: number | undefined;
  /** Through which server the operator works on the volume that all share; undefined: each has its own. */
  readonly volumeServer?: VolumeServer | undefined;
  /** Ended pods of servers to delete. */
  readonly endedPods: readonly EndedPod[];
  /** One for each volume that has a sweep requested, running or to be requested. */
  readonly sweeps: readonly SweepDecision[];
  /** What requires user action, as far as it is known before anything is written. */
  readonly causes: readonly TenantCause[];
  readonly waits: readonly Wait[];
  /** Whether servers are being replaced or wait for it. */
  readonly rolling: boolean;
  /** The tenant is paused: nothing is written but the status. */
  readonly paused?: boolean;
  /** Servers that the roll-out of the operator's version replaces now. */
  readonly rolledOut?: readonly ServerPlan[];
  /** Why servers wait for that roll-out. They serve meanwhile. */
  readonly pendingRollout?: PendingRollout | undefined;
  /** When something is due that no watch reports, in ms. */
  readonly dueInMs?: number | undefined;
}

/** What a plan is decided from. */
export interface PlanInput {
  readonly world: World;
  readonly facts: OperatorFacts;
  /** By index, for every desired server. */
  readonly observed: ReadonlyMap<number, ServerObservation>;
  /** What is known of volumes, by the index of their server. */
  readonly volumes: ReadonlyMap<number, VolumeFacts>;
  /** Whether applying the Deployment would change it. */
  readonly wouldWrite: (desired: Deployment, live: Deployment) => boolean;
  readonly wasApplied: WasApplied;
  /** Default: those of this version of the operator. */
  readonly templates?: PodTemplates;
  readonly budget: RolloutBudget;
  /** What the gateway says of drains; undefined: there is none that can be asked. */
  readonly drainReports?: DrainReports | undefined;
  /** Indexes of the servers whose Deployment could not be written the last time, so that they are not drained again for it. */
  readonly refused?: ReadonlySet<number> | undefined;
  /** Wall clock, ms. */
  readonly now: number;
  readonly randomBytes: (size: number) => Buffer;
}

// Secrets are not watched, so nothing reports that the garbage collector has deleted those of a previous tenant.
const COLLECTION_POLL_MS = 2_000;

/** Decides the whole plan. */
export function decide(input: PlanInput): Plan {
  const { world, facts, observed, wouldWrite, wasApplied, templates = POD_TEMPLATES, now, randomBytes } = input;
  const { tenant } = world;
  const budget = isTenantPaused(tenant) ? PAUSED_TENANT : input.budget;
  const clients = clientAccess(world, facts, now, randomBytes);
  const podTenant = tenantOfPods(tenant, clients.injection);
  const model = modelDecision(tenant, world.modelSecret, facts.requireSecretLabel, clients.injection);
  const inputs = podInputs(tenant, world.podInputs, facts.requireSecretLabel);
  const hashOf = (token: string) =>
    model.ok && inputs.ok ? credentialsHash(token, inPod(podTenant, model.value) + inputs.digestible) : undefined;
  const { decision, cause, wait } = tokenOf(world, hashOf, randomBytes);
  const token = decision?.token;
  const hash = token === undefined ? undefined : hashOf(token);
  const reports = clients.access === 'Gateway' && facts.gateway !== undefined ? input.drainReports : undefined;
  const evictions = evictionDecision({
    access: clients.access,
    canDrain: reports !== undefined,
    nodes: world.nodes ?? 'Hidden',
    timeoutMs: drainTimeoutMs(tenant),
    tolerations: tenant.spec.server.tolerations,
    current: world.disruptionBudget?.spec?.maxUnavailable,
  });
  const shared =
    world.shared &&
    sharedStorage({
      claim: world.shared.claim,
      hasImage: facts.operatorImage !== undefined,
      hasKeys: (world.shared.publicKeys ?? world.shared.guardConfigMap) !== undefined,
    });
  const drafts = [...observed].map(([index, observation]) =>
    planServer({
      tenant: podTenant,
      facts,
      live: world.servers.get(index) ?? { index, pods: [] },
      observed: observation,
      cleanupPods: world.cleanup.pods,
      jobs: world.cleanup.jobs,
      sharedStorage: shared,
      credentialsHash: hash,
      wouldWrite,
      wasApplied,
      templates,
      budget,
      leavesNodes: evictions.refused,
      now,
    }),
  );
  const limited = limitRollout(drafts, hash);
  const { servers: next, rolledOut, pending } = rollOut(tenant, limited, budget);
  const stranded = next.find(isStranded);
  const surplus = [...world.servers.values()]
    .filter(({ index }) => !observed.has(index))
    .toSorted((a, b) => b.index - a.index);
  const drainInput = { tenant, servers: next, surplus, reports, budget, refused: input.refused ?? new Set(), now };
  const drained = isTenantPaused(tenant) ? leavingDrains(drainInput) : planDrains(drainInput);
  const { servers, drains } = drained;
  const works = volumeServer({
    servers: [...observed.values()],
    draining: new Set([...drains].flatMap(([index, { end }]) => (end === undefined ? [index] : []))),
    last: tenant.status?.volumeServer,
  });
  const modelCause = model.ok ? [] : [{ reason: StalledReason.ModelNotConfigured, message: model.message }];
  // The servers that run keep what they started with, and serve.
  const isBesideServers = [...observed.values()].every(({ ready }) => ready);
  const inputCause = inputs.ok ? [] : [{ ...inputs.cause, isBesideServers }];
  const lookAlikes = [...world.servers.values()].flatMap(
    ({ index, lookAlikes: pods = [] }) =>
      lookAlikeCause(tenant.metadata.name, serverName(tenant.metadata.name, index), pods) ?? [],
  );
  const secrets = [world.tokenSecret, world.bindingSecret];
  const waitsForCollection = secrets.some((secret) => typeof secret === 'object' && isOfPreviousTenant(secret, tenant));
  const sweeps = sweepDecisions(input);
  const dues = [
    ...drafts.flatMap(({ dueInMs }) => dueInMs ?? []),
    ...sweeps.flatMap((step) => (step.action === 'wait' ? (step.dueInMs ?? []) : [])),
    ...(waitsForCollection ? [COLLECTION_POLL_MS] : []),
    ...(clients.credential?.dueInMs === undefined ? [] : [clients.credential.dueInMs]),
    ...(drained.dueInMs === undefined ? [] : [drained.dueInMs]),
  ];
  const plan: Plan = {
    token,
    rotation: decision && rotationOf(world, decision, hash, clients.access === 'Direct'),
    model,
    clients,
    evictions: unlessStranded(evictions, stranded?.name),
    podSecrets: podSecrets(tenant, world.podInputs),
    servers,
    surplus,
    drains,
    drainEpoch: drained.epoch,
    ...(shared && { volumeServer: works }),
    endedPods: servers.flatMap(({ name, live }) => endedPods(live, name, !isStopped(tenant))),
    sweeps,
    causes: [
      ...(cause ? [cause] : []),
      ...(clients.cause ? [clients.cause] : []),
      ...modelCause,
      ...inputCause,
      ...servers.flatMap((server) => server.cause ?? []),
      ...lookAlikes,
    ],
    waits: [...drained.waits, ...(wait ? [wait] : []), ...servers.flatMap((server) => server.wait ?? [])],
    rolling: limited.rolling || rolledOut.length > 0,
    rolledOut,
    pendingRollout: pending,
    ...(dues.length > 0 && { dueInMs: Math.min(...dues) }),
  };
  return isTenantPaused(tenant) ? pausedPlan(plan, decision) : plan;
}

/** The plan of a paused tenant: without everything that would be written or waited for. What was found out about servers is kept. */
export function pausedPlan(plan: Plan, decision: TokenDecision | undefined): Plan {
  const servers = plan.servers.map(({ index, name, live, observed, healthMessage, cause }) => ({
    index,
    name,
    live,
    observed,
    healthMessage,
    cause,
    replaces: false,
  }));
  // Without its Secret no server has the token that was generated just now.
  const token = decision?.reason === 'Created' ? undefined : plan.token;
  const nothing = { rotation: undefined, sweeps: [], waits: [], rolling: false, dueInMs: undefined, rolledOut: [] };
  return { ...plan, ...nothing, pendingRollout: undefined, token, servers, paused: true };
}

/** The servers beyond `spec.replicas` that do not drain. */
export function stoppable({ surplus, drains }: Plan): readonly ServerWorld[] {
  return surplus.filter(({ index }) => {
    const drain = drains?.get(index);
    return drain === undefined || drain.end !== undefined;
  });
}

function sweepDecisions({ world, facts, volumes, now }: PlanInput): SweepDecision[] {
  const { jobs, pods } = world.cleanup;
  const { tenant, servers } = world;
  const canSweep = facts.operatorImage !== undefined;
  // Of a volume that servers share one Job sweeps at a time, which has the name of the first server's.
  const swept = isSharedStorage(tenant) ? [{ index: 0, claim: world.shared?.claim, pods: [] }] : [...servers.values()];
  return swept.flatMap((server) => {
    const name = sweepName(tenant.metadata.name, server.index);
    const job = jobs.find(({ metadata }) => metadata.name === name);
    const volume = volumes.get(server.index) ?? {};
    return sweepDecision({ tenant, server, job, pods, volume, canSweep, now }) ?? [];
  });
}

/** Whether a server that runs has to leave its node, and its plan does not take it away. */
function isStranded({ deployment, replaces, departsSoon, live }: ServerPlan): boolean {
  if (live.departure === undefined || replicasOf(live.deployment) === 0 || !isRolloutComplete(live.deployment))
    return false;
  const stops = deployment !== undefined && replicasOf(deployment) === 0;
  return !replaces && !stops && departsSoon !== true;
}

// Keyed by the connection token: the annotation cannot be used to guess a credential, and it changes with the token, which
// the pod reads from a Secret too.
function credentialsHash(token: string, values: string): string {
  return createHmac('sha256', token).update(values).digest('hex').slice(0, 32);
}

function inPod({ spec }: CopilotTenant, modelCredential = ''): string {
  return spec.model?.github === undefined ? '' : modelCredential;
}
