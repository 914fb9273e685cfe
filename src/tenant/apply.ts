/** Carries a plan out: the only place of this part that writes, the status aside. */
import type { ChildWriteOptions } from '../kube/write/apply.ts';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import { isControlledBy } from '../kube/types/owner.ts';
import { ChildWriter } from './child-writer.ts';
import { bindingSecret } from './builders/bindingsecret.ts';
import { networkPolicy } from './builders/networkpolicy.ts';
import { persistentVolumeClaim } from './builders/persistentvolumeclaim.ts';
import { podDisruptionBudget } from './builders/poddisruptionbudget.ts';
import { service } from './builders/service.ts';
import { serviceAccount } from './builders/serviceaccount.ts';
import { tokenSecret } from './builders/tokensecret.ts';
import { applyCleanup } from './cleanup/apply-cleanup.ts';
import { executeSweeps, type SweepContext } from './cleanup/sweep-executor.ts';
import type { TenantCause, Wait, SecretRead, OperatorFacts, ServerWorld, World } from './model.ts';
import { isClaimOf } from '../resources/names.ts';
import type { Plan } from './plan.ts';
import type { ServerPlan } from './server-plan.ts';
import type { CopilotTenant } from '../resources/tenant.ts';

/** What came of a plan. */
export interface Outcome {
  /** What the API server refused: sending it again at once would not help. */
  readonly refusals: readonly TenantCause[];
  /** What passes by itself. */
  readonly waits: readonly Wait[];
  /** Everything else that failed: it is tried again with back-off. */
  readonly errors: readonly Error[];
  /** The wanted servers with what was written, by index. */
  readonly servers: ReadonlyMap<number, ServerWorld>;
  /** The binding Secret is there. */
  readonly bound: boolean;
  /** Servers whose restart was written. */
  readonly restarted: readonly ServerPlan[];
  /** What is to be told of sweeps of volumes that can't be done now. */
  readonly sweepFailures: readonly string[];
  /** When a child that somebody else keeps changing is restored next, in ms. */
  readonly retryAfterMs?: number | undefined;
}

/** What a plan is carried out with. */
export type ApplyContext = Omit<SweepContext, 'signal'>;

/** Applies everything, in an order in which no pod is made before its fence and what it mounts. */
export async function applyPlan(
  context: ApplyContext,
  world: World,
  plan: Plan,
  signal: AbortSignal,
): Promise<Outcome> {
  const { applier, facts } = context;
  const { tenant } = world;
  const writer = new ChildWriter(applier, tenant, signal);
  const [prerequisites, bound] = await applyShared(writer, facts, world, plan);
  const restarted: ServerPlan[] = [];
  const servers = await Promise.all(
    plan.servers.map(async (server) => {
      const live = await applyServer(writer, tenant, server, prerequisites);
      if (server.restart && live.deployment !== server.live.deployment) restarted.push(server);
      return [server.index, live] as const;
    }),
  );
  await deleteSurplus(writer, tenant, plan.surplus);
  // Last, so that nothing about it keeps servers waiting.
  await applyCleanup(writer, facts, world, new Map([...world.servers, ...servers]));
  const sweepFailures = await executeSweeps({ ...context, signal }, tenant, plan.sweeps);
  const { refusals, waits, errors, retryAfterMs } = writer;
  return { refusals, waits, errors, retryAfterMs, bound, restarted, sweepFailures, servers: new Map(servers) };
}

/** Whether everything is there that a pod needs before it may start, and whether the binding Secret is. */
async function applyShared(
  writer: ChildWriter,
  facts: OperatorFacts,
  { tenant, ...world }: World,
  { token, model }: Plan,
): Promise<[prerequisites: boolean, bound: boolean]> {
  // The binding copies the token, so what the API server has counts, not what was planned.
  const secret =
    token === undefined
      ? undefined
      : await writer.apply(Secret, tokenSecret(tenant, token), existing(world.tokenSecret), {
          // Of two operators that both made a token, as may happen at a hand-over, the second takes over the first one's.
          derivedFrom: existing(world.tokenSecret) ?? 'absent',
        });
  // A key that can't be read leaves the binding as it is: what clients hold keeps working.
  const bindable =
    secret !== undefined && token !== undefined && (model.ok || tenant.spec.model?.provider === undefined);
  const providerApiKey = model.ok && tenant.spec.model?.provider ? model.value : undefined;
  const [account, policy, , binding] = await Promise.all([
    writer.apply(ServiceAccount, serviceAccount(tenant), world.serviceAccount),
    writer.apply(NetworkPolicy, networkPolicy(tenant, facts), world.networkPolicy),
    writer.apply(PodDisruptionBudget, podDisruptionBudget(tenant), world.disruptionBudget),
    bindable
      ? writer.apply(Secret, bindingSecret(tenant, { token, providerApiKey }), existing(world.bindingSecret))
      : existing(world.bindingSecret),
  ]);
  return [secret !== undefined && account !== undefined && policy !== undefined, binding !== undefined];
}

const existing = (secret: SecretRead): Secret | undefined => (typeof secret === 'object' ? secret : undefined);

async function applyServer(
  writer: ChildWriter,
  tenant: CopilotTenant,
  plan: ServerPlan,
  prerequisites: boolean,
): Promise<ServerWorld> {
  const { index, live } = plan;
  const [address, claim] = await Promise.all([
    writer.apply(Service, service(tenant, index), live.service),
    plan.claim && writer.apply(PersistentVolumeClaim, plan.claim, live.claim, ourClaim(tenant)),
  ]);
  const ready = prerequisites && address !== undefined && (claim ?? live.claim) !== undefined;
  const stops = plan.deployment?.spec?.replicas === 0;
  const applied =
    plan.deployment && (ready || stops)
      ? await writer.apply(Deployment, plan.deployment, live.deployment, { derivedFrom: live.deployment })
      : undefined;
  return { ...live, service: address, claim: claim ?? live.claim, deployment: applied ?? live.deployment };
}

const ourClaim = (tenant: CopilotTenant): ChildWriteOptions<PersistentVolumeClaim> => ({
  isOurs: (live) => isClaimOf(live, tenant),
});

/** Whether anything of these servers is still to be taken away; retained volumes stay. */
export function deletesServers(tenant: CopilotTenant, surplus: readonly ServerWorld[]): boolean {
  return surplus.some(({ deployment, service: address, claim }) =>
    [deployment, address, claim].some((child) => child !== undefined && isControlledBy(child, tenant)),
  );
}

/** Stops the servers beyond `spec.replicas`, highest index first, each before the next. */
async function deleteSurplus(
  writer: ChildWriter,
  tenant: CopilotTenant,
  surplus: readonly ServerWorld[],
): Promise<void> {
  for (const { index, deployment, service: address, claim } of surplus) {
    if (deployment && isControlledBy(deployment, tenant)) await writer.delete(Deployment, deployment);
    if (address && isControlledBy(address, tenant)) await writer.delete(Service, address);
    // What was retained before belongs to nobody, and stays whatever the policy is now.
    if (!claim || !isControlledBy(claim, tenant)) continue;
    if (tenant.spec.storage.reclaimPolicy === 'Delete') await writer.delete(PersistentVolumeClaim, claim);
    else
      await writer.apply(PersistentVolumeClaim, persistentVolumeClaim(tenant, index, claim), claim, ourClaim(tenant));
  }
}
