/** Finds out which pods with the labels of servers are the servers' own, and keeps the others apart. */
import { LruMap } from '../kube/cache/lru.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { type Deployment, Pod, ReplicaSet } from '../kube/types/builtins.ts';
import { ignoreNotFound } from '../kube/types/not-found.ts';
import { getControllerOf, refersTo } from '../kube/types/owner.ts';
import type { OwnerReference } from '../kube/types/types.ts';
import { serverName } from '../resources/names.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { podOwnership, type ReplicaSetFacts } from './decisions/pod-ownership.ts';
import type { LookAlike, ServerWorld } from './model.ts';
import { hasEnded, mountsClaim } from './pods.ts';

interface Known {
  /** Undefined: there is no such ReplicaSet. */
  readonly facts: ReplicaSetFacts | undefined;
  /** Version of the Deployment that it was read for: a controller that adopts the ReplicaSet then writes its status. */
  readonly version: string | undefined;
  /** Monotonic ms. */
  readonly at: number;
}

/** How many ReplicaSets are remembered. */
const MAX_KNOWN = 30_000;
/** How long controllers may take to delete or adopt a pod, in ms, before it is reported. */
const OVERDUE_MS = 60_000;
/** How many pods are remembered that are not their server's own. */
const MAX_OTHERS = 10_000;
/** How long a ReplicaSet counts as not the Deployment's before it is read again, in ms. */
const MAX_AGE_MS = 30_000;

/**
 * Reads the ReplicaSets that pods name as their controllers, each once: they are not watched, because each server has one or two for
 * as long as it exists.
 */
export class PodOwners {
  readonly #client: KubeClient;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** By the UID of the ReplicaSet. */
  readonly #known = new LruMap<string, Known>(MAX_KNOWN);
  /** Since when a pod is not its server's own, monotonic ms, by its UID. */
  readonly #since = new LruMap<string, number>(MAX_OTHERS);

  constructor(client: KubeClient, clock: Pick<Clock, 'monotonic'>) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * The servers with their look-alikes. A foreign pod stays in `pods` only if it mounts the server's volume; others were the server's, or
   * may become so, and are waited for.
   */
  async withLookAlikes(
    tenant: CopilotTenant,
    servers: ReadonlyMap<number, ServerWorld>,
    signal: AbortSignal,
  ): Promise<Map<number, ServerWorld>> {
    const found = await Promise.all(
      [...servers.values()].map(async (server) => {
        const name = serverName(tenant.metadata.name, server.index);
        const found = await this.#lookAlikes(tenant, name, server, signal);
        if (found.length === 0) return [server.index, server] as const;
        const gone = new Set(await this.#gone(found, signal));
        const lookAlikes = found.filter(({ pod }) => !gone.has(pod));
        const foreign = lookAlikes.filter(({ pod, reason }) => reason === 'Foreign' && !mountsClaim(pod, name));
        const others = new Set(foreign.map(({ pod }) => pod));
        const pods = server.pods.filter((pod) => !others.has(pod) && !gone.has(pod));
        return [server.index, { ...server, pods, lookAlikes }] as const;
      }),
    );
    return new Map(found);
  }

  async #lookAlikes(
    tenant: CopilotTenant,
    server: string,
    { deployment, pods }: ServerWorld,
    signal: AbortSignal,
  ): Promise<LookAlike[]> {
    const live = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && !hasEnded(pod));
    const found = await Promise.all(
      live.map(async (pod): Promise<LookAlike[]> => {
        const controller = getControllerOf(pod);
        const replicaSet = await this.#ownerOf(pod, controller, deployment, signal);
        const alive = live.filter((other) => getControllerOf(other)?.uid === controller?.uid).length;
        const { reason, message } = podOwnership({ tenant, server, deployment, pod, replicaSet, alive });
        return reason === 'Own' ? this.#own(pod) : [{ pod, reason, message, isOverdue: this.#isOverdue(pod) }];
      }),
    );
    return found.flat();
  }

  /**
   * The pods that are reported for long, and that the API server does not have any more. The cache shows them for minutes if their watch is
   * silent, and nobody is asked to delete, or waits for, what is gone.
   */
  async #gone(lookAlikes: readonly LookAlike[], signal: AbortSignal): Promise<Pod[]> {
    const found = await Promise.all(
      lookAlikes.map(async ({ pod, isOverdue = false }) => {
        if (!isOverdue) return [];
        const { namespace, name, uid } = pod.metadata;
        // A list, because the operator may not get pods one by one.
        const { items } = await this.#client.list(Pod, { namespace, fieldSelector: `metadata.name=${name}`, signal });
        return items.some(({ metadata }) => metadata.uid === uid) ? [] : [pod];
      }),
    );
    return found.flat();
  }

  #own({ metadata: { uid = '' } }: Pod): [] {
    this.#since.delete(uid);
    return [];
  }

  #isOverdue({ metadata: { uid = '' } }: Pod): boolean {
    const now = this.#clock.monotonic();
    const since = this.#since.get(uid) ?? now;
    this.#since.set(uid, since);
    return now - since >= OVERDUE_MS;
  }

  async #ownerOf(
    { metadata: { namespace = '' } }: Pod,
    controller: OwnerReference | undefined,
    deployment: Deployment | undefined,
    signal: AbortSignal,
  ): Promise<ReplicaSetFacts | undefined> {
    if (controller === undefined || !refersTo(controller, ReplicaSet)) return undefined;
    const { uid, name } = controller;
    const now = this.#clock.monotonic();
    const version = deployment?.metadata.resourceVersion;
    const known = this.#known.get(uid);
    const owner = known?.facts?.controller?.uid;
    const isTheirs = owner !== undefined && owner === deployment?.metadata.uid;
    if (known !== undefined && (isTheirs || (known.version === version && now - known.at < MAX_AGE_MS))) {
      return known.facts;
    }
    const replicaSet = await ignoreNotFound(
      this.#client.get(ReplicaSet, { namespace, name }, { managedFields: false, signal }),
    );
    const facts = replicaSet?.metadata.uid === uid ? { controller: getControllerOf(replicaSet) } : undefined;
    this.#known.set(uid, { facts, version, at: now });
    return facts;
  }
}
