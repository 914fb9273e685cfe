/** Reads everything that exists for a tenant: its children from the caches, Secrets and events from the API server. */
import { ConditionType } from '../api/conditions.ts';
import { Label } from '../api/names.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type {
  CronJob,
  Job,
  NetworkPolicy,
  Pod,
  PodDisruptionBudget,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import { ConfigMap, Deployment, PersistentVolumeClaim, ReplicaSet, Secret } from '../kube/types/builtins.ts';
import { isForbidden, isNotFound } from '../kube/types/errors.ts';
import { ignoreNotFound } from '../kube/types/not-found.ts';
import type { Keys } from '../kube/types/keys.ts';
import { getControllerOf, isControlledBy } from '../kube/types/owner.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import { keyOf, type KubeObject } from '../kube/types/types.ts';
import type { Applier } from '../kube/write/apply.ts';
import { isConditionTrue } from '../kube/write/conditions.ts';
import { latestWarning, saysWhyNoPod } from '../resources/event-warning.ts';
import { publicGrantKeys } from '../resources/grant-keys.ts';
import { childName, claimName, serverIndex, serverName } from '../resources/names.ts';
import { BY_TENANT } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import { modelSecretRef } from './decisions/model-credential.ts';
import { podInputKey, podInputRefs } from './decisions/pod-inputs.ts';
import { isCreating, isUnscheduled, waitsForVolume } from './decisions/pod-cause.ts';
import { withEvictions } from './evictions.ts';
import type { CleanupWorld, PodInputRead, SecretRead, ServerWorld, SharedWorld, World } from './model.ts';
import { eventSubjectOf, openRun, uncountedTimeOut } from './open-run.ts';
import type { NodeSource } from './nodes.ts';
import type { PodOwners } from './pod-owners.ts';
import { hasEnded, servingPod } from './pods.ts';

/** Name of the index that finds the children of a tenant, by the tenant's key. */
export const TENANT_INDEX = 'tenant';

/** The indexer of {@link TENANT_INDEX}, for every informer of children. */
export function tenantKeys(object: KubeObject): string[] {
  const name = object.metadata.labels?.[Label.tenant];
  return name === undefined ? [] : [keyOf({ namespace: object.metadata.namespace ?? '', name })];
}

/** The caches that a reconcile reads. */
export interface TenantStores {
  readonly deployments: ReadonlyStore<Deployment>;
  readonly services: ReadonlyStore<Service>;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly serviceAccounts: ReadonlyStore<ServiceAccount>;
  readonly networkPolicies: ReadonlyStore<NetworkPolicy>;
  readonly disruptionBudgets: ReadonlyStore<PodDisruptionBudget>;
  readonly pods: ReadonlyStore<Pod>;
  /** Undefined without a gateway: the operator then has no right to list them. */
  readonly roles?: ReadonlyStore<Role> | undefined;
  readonly roleBindings?: ReadonlyStore<RoleBinding> | undefined;
  readonly cronJobs: ReadonlyStore<CronJob>;
  readonly configMaps: ReadonlyStore<ConfigMap>;
  readonly jobs: ReadonlyStore<Job>;
  readonly sessions: ReadonlyStore<CopilotSession>;
}

// Mounting a volume and creating a sandbox normally take seconds; events are only read after that.
const EVENTS_AFTER_MS = 15_000;
// The first attempt to mount a volume may fail, because the API server's authorizer knows a new pod's claims a moment later than the
// kubelet asks for them. The kubelet tries again within half a minute.
const MOUNT_RETRY_MS = 45_000;

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
    withUnlabelled(readServers(tenant, stores, applier), tenant, client, signal)
      .then((found) => withReplicaSets(found, namespace, client, signal))
      .then((found) => withEvictions(found, client, signal))
      .then((found) => podOwners.withLookAlikes(tenant, found, signal))
      .then((found) => withDepartures(found, nodes, tenant))
      .then((found) => withWarnings(found, client, now, signal)),
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

/** A claim without its labels is in no cache: {@link withUnlabelled} has found it. */
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

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readServers(
  tenant: CopilotTenant,
  stores: TenantStores,
  applier: Pick<Applier, 'ofCached'>,
): Map<number, Mutable<ServerWorld>> {
  const { name, namespace = '' } = tenant.metadata;
  const key = keyOf(tenant);
  const shared = isSharedStorage(tenant);
  const servers = new Map<number, Mutable<ServerWorld>>();
  const at = (server: string | undefined): Mutable<ServerWorld> | undefined => {
    const index = serverIndex(name, server ?? '');
    if (index === undefined) return undefined;
    const found = servers.get(index) ?? { index, pods: [] };
    servers.set(index, found);
    return found;
  };
  for (const object of stores.deployments.byIndex(TENANT_INDEX, key)) {
    const server = at(object.metadata.name);
    // Right after it was written the cache has the one before, whose rollout is complete: its pod would seem to stay.
    if (server) server.deployment = applier.ofCached(Deployment, object);
  }
  for (const object of stores.services.byIndex(TENANT_INDEX, key)) {
    const server = at(object.metadata.name);
    if (server) server.service = object;
  }
  // Volumes of an earlier tenant of this name whose servers had one each stay as they are.
  for (const object of shared ? [] : stores.claims.byIndex(TENANT_INDEX, key)) {
    const server = at(object.metadata.name);
    if (server) server.claim = object;
  }
  for (const pod of stores.pods.byIndex(TENANT_INDEX, key)) {
    const server = at(pod.metadata.labels?.[Label.server]);
    if (server) server.pods = [...server.pods, pod];
  }
  const claim = shared ? stores.claims.get({ namespace, name: childName(name, 'shared') }) : undefined;
  if (claim === undefined) return servers;
  for (let index = 0; index < tenant.spec.replicas; index++) at(serverName(name, index));
  for (const server of servers.values()) server.claim = claim;
  return servers;
}

/**
 * Adds children that must exist but are missing from the caches. These select by label, so a child whose label was removed is
 * in none of them: the Deployment of existing pods, or a claim that is known to hold sessions.
 */
async function withUnlabelled(
  servers: Map<number, Mutable<ServerWorld>>,
  tenant: CopilotTenant,
  client: KubeClient,
  signal: AbortSignal,
): Promise<Map<number, Mutable<ServerWorld>>> {
  const { name, namespace = '' } = tenant.metadata;
  const find = <T extends KubeObject>(type: ResourceType<T>, child: string): Promise<T | undefined> =>
    ignoreNotFound(client.get(type, { namespace, name: child }, { signal }));
  const withVolume = new Set<number | undefined>();
  for (const server of tenant.status?.servers ?? []) {
    const index = serverIndex(name, server.name);
    if (index === undefined || server.volumeUID === undefined) continue;
    withVolume.add(index);
    if (!servers.has(index)) servers.set(index, { index, pods: [] });
  }
  await Promise.all(
    [...servers.values()].map(async (server) => {
      const { index, deployment, pods, claim } = server;
      const hasVolume = isSharedStorage(tenant) ? withVolume.size > 0 : withVolume.has(index);
      if (deployment === undefined && pods.length > 0)
        server.deployment = await find(Deployment, serverName(name, index));
      if (claim === undefined && hasVolume) server.claim = await find(PersistentVolumeClaim, claimName(tenant, index));
    }),
  );
  return servers;
}

/** Adds the ReplicaSets of pods whose Deployment is gone: whether these are orphaned decides if a new one may start. */
async function withReplicaSets(
  servers: Map<number, Mutable<ServerWorld>>,
  namespace: string,
  client: KubeClient,
  signal: AbortSignal,
): Promise<Map<number, Mutable<ServerWorld>>> {
  await Promise.all(
    [...servers.values()].map(async (server) => {
      const left = server.deployment === undefined ? server.pods.filter((pod) => !hasEnded(pod)) : [];
      const controllers = left.flatMap((pod) => getControllerOf(pod) ?? []);
      const names = new Set(controllers.filter(({ kind }) => kind === ReplicaSet.kind).map(({ name }) => name));
      if (names.size === 0) return;
      const read = (name: string) =>
        ignoreNotFound(client.get(ReplicaSet, { namespace, name }, { managedFields: false, signal }));
      const found = await Promise.all([...names].map(read));
      server.replicaSets = found.flatMap((replicaSet) => replicaSet ?? []);
    }),
  );
  return servers;
}

function withDepartures(
  servers: ReadonlyMap<number, ServerWorld>,
  nodes: Pick<NodeSource, 'departure'>,
  { spec }: CopilotTenant,
): Map<number, ServerWorld> {
  return new Map(
    [...servers].map(([index, server]) => {
      const node = servingPod(server)?.spec?.nodeName;
      const departure = node === undefined ? undefined : nodes.departure(node, spec.server.tolerations);
      return [index, departure === undefined ? server : { ...server, departure }];
    }),
  );
}

async function withWarnings(
  servers: ReadonlyMap<number, ServerWorld>,
  client: KubeClient,
  now: number,
  signal: AbortSignal,
): Promise<Map<number, ServerWorld>> {
  const found = await Promise.all(
    [...servers].map(async ([index, server]) => {
      const subject = eventSubject(server, now);
      const warning = subject && (await latestWarning(subject, client, signal));
      return [index, warning === undefined ? server : { ...server, warning }] as const;
    }),
  );
  return new Map(found);
}

/** The object whose events may say why the server is not ready, if nothing else does. */
function eventSubject(server: ServerWorld, now: number): KubeObject | undefined {
  const { claim } = server;
  const pod = servingPod(server);
  if (pod === undefined) return undefined;
  if (waitsForVolume(pod)) return claim;
  const ageMs = now - Date.parse(pod.metadata.creationTimestamp ?? '');
  if (ageMs <= EVENTS_AFTER_MS) return undefined;
  if (isUnscheduled(pod)) return claim?.status?.phase === 'Bound' ? undefined : claim;
  return isCreating(pod) && ageMs > MOUNT_RETRY_MS ? pod : undefined;
}
