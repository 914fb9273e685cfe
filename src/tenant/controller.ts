/** Sets up the tenant controller: what is watched, which changes requeue a tenant, and what the reconciler uses. */
import { FIELD_MANAGER } from '../api/names.ts';
import type { InformerLike } from '../kube/cache/informer.ts';
import type { Indexers, Transform } from '../kube/cache/store.ts';
import { controllerManagedBy } from '../kube/runtime/builder.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import type { Manager } from '../kube/runtime/manager.ts';
import { generationChanged } from '../kube/runtime/predicates.ts';
import {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import type { Keys } from '../kube/types/keys.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import { fromKey, type KubeObject, type NamespacedName } from '../kube/types/types.ts';
import { Applier } from '../kube/write/apply.ts';
import { RecentWrites } from '../kube/write/recent-writes.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { ServerRegistry } from '../servers/registry.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import { MANAGED_SELECTOR, POD_SELECTOR } from '../resources/names.ts';
import { tenantKeyOf } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import { CopilotTenant, isTenantPaused } from '../resources/tenant.ts';
import { HASH_ANNOTATION } from './decisions/adoption.ts';
import { FirstReady } from './first-ready.ts';
import { Fleet, type FleetCounts, REPLACED_INDEX, replacedKeys } from './fleet.ts';
import type { ClientCounts } from './gateway-clients.ts';
import type { DrainWatch } from './gateway-drains.ts';
import type { TenantMetrics } from './metrics.ts';
import type { OperatorFacts } from './model.ts';
import { HIDDEN_NODES, type NodeSource } from './nodes.ts';
import { PodOwners } from './pod-owners.ts';
import { TenantReconciler } from './reconciler.ts';
import { SessionStatistics } from './sessions/session-statistics.ts';
import { StatusWriter } from './status-writer.ts';
import { Targets, tenantOfTarget } from './targets.ts';
import { slimDeployment, slimJob, slimPod } from './transforms.ts';
import type { Wakes } from './wakes.ts';
import { TENANT_INDEX, tenantKeys } from './read-servers.ts';

/**
 * The longest back-off, in ms. A tenant that keeps failing, for example because a webhook is down, is reconciled as often as any
 * other, so that changed Secrets and the end of the failure are noticed within a minute.
 */
const MAX_RETRY_DELAY_MS = 60_000;
/** Delay after a change of a CopilotSession, in ms: many changes at once cost the tenant one reconcile. */
const SESSIONS_DELAY_MS = 2_000;

/** Name of the index of pods by the node that they run on. */
const NODE_INDEX = 'node';
const nodeKeys = ({ spec }: Pod): string[] => (spec?.nodeName === undefined ? [] : [spec.nodeName]);

/** What the controller uses. */
export interface TenantControllerOptions {
  readonly manager: Pick<Manager, 'client' | 'clock' | 'random' | 'log' | 'metrics' | 'informer' | 'addController'>;
  /** Shared with the other controllers; has the index WAKING_INDEX. */
  readonly tenants: InformerLike<CopilotTenant>;
  /** Shared with the other controllers; has the SESSION_INDEXERS of src/resources/session-index.ts. */
  readonly copilotSessions: InformerLike<CopilotSession>;
  /** Where the tenants' servers are registered; `health` and `sessions` are what is known of them. */
  readonly servers: Pick<ServerRegistry, 'set' | 'remove'>;
  readonly health: HealthSource;
  /** The sessions that servers report. */
  readonly sessions: SessionSource;
  /** The clients that the gateway reports; undefined without one. */
  readonly clients?: ClientCounts | undefined;
  /** How far servers that drain are at the gateway; undefined without one. */
  readonly drains?: DrainWatch | undefined;
  /** Which sleeping tenants clients wait for; undefined: nobody can say it. */
  readonly wakes?: Wakes | undefined;
  /** Which nodes pods have to leave; undefined: the operator is not to look at nodes. */
  readonly nodes?: NodeSource | undefined;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  /** Those that sign grants; none while they were not read, or without a gateway. Default: none. */
  readonly grantKeys?: Keys | undefined;
  /** How many tenants are reconciled at the same time. */
  readonly concurrency: number;
  /** How many servers of all tenants are replaced at a time for a new version of the operator, or because they do not respond. */
  readonly maxConcurrentRollouts: number;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
  readonly tenantMetrics: TenantMetrics;
}

/** What other parts use of the controller. */
export interface TenantController {
  /** The session controller reads it too. */
  readonly jobs: InformerLike<Job>;
  readonly pods: InformerLike<Pod>;
  /** The session controller reads it too. */
  readonly claims: InformerLike<PersistentVolumeClaim>;
  /** For metrics. */
  readonly fleetCounts: () => FleetCounts;
}

/** Name of the index of tenants that are being woken. The informer of tenants has it. */
export const WAKING_INDEX = 'waking';

/** The indexer of {@link WAKING_INDEX}: all have the same key. Of a tenant that is paused or being deleted nobody starts servers. */
export function wakingKeys(tenant: CopilotTenant): string[] {
  const { metadata, status } = tenant;
  if (status?.hibernation?.phase !== 'Waking') return [];
  return isTenantPaused(tenant) || metadata.deletionTimestamp !== undefined ? [] : [WAKING_INDEX];
}

/** Adds the controller of CopilotTenant to the manager. */
export function addTenantController(options: TenantControllerOptions): TenantController {
  const { manager, tenants, copilotSessions, health, sessions, concurrency, nodes = HIDDEN_NODES } = options;
  const { client, clock, log } = manager;
  const children = <T extends KubeObject>(
    type: ResourceType<T>,
    transform?: Transform<T>,
    labelSelector: string = MANAGED_SELECTOR,
    indexers?: Indexers<T>,
  ): InformerLike<T> =>
    manager.informer(type, {
      labelSelector,
      indexers: { [TENANT_INDEX]: tenantKeys, ...indexers },
      ...(transform && { transform }),
    });
  const informers = {
    deployments: children(Deployment, slimDeployment, MANAGED_SELECTOR, { [REPLACED_INDEX]: replacedKeys }),
    services: children(Service),
    claims: children(PersistentVolumeClaim),
    serviceAccounts: children(ServiceAccount),
    networkPolicies: children(NetworkPolicy),
    disruptionBudgets: children(PodDisruptionBudget),
    pods: children(Pod, slimPod, POD_SELECTOR, { [NODE_INDEX]: nodeKeys }),
    cronJobs: children(CronJob),
    configMaps: children(ConfigMap),
    jobs: children(Job, slimJob),
    ...(options.facts.gateway && { roles: children(Role), roleBindings: children(RoleBinding) }),
  };
  const applier = new Applier({
    client,
    clock,
    log,
    ownerType: CopilotTenant,
    fieldManager: FIELD_MANAGER,
    hashAnnotation: HASH_ANNOTATION,
  });
  const recent = new RecentWrites(clock);
  recent.follow(tenants);
  const statistics = new SessionStatistics(sessions, clock, options.clients);
  const firstReady = new FirstReady(clock, options.tenantMetrics);
  const fleet = new Fleet({
    deployments: informers.deployments.store,
    tenants: tenants.store,
    health,
    clock,
    log,
    max: options.maxConcurrentRollouts,
  });
  const reconciler = new TenantReconciler({
    client,
    applier,
    tenants: tenants.store,
    stores: {
      deployments: informers.deployments.store,
      services: informers.services.store,
      claims: informers.claims.store,
      serviceAccounts: informers.serviceAccounts.store,
      networkPolicies: informers.networkPolicies.store,
      disruptionBudgets: informers.disruptionBudgets.store,
      pods: informers.pods.store,
      cronJobs: informers.cronJobs.store,
      configMaps: informers.configMaps.store,
      jobs: informers.jobs.store,
      roles: informers.roles?.store,
      roleBindings: informers.roleBindings?.store,
      sessions: copilotSessions.store,
    },
    podOwners: new PodOwners(client, clock),
    nodes,
    recent,
    health,
    source: sessions,
    targets: new Targets(options.servers),
    statistics,
    statusWriter: new StatusWriter({ client, recent, recorder: options.recorder, statistics, firstReady }),
    firstReady,
    fleet,
    drains: options.drains,
    sleep: options.clients && options.drains && options.wakes && { clients: options.clients, wakes: options.wakes },
    metrics: options.tenantMetrics,
    recorder: options.recorder,
    facts: options.facts,
    grantKeys: options.grantKeys,
    clock,
    random: manager.random,
    randomBytes: options.randomBytes,
  });
  const builder = controllerManagedBy(manager)
    .withOptions({ concurrency, maxRetryDelayMs: MAX_RETRY_DELAY_MS })
    .for(tenants);
  for (const informer of Object.values(informers) as unknown as InformerLike[]) {
    applier.follow(informer);
    // By label and not by owner: a retained claim has no owner, and the owner of a pod is its ReplicaSet.
    builder.watches(informer, (object) => tenantKeys(object).map(fromKey));
  }
  const cleanedUp = (session: CopilotSession): NamespacedName[] => {
    const key = tenantKeyOf(session);
    return tenants.store.get(key)?.spec.sessions.ttl === undefined ? [] : [fromKey(key)];
  };
  // The cleanup depends on the spec only, and the status changes with every turn.
  builder.watches(copilotSessions, cleanedUp, { predicate: generationChanged, delayMs: SESSIONS_DELAY_MS });
  const controller = builder.complete(reconciler);
  statistics.onChange((tenant, afterMs) => controller.enqueueAfter(tenant, afterMs));
  options.drains?.onChange((tenant) => controller.enqueue(tenant));
  options.wakes?.onChange((tenant) => controller.enqueue(tenant));
  tenants.addHandler({
    onAdd: () => undefined,
    onUpdate: (old, live) => {
      if (wakingKeys(old).length > wakingKeys(live).length) options.wakes?.freed();
    },
    onDelete: (old) => {
      if (wakingKeys(old).length > 0) options.wakes?.freed();
    },
  });
  nodes.onChange((node) => {
    const moved = informers.pods.store.byIndex(NODE_INDEX, node).flatMap(tenantKeys);
    for (const key of new Set(moved)) controller.enqueue(fromKey(key));
  });
  health.onTransition((key) => controller.enqueue(tenantOfTarget(key)));
  const wakeNext = (): void => {
    for (const tenant of fleet.next()) controller.enqueue(tenant);
  };
  informers.deployments.addHandler({
    onAdd: () => undefined,
    onUpdate: (old, live) => {
      if (replacedKeys(old).length > replacedKeys(live).length) wakeNext();
    },
    onDelete: (old) => {
      if (replacedKeys(old).length > 0) wakeNext();
    },
  });
  return { jobs: informers.jobs, pods: informers.pods, claims: informers.claims, fleetCounts: () => fleet.counts() };
}
