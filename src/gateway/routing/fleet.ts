/** The tenants and servers that the gateway knows, from the caches of tenants and pods. */
import { isDeepStrictEqual } from 'node:util';
import type { DrainReason } from '../../api/tenant.ts';
import type { InformerLike } from '../../kube/cache/informer.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { ReconcileContext, Reconciler, Result } from '../../kube/runtime/controller.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { fromKey, keyOf, nameOf, type NamespacedName } from '../../kube/types/types.ts';
import { isReady } from '../../resources/pod.ts';
import type { Fleet, GatewayTenant, StatedDrain, TenantRef } from '../model.ts';
import { KnownModels } from './known-models.ts';
import { KnownPods } from './known-pods.ts';
import { servingPods, startingPods } from './serving.ts';
import {
  DRAINING_INDEX,
  limitsOf,
  saidTo,
  sleepOf,
  stoppedBy,
  type RoutedTenant,
  TENANT_INDEX,
  tenantKeyOf,
} from './slim.ts';

/** What a fleet is made of. */
export interface FleetOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Has the index DRAINING_INDEX. */
  readonly tenants: InformerLike<RoutedTenant>;
  /** Has the index TENANT_INDEX. */
  readonly pods: InformerLike<Pod>;
}

/** After this time a pod that was nobody's is looked at again, in ms: its owner may have been adopted. */
const RECHECK_MS = 30_000;
/** The longest that the fleet is not synced because owners of pods are being read, in ms: those that somebody asks for are read first. */
const FIRST_CHECKS_MS = 1_000;

/**
 * Reads the owners of each pod once, when it appears, as a reconcile of its tenant; everything else follows from the caches. A tenant is
 * computed when it is first asked for, and kept in step from then on.
 */
export class CachedFleet implements Fleet, Reconciler {
  readonly #options: FleetOptions;
  readonly #known: KnownPods;
  readonly #models: KnownModels;
  /** The tenants that were asked for, by key. */
  readonly #found = new Map<string, GatewayTenant>();
  readonly #listeners = new Set<(tenant: TenantRef) => void>();
  readonly #deletedListeners = new Set<(tenant: RoutedTenant) => void>();
  /** Keys of the tenants whose pods were never checked, of those that were listed first. */
  #unchecked: Set<string> | undefined;
  /** When the caches were synced, monotonic ms. */
  #listedAt = 0;
  /** One for all checks before their turn, so that together they take as many connections as one of the others. */
  readonly #early = new AbortController().signal;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#known = new KnownPods(options.client);
    this.#models = new KnownModels(options.client, options.clock);
    options.tenants.addHandler({
      onAdd: (tenant) => this.#changed(keyOf(tenant)),
      onUpdate: (_old, tenant) => this.#changed(keyOf(tenant)),
      onDelete: (tenant) => {
        this.#changed(keyOf(tenant));
        for (const listener of this.#deletedListeners) listener(tenant);
      },
    });
    options.pods.addHandler({
      onAdd: (pod) => this.#changed(tenantKeyOf(pod)),
      onUpdate: (old, pod) => {
        if (isReady(old) && !isReady(pod)) this.#known.stopped(pod);
        if (tenantKeyOf(old) !== tenantKeyOf(pod)) this.#changed(tenantKeyOf(old));
        this.#changed(tenantKeyOf(pod));
      },
      onDelete: (pod) => {
        this.#known.forget(pod);
        this.#changed(tenantKeyOf(pod));
      },
    });
  }

  /** Also that the pods of the first list were checked, so that a client's first request finds its server. */
  get isSynced(): boolean {
    const { clock } = this.#options;
    if (!this.#isListed()) return false;
    return this.#firstChecks().size === 0 || clock.monotonic() - this.#listedAt >= FIRST_CHECKS_MS;
  }

  find(tenant: TenantRef): GatewayTenant | undefined {
    const key = keyOf(tenant);
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    const found = this.#compute(key);
    // An unknown one is not remembered: anybody may ask for any number of them.
    if (found !== undefined) {
      this.#found.set(key, found);
      this.#checkEarly(key);
    }
    return found;
  }

  draining(): readonly TenantRef[] {
    const { store } = this.#options.tenants;
    return store.byIndex(DRAINING_INDEX, DRAINING_INDEX).map(nameOf);
  }

  onChange(listener: (tenant: TenantRef) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Calls `listener` when a tenant does not exist any more. Returns the function that ends it. */
  onDeleted(listener: (tenant: RoutedTenant) => void): () => void {
    this.#deletedListeners.add(listener);
    return () => void this.#deletedListeners.delete(listener);
  }

  /** Whether there is a tenant of this UID, also one that is being deleted. */
  has(tenant: RoutedTenant): boolean {
    return this.#options.tenants.store.get(keyOf(tenant))?.metadata.uid === tenant.metadata.uid;
  }

  /** Reads the owners of a tenant's pods that are not known yet. */
  async reconcile(request: NamespacedName, { signal }: Pick<ReconcileContext, 'signal'>): Promise<Result | void> {
    const key = keyOf(request);
    const tenant = this.#tenant(key);
    const { uid = '' } = tenant?.metadata ?? {};
    try {
      if (tenant?.status?.access !== 'Gateway') return;
      const pods = this.#podsOf(key);
      await Promise.all(pods.map((pod) => this.#known.check(pod, uid, signal)));
      if (pods.some((pod) => !this.#known.isOwn(pod, uid))) return { requeueAfterMs: RECHECK_MS };
    } finally {
      if (this.#isListed()) this.#firstChecks().delete(key);
      // Also after an error: what was read of the others counts.
      this.#changed(key);
    }
  }

  /** What the caches have of a forbidden namespace may be outdated; its clients are served by it, as long as servers answer. */
  reconcileForbidden(request: NamespacedName): Promise<void> {
    if (this.#isListed()) this.#firstChecks().delete(keyOf(request));
    return Promise.resolve();
  }

  #isListed(): boolean {
    const { tenants, pods } = this.#options;
    return tenants.hasSynced() && pods.hasSynced();
  }

  #firstChecks(): Set<string> {
    if (this.#unchecked !== undefined) return this.#unchecked;
    const { tenants, clock } = this.#options;
    this.#listedAt = clock.monotonic();
    const waiting = tenants.store.list().filter(({ status }) => status?.access === 'Gateway');
    return (this.#unchecked = new Set(waiting.map(keyOf).filter((key) => this.#podsOf(key).length > 0)));
  }

  /** Among thousands of tenants whose pods are checked for the first time it would wait for its turn, and whoever asks with it. */
  #checkEarly(key: string): void {
    if (this.#unchecked?.has(key) !== true) return;
    // What fails here is reported, and tried again, when its turn comes.
    this.reconcile(fromKey(key), { signal: this.#early }).catch(() => undefined);
  }

  #changed(key: string): void {
    const before = this.#found.get(key);
    if (before !== undefined) {
      const after = this.#compute(key);
      if (isDeepStrictEqual(before, after)) return;
      if (after === undefined) {
        this.#found.delete(key);
        this.#models.forget(key);
      } else this.#found.set(key, after);
    }
    // One that nobody has asked for may be waited for: it did not exist then.
    for (const listener of this.#listeners) listener(fromKey(key));
  }

  #compute(key: string): GatewayTenant | undefined {
    const tenant = this.#tenant(key);
    if (tenant === undefined) return undefined;
    const { metadata, spec, status } = tenant;
    const { uid = '', name, namespace = '' } = metadata;
    const ref = { namespace, name };
    const isOwn = (pod: Pod): boolean => this.#known.isOwn(pod, uid);
    const pods = this.#podsOf(key);
    const serving = servingPods(pods, isOwn);
    const model = this.#models.modelOf(ref, spec?.model);
    const drains = drainsOf(tenant);
    const sleep = sleepOf(tenant);
    const stopped = stoppedBy(tenant);
    const starting = sleep?.phase === 'Waking' ? startingPods(pods, isOwn) : [];
    return {
      ...ref,
      uid,
      access: status?.access ?? 'Direct',
      // Written by an API server whose CRD has no such field yet.
      isolation: spec?.isolation ?? 'Dedicated',
      credentials: (status?.binding?.credentials ?? []).map(({ sha256 }) => sha256),
      servers: serving.map((found) => this.#known.serverIn(found, ref, uid)),
      ...(starting.length > 0 && { starting: starting.map((found) => this.#known.serverIn(found, ref, uid)) }),
      ...(drains.length > 0 && { drains }),
      volumes: (status?.servers ?? []).flatMap((server) =>
        server.volumeUID === undefined ? [] : [keyOf({ namespace, name: server.name })],
      ),
      ...(model !== undefined && { model }),
      limits: limitsOf(spec?.sessions),
      ...(spec?.placement !== undefined && { placement: spec.placement }),
      ...(spec?.topology === 'SharedStorage' && {
        topology: spec.topology,
        pods: pods.map(({ metadata }) => metadata.uid ?? '').toSorted(),
      }),
      ...(spec?.rates !== undefined && { rates: spec.rates }),
      ...(sleep !== undefined && { sleep }),
      ...(stopped !== undefined && { stoppedBy: stopped }),
      ...saidTo(metadata),
    };
  }

  /** A tenant that is being deleted is none any more. */
  #tenant(key: string): RoutedTenant | undefined {
    const tenant = this.#options.tenants.store.get(key);
    return tenant?.metadata.deletionTimestamp === undefined ? tenant : undefined;
  }

  #podsOf(key: string): Pod[] {
    return this.#options.pods.store.byIndex(TENANT_INDEX, key);
  }
}

/** On purpose: no other pod follows. */
const STOPPING: ReadonlySet<DrainReason> = new Set(['Suspending', 'ScalingDown']);

/** After any other drain another pod follows. */
function drainsOf({ metadata: { namespace = '' }, status }: RoutedTenant): StatedDrain[] {
  return (status?.servers ?? []).flatMap(({ name, drain }) => {
    if (drain === undefined) return [];
    const { epoch, reason, podUID } = drain;
    const timeoutMs = Date.parse(drain.deadline) - Date.parse(drain.since);
    const server = keyOf({ namespace, name });
    return [{ server, epoch, podUID, timeoutMs, comesBack: !STOPPING.has(reason) }];
  });
}
