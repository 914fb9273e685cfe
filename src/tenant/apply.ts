/** Applies a plan: the only place of this part that writes anything but the status. */
import { ModelConfiguredReason } from '../api/conditions.ts';
import type { BindingCredential } from '../api/tenant.ts';
import {
  ConfigMap,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import { isControlledBy } from '../kube/types/owner.ts';
import type { ChildWriteOptions } from '../kube/write/apply.ts';
import { claimName, isClaimOf } from '../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import { bindingSecret } from './builders/bindingsecret.ts';
import { guardConfigMap } from './builders/guardconfigmap.ts';
import { ipFamilyOf } from './builders/pod-template/listen-address.ts';
import { networkPolicy } from './builders/networkpolicy.ts';
import { persistentVolumeClaim } from './builders/persistentvolumeclaim.ts';
import { podDisruptionBudget } from './builders/poddisruptionbudget.ts';
import { service } from './builders/service.ts';
import { serviceAccount } from './builders/serviceaccount.ts';
import { tokenSecret } from './builders/tokensecret.ts';
import { ChildWriter } from './child-writer.ts';
import { applyCleanup } from './cleanup/apply-cleanup.ts';
import { deletesOnVolumes } from './decisions/volume-jobs.ts';
import { executeSweeps, type SweepContext } from './cleanup/sweep-executor.ts';
import { isOwnOrOrphan } from './decisions/adoption.ts';
import { applyGatewayRights } from './gateway-rights.ts';
import type { EndedPod } from './decisions/ended-pods.ts';
import { deleteEndedPods } from './ended-pods.ts';
import type { OperatorFacts, SecretRead, ServerWorld, TenantCause, Wait, World } from './model.ts';
import { type Plan, stoppable } from './plan.ts';
import type { ServerPlan } from './server-plan.ts';

/** The result of applying a plan. */
export interface Outcome {
  /** What the API server refused: an immediate retry would not help. */
  readonly refusals: readonly TenantCause[];
  /** What is waited for without user action. */
  readonly waits: readonly Wait[];
  /** All other errors, which are retried with back-off. */
  readonly errors: readonly Error[];
  /** Children that another writer keeps changing. */
  readonly conflicts: readonly TenantCause[];
  /** Children without a controller that were taken over, as `Deployment acme-0`. */
  readonly adopted: readonly string[];
  /** Messages about children that an admission policy had changed, and did not change when they were updated. */
  readonly undone: readonly string[];
  /** The desired servers after the writes, by index. */
  readonly servers: ReadonlyMap<number, ServerWorld>;
  /** The binding Secret exists. */
  readonly hasBinding: boolean;
  /** The binding credentials that are valid after the writes, the newest first; empty with access Direct. */
  readonly credentials: readonly BindingCredential[];
  /** The token was rotated: its Secret has the new one, and so has the binding, unless a model credential keeps it as it is. */
  readonly rotated: boolean;
  /** Servers that were restarted. */
  readonly restarted: readonly ServerPlan[];
  /** Ended pods of servers that were deleted. */
  readonly endedPods: readonly EndedPod[];
  /** Indexes of the servers beyond `spec.replicas` whose Deployment was deleted. */
  readonly removed: readonly number[];
  /** Messages about sweeps that cannot be done now. */
  readonly sweepFailures: readonly string[];
  /** When a child is written next that another writer keeps changing, or that must be deleted first, in ms. */
  readonly retryAfterMs?: number | undefined;
}

/** What a plan is applied with. */
export type ApplyContext = Omit<SweepContext, 'signal'>;

/** Applies everything, in such an order that no pod is created before its NetworkPolicy and what it mounts. */
export async function applyPlan(
  context: ApplyContext,
  world: World,
  plan: Plan,
  signal: AbortSignal,
): Promise<Outcome> {
  if (plan.paused) return untouched(world, plan);
  const { applier, client, facts } = context;
  const { tenant } = world;
  const writer = new ChildWriter(applier, tenant, signal);
  for (const server of plan.servers) {
    for (const job of server.withdrawn ?? []) await withdraw(writer, job);
  }
  // The runs of this CronJob would delete sessions beside a server that starts now. Whether that write succeeds, servers don't wait for.
  const starting = plan.servers.filter(startsFromZero).map(({ index }) => claimName(tenant, index));
  const cleanupFirst = deletesOnVolumes(world.cleanup.cronJob, starting);
  if (cleanupFirst) await applyCleanup(writer, facts, world, world.servers);
  const { prerequisites, hasBinding, credentials, rotated } = await applyShared(writer, facts, world, plan);
  const shared = world.shared && (await applySharedClaim(writer, tenant, plan, world.shared.claim));
  const restarted: ServerPlan[] = [];
  const servers = await Promise.all(
    plan.servers.map(async (server) => {
      const live = await applyServer(writer, tenant, server, prerequisites, shared);
      if (server.restart && live.deployment !== server.live.deployment) restarted.push(server);
      return [server.index, live] as const;
    }),
  );
  const removed = await deleteSurplus(writer, tenant, stoppable(plan));
  // Last, so that servers do not wait for it.
  if (!cleanupFirst) await applyCleanup(writer, facts, world, new Map([...world.servers, ...servers]));
  const endedPods = await deleteEndedPods(writer, client, tenant, world.servers, plan.endedPods, signal);
  const sweeps = await executeSweeps({ ...context, signal }, tenant, plan.sweeps);
  const { refusals, waits, errors, conflicts, adopted, undone } = writer;
  const dues = [writer.retryAfterMs, sweeps.retryAfterMs].flatMap((due) => due ?? []);
  const retryAfterMs = dues.length > 0 ? Math.min(...dues) : undefined;
  const written = { refusals, waits, errors, conflicts, adopted, undone, retryAfterMs };
  return {
    ...written,
    hasBinding,
    credentials,
    rotated,
    restarted,
    removed,
    endedPods,
    sweepFailures: sweeps.failures,
    servers: new Map(servers),
  };
}

/** The outcome for a paused tenant: everything as it was read. */
export function untouched({ tenant, servers, bindingSecret }: World, plan: Plan): Outcome {
  const desired = plan.servers.map(({ index }) => [index, servers.get(index) ?? { index, pods: [] }] as const);
  const nothing = {
    refusals: [],
    waits: [],
    errors: [],
    conflicts: [],
    adopted: [],
    undone: [],
    restarted: [],
    removed: [],
    endedPods: [],
    sweepFailures: [],
  };
  const hasBinding = existing(bindingSecret) !== undefined;
  const credentials = validCredentials(tenant, plan, false);
  return { ...nothing, servers: new Map(desired), hasBinding, credentials, rotated: false };
}

const startsFromZero = ({ deployment, live }: ServerPlan): boolean =>
  (deployment?.spec?.replicas ?? 0) > 0 && (live.deployment?.spec?.replicas ?? 0) === 0;

/** Foreground: the Job remains, and is waited for, until its pods are gone. */
async function withdraw(writer: ChildWriter, job: Job): Promise<void> {
  await writer.delete(Job, job, { isOurs: () => true, propagationPolicy: 'Foreground' });
}

/** What came of applying what servers share. */
interface SharedOutcome extends Pick<Outcome, 'hasBinding' | 'credentials' | 'rotated'> {
  /** Everything exists that a pod needs. */
  readonly prerequisites: boolean;
}

/** Applies what servers share. */
async function applyShared(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, ...world }: World,
  plan: Plan,
): Promise<SharedOutcome> {
  const { token, rotation, model, clients } = plan;
  // The binding may copy the token, so it may only be written once the token's Secret is.
  const secret =
    token === undefined
      ? undefined
      : await writer.apply(Secret, tokenSecret(tenant, token), existing(world.tokenSecret), {
          // If two operators generate a token during a hand-over, the second write fails, and its retry uses the first token.
          derivedFrom: existing(world.tokenSecret) ?? 'absent',
        });
  // While the provider's key cannot be read the binding stays as it is, so that its clients keep working. A key that tenants may
  // not use any more is removed from it.
  const isInjected = clients.injection.injection === 'Gateway';
  const bindingToken = clients.access === 'Gateway' ? clients.credential?.token : token;
  const bindable =
    secret !== undefined &&
    bindingToken !== undefined &&
    (isInjected ||
      model.ok ||
      tenant.spec.model?.provider === undefined ||
      model.reason === ModelConfiguredReason.SecretNotAllowed);
  const providerApiKey = !isInjected && model.ok && tenant.spec.model?.provider ? model.value : undefined;
  const { publicKeys, guardConfigMap: liveKeys } = world.shared ?? {};
  const [account, policy, guardKeys, , binding] = await Promise.all([
    writer.apply(ServiceAccount, serviceAccount(tenant), world.serviceAccount),
    writer.apply(NetworkPolicy, networkPolicy(tenant, facts, clients.access), world.networkPolicy),
    publicKeys === undefined ? liveKeys : writer.apply(ConfigMap, guardConfigMap(tenant, publicKeys), liveKeys),
    writer.apply(PodDisruptionBudget, podDisruptionBudget(tenant, plan.evictions?.refused), world.disruptionBudget),
    bindable
      ? writer.apply(
          Secret,
          bindingSecret(tenant, {
            token: bindingToken,
            gateway: clients.gateway,
            injection: clients.injection.injection,
            providerApiKey,
          }),
          existing(world.bindingSecret),
          // It has the only copy of the credential: what another writer, or the operator before, wrote meanwhile is not overwritten.
          clients.credential && { derivedFrom: existing(world.bindingSecret) ?? 'absent' },
        )
      : existing(world.bindingSecret),
    applyGatewayRights(writer, facts, { tenant, ...world }, plan),
  ]);
  return {
    prerequisites:
      secret !== undefined &&
      account !== undefined &&
      policy !== undefined &&
      (world.shared === undefined || guardKeys !== undefined),
    hasBinding: binding !== undefined,
    credentials: validCredentials(tenant, plan, bindable && binding !== undefined),
    // Reported once: with the write of the binding or, if that stays as it is, of the token's Secret.
    rotated: bindable
      ? rotation !== undefined && binding !== undefined
      : rotation?.reason === 'SecretDeleted' && secret !== undefined,
  };
}

// The hash of a new credential that no Secret has would be published for nothing, and the one before retired for it.
function validCredentials(
  { status }: CopilotTenant,
  { clients }: Plan,
  written: boolean,
): readonly BindingCredential[] {
  const { access, credential } = clients;
  if (access === 'Direct') return [];
  if (credential !== undefined && (written || credential.reason !== 'Created')) return credential.valid;
  return status?.binding?.credentials ?? [];
}

const existing = (secret: SecretRead): Secret | undefined => (typeof secret === 'object' ? secret : undefined);

/** The claim of all servers: written once, and also while there are none, so that it follows `spec.storage.reclaimPolicy`. */
async function applySharedClaim(
  writer: ChildWriter,
  tenant: CopilotTenant,
  { servers }: Plan,
  live: PersistentVolumeClaim | undefined,
): Promise<PersistentVolumeClaim | undefined> {
  const isKept = servers.length === 0 && live !== undefined && isClaimOf(live, tenant);
  const desired = isKept ? persistentVolumeClaim(tenant, 0, live) : servers.find(({ claim }) => claim)?.claim;
  const applied = desired && (await writer.apply(PersistentVolumeClaim, desired, live, ourClaim(tenant)));
  return applied ?? live;
}

/** `shared`: the claim that all servers mount, after it was written; undefined: this one has its own. */
async function applyServer(
  writer: ChildWriter,
  tenant: CopilotTenant,
  plan: ServerPlan,
  prerequisites: boolean,
  shared: PersistentVolumeClaim | undefined,
): Promise<ServerWorld> {
  const { index, live } = plan;
  const own = isSharedStorage(tenant) ? undefined : plan.claim;
  const [address, claim = shared] = await Promise.all([
    writer.apply(Service, service(tenant, index), live.service),
    own && writer.apply(PersistentVolumeClaim, own, live.claim, ourClaim(tenant)),
  ]);
  // Rendered without its Service, the Deployment would listen on the wrong family; the next reconcile knows it.
  const isPlanned = ipFamilyOf(address, live.deployment) === ipFamilyOf(live.service, live.deployment);
  const ready = prerequisites && address !== undefined && isPlanned && (claim ?? live.claim) !== undefined;
  const stops = plan.deployment?.spec?.replicas === 0;
  const applied =
    plan.deployment && (ready || stops)
      ? await writer.apply(Deployment, plan.deployment, live.deployment, { derivedFrom: live.deployment })
      : undefined;
  if (plan.deployment === undefined && live.deployment !== undefined) writer.leave(Deployment, live.deployment);
  return { ...live, service: address, claim: claim ?? live.claim, deployment: applied ?? live.deployment };
}

const ourClaim = (tenant: CopilotTenant): ChildWriteOptions<PersistentVolumeClaim> => ({
  isOurs: (live) => isClaimOf(live, tenant),
});

// Zero replicas are a pause: who scales to zero, often a downscaler for the night, wants the sessions back.
// A volume that servers share is not that of any one of them.
const keepsVolumes = (tenant: CopilotTenant): boolean => tenant.spec.replicas === 0 || isSharedStorage(tenant);

/** Whether any child of these servers is to be deleted. Retained volumes are not. */
export function deletesServers(tenant: CopilotTenant, surplus: readonly ServerWorld[]): boolean {
  return surplus.some(({ deployment, service: address, claim }) =>
    [deployment, address, keepsVolumes(tenant) ? undefined : claim].some(
      (child) => child !== undefined && (child === claim ? isControlledBy : isOwnOrOrphan)(child, tenant),
    ),
  );
}

/** Whether something of a server is missing, of a tenant that was observed before: as a late cache shows it, it may just have been removed. */
export function recreatesServers({ status }: CopilotTenant, servers: readonly ServerPlan[]): boolean {
  return (
    status?.observedGeneration !== undefined &&
    servers.some(({ live, deployment }) => !live.service || (deployment !== undefined && !live.deployment))
  );
}

/** Deletes the servers beyond `spec.replicas`, one after the other, highest index first. Returns those whose Deployment was deleted. */
async function deleteSurplus(
  writer: ChildWriter,
  tenant: CopilotTenant,
  surplus: readonly ServerWorld[],
): Promise<number[]> {
  const removed: number[] = [];
  for (const { index, deployment, service: address, claim } of surplus) {
    if (deployment && isOwnOrOrphan(deployment, tenant) && (await writer.delete(Deployment, deployment)))
      removed.push(index);
    if (address && isOwnOrOrphan(address, tenant)) await writer.delete(Service, address);
    // A volume that was retained before has no owner, and is kept whatever the policy is now.
    if (!claim || !isControlledBy(claim, tenant) || keepsVolumes(tenant)) continue;
    if (tenant.spec.storage.reclaimPolicy === 'Delete') await writer.delete(PersistentVolumeClaim, claim);
    else
      await writer.apply(PersistentVolumeClaim, persistentVolumeClaim(tenant, index, claim), claim, ourClaim(tenant));
  }
  return removed;
}
