/** Reads everything that exists for a tenant: its children from the caches, Secrets and events from the API server. */
import { ConditionType } from '../api/conditions.ts';
import { Label } from '../api/names.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type {
  CronJob,
  Job,
  NetworkPolicy,
  PodDisruptionBudget,
  Role,
  RoleBinding,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import { ConfigMap, Secret } from '../kube/types/builtins.ts';
import { isForbidden, isNotFound } from '../kube/types/errors.ts';
import type { Keys } from '../kube/types/keys.ts';
import { isControlledBy } from '../kube/types/owner.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import { keyOf, type KubeObject } from '../kube/types/types.ts';
import type { Applier } from '../kube/write/apply.ts';
import { isConditionTrue } from '../kube/write/conditions.ts';
import { latestWarning, saysWhyNoPod } from '../resources/event-warning.ts';
import { publicGrantKeys } from '../resources/grant-keys.ts';
import { childName } from '../resources/names.ts';
import { BY_TENANT } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import { modelSecretRef } from './decisions/model-credential.ts';
import { podInputKey, podInputRefs } from './decisions/pod-inputs.ts';
import type { CleanupWorld, PodInputRead, SecretRead, ServerWorld, SharedWorld, World } from './model.ts';
import { eventSubjectOf, openRun, uncountedTimeOut } from './open-run.ts';
import type { NodeSource } from './nodes.ts';
import type { PodOwners } from './pod-owners.ts';
import { EVENTS_AFTER_MS, readServers, type ServerStores, TENANT_INDEX } from './read-servers.ts';

/** The caches that a reconcile reads. */
export interface TenantStores extends ServerStores {
  readonly serviceAccounts: ReadonlyStore<ServiceAccount>;
  readonly networkPolicies: ReadonlyStore<NetworkPolicy>;
  readonly disruptionBudgets: ReadonlyStore<PodDisruptionBudget>;
  /** Undefined without a gateway: the operator then has no right to list them. */
  readonly roles?: ReadonlyStore<Role> | undefined;
  readonly roleBindings?: ReadonlyStore<RoleBinding> | undefined;
  readonly cronJobs: ReadonlyStore<CronJob>;
  readonly configMaps: ReadonlyStore<ConfigMap>;
  readonly jobs: ReadonlyStore<Job>;
  readonly sessions: ReadonlyStore<CopilotSession>;
}

/** What the world is read with. */
export interface WorldContext {
  readonly stores: TenantStores;
  readonly client: KubeClient;
  /** Knows what this process wrote within seconds. */
  readonly applier: Pick<Applier, 'lastWrite' | 'ofCached'>;
  readonly podOwners: Pick<PodOwners, 'withLookAlikes'>;
  readonly nodes: Pick<NodeSource, 'view' | 'departure'>;
  /** Those that sign grants; undefined: there is no gateway. */
  readonly grantKeys?: Keys | undefined;
}

/** The world, and how old the oldest part of it is that was not read now, in ms: a Secret that this process wrote within seconds. */
export interface WorldRead {
  readonly world: World;
  readonly ageMs: number;
}

/** Reads the world once; throws if a list or Secret cannot be read. */
export async function readWorld(
  tenant: CopilotTenant,
  { stores, client, applier, podOwners, nodes, grantKeys }: WorldContext,
  now: number,
  signal: AbortSignal,
): Promise<WorldRead> {
  const { name, namespace = '' } = tenant.metadata;
  const ref = modelSecretRef(tenant);
  let ageMs = 0;
  // While its first server starts a tenant is reconciled every few seconds.
  const isStarting = !isConditionTrue(tenant.status?.conditions, ConditionType.Ready);
  const ownSecret = (child: 'token' | 'binding'): SecretRead | Promise<SecretRead> => {
    const own = { namespace, name: childName(name, child) };
    const written = isStarting ? applier.lastWrite(Secret, own) : undefined;
    if (written === undefined || !isControlledBy(written.object, tenant)) return read(client, Secret, own, signal);
    ageMs = Math.max(ageMs, written.ageMs);
    return written.object;
  };
  const [tokenSecret, bindingSecret, modelSecret, podInputs, servers, cleanup] = await Promise.all([
    ownSecret('token'),
    ownSecret('binding'),
    ref && read(client, Secret, { namespace, name: ref.name }, signal),
    readPodInputs(tenant, client, signal),
    readServers(tenant, { stores, client, applier, podOwners, nodes }, now, signal),
    withRunWarning(readCleanup(tenant, stores), tenant, client, now, signal),
  ]);
  const shared = { namespace, name: childName(name, 'servers') };
  const rights = { namespace, name: childName(name, 'gateway') };
  const world = {
    tenant,
    servers,
    serviceAccount: stores.serviceAccounts.get(shared),
    networkPolicy: stores.networkPolicies.get(shared),
    disruptionBudget: stores.disruptionBudgets.get(shared),
    nodes: nodes.view(),
    gatewayRole: stores.roles?.get(rights),
    gatewayRoleBinding: stores.roleBindings?.get(rights),
    cleanup,
    ...(isSharedStorage(tenant) && { shared: sharedWorld(tenant, servers, stores, grantKeys) }),
    tokenSecret,
    bindingSecret,
    modelSecret,
    podInputs,
  };
  return { world, ageMs };
}

/** A claim without its labels is in no cache: the servers were read with it. */
function sharedWorld(
  tenant: CopilotTenant,
  servers: ReadonlyMap<number, ServerWorld>,
  stores: TenantStores,
  grantKeys: Keys | undefined,
): SharedWorld {
  const { name, namespace = '' } = tenant.metadata;
  const [found] = [...servers.values()].flatMap(({ claim }) => claim ?? []);
  return {
    claim: stores.claims.get({ namespace, name: childName(name, 'shared') }) ?? found,
    guardConfigMap: stores.configMaps.get({ namespace, name: childName(name, 'guard') }),
    publicKeys: publicGrantKeys(grantKeys?.all ?? []),
  };
}

function readCleanup(tenant: CopilotTenant, stores: TenantStores): CleanupWorld {
  const { name, namespace = '' } = tenant.metadata;
  const key = keyOf(tenant);
  const shared = { namespace, name: childName(name, 'cleanup') };
  return {
    cronJob: stores.cronJobs.get(shared),
    configMap: stores.configMaps.get({ namespace, name: childName(name, 'sessions') }),
    networkPolicy: stores.networkPolicies.get(shared),
    jobs: stores.jobs.byIndex(TENANT_INDEX, key),
    pods: stores.pods
      .byIndex(TENANT_INDEX, key)
      .filter(({ metadata }) => metadata.labels?.[Label.server] === undefined),
    sessions: stores.sessions.byIndex(BY_TENANT, key),
  };
}

/** Adds the event that says why a cleanup run does not start, or why the last one did not. */
async function withRunWarning(
  cleanup: CleanupWorld,
  { status }: CopilotTenant,
  client: KubeClient,
  now: number,
  signal: AbortSignal,
): Promise<CleanupWorld> {
  const run = openRun(cleanup);
  const subject = run === undefined ? uncountedTimeOut(cleanup, status?.lastCleanup) : eventSubjectOf(run);
  if (subject === undefined) return cleanup;
  if (now - Date.parse(subject.metadata.creationTimestamp ?? '') <= EVENTS_AFTER_MS) return cleanup;
  const isCause = subject.kind === 'Job' ? saysWhyNoPod : undefined;
  return { ...cleanup, warning: await latestWarning(subject, client, signal, isCause) };
}

async function readPodInputs(
  tenant: CopilotTenant,
  client: KubeClient,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, PodInputRead> | undefined> {
  const { namespace = '' } = tenant.metadata;
  const refs = new Map(podInputRefs(tenant).map((ref) => [podInputKey(ref), ref]));
  if (refs.size === 0) return undefined;
  const found = [...refs].map(async ([key, { kind, name }]): Promise<[string, PodInputRead]> => {
    const ref = { namespace, name };
    return [key, await (kind === 'Secret' ? read(client, Secret, ref, signal) : read(client, ConfigMap, ref, signal))];
  });
  return new Map(await Promise.all(found));
}

async function read<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  ref: { namespace: string; name: string },
  signal: AbortSignal,
): Promise<T | 'NotFound' | 'Forbidden'> {
  try {
    return await client.get(type, ref, { managedFields: false, signal });
  } catch (error) {
    if (isNotFound(error)) return 'NotFound';
    if (isForbidden(error)) return 'Forbidden';
    throw error;
  }
}
