/** Reads what exists for each server of a tenant: from the caches, and from the API server what is in none of them. */
import { Label } from '../api/names.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Pod, Service } from '../kube/types/builtins.ts';
import { Deployment, PersistentVolumeClaim, ReplicaSet } from '../kube/types/builtins.ts';
import { ignoreNotFound } from '../kube/types/not-found.ts';
import { getControllerOf } from '../kube/types/owner.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import { keyOf, type KubeObject } from '../kube/types/types.ts';
import type { Applier } from '../kube/write/apply.ts';
import { latestWarning } from '../resources/event-warning.ts';
import { childName, claimName, serverIndex, serverName } from '../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../resources/tenant.ts';
import { isCreating, isUnscheduled, waitsForVolume } from './decisions/pod-cause.ts';
import { withEvictions } from './evictions.ts';
import type { ServerWorld } from './model.ts';
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
/** The caches of what servers consist of. */
export interface ServerStores {
  readonly deployments: ReadonlyStore<Deployment>;
  readonly services: ReadonlyStore<Service>;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly pods: ReadonlyStore<Pod>;
}

/** What servers are read with. */
export interface ServersContext {
  readonly stores: ServerStores;
  readonly client: KubeClient;
  readonly applier: Pick<Applier, 'ofCached'>;
  readonly podOwners: Pick<PodOwners, 'withLookAlikes'>;
  readonly nodes: Pick<NodeSource, 'departure'>;
}

// Mounting a volume and creating a sandbox normally take seconds; events are only read after that.
export const EVENTS_AFTER_MS = 15_000;
// The first attempt to mount a volume may fail, because the API server's authorizer knows a new pod's claims a moment later than the
// kubelet asks for them. The kubelet tries again within half a minute.
const MOUNT_RETRY_MS = 45_000;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The servers by index, also those beyond `spec.replicas`. */
export async function readServers(
  tenant: CopilotTenant,
  { stores, client, applier, podOwners, nodes }: ServersContext,
  now: number,
  signal: AbortSignal,
): Promise<Map<number, ServerWorld>> {
  const { namespace = '' } = tenant.metadata;
  const labelled = await withUnlabelled(cachedServers(tenant, stores, applier), tenant, client, signal);
  const owned = await withReplicaSets(labelled, namespace, client, signal);
  const evicted = await withEvictions(owned, client, signal);
  const apart = await podOwners.withLookAlikes(tenant, evicted, signal);
  return withWarnings(withDepartures(apart, nodes, tenant), client, now, signal);
}

function cachedServers(
  tenant: CopilotTenant,
  stores: ServerStores,
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
