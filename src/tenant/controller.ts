/** Wires the loop: what is watched, whose changes wake a tenant, and what a pass is given. */
import { FIELD_MANAGER, GROUP } from '../api/names.ts';
import type { HealthSource } from '../servers/health/health.ts';
import type { ServerRegistry } from '../servers/registry.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import { Applier } from '../kube/write/apply.ts';
import {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import { controllerManagedBy } from '../kube/runtime/builder.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import type { InformerLike } from '../kube/cache/informer.ts';
import type { Manager } from '../kube/runtime/manager.ts';
import { generationChanged } from '../kube/runtime/predicates.ts';
import { RecentWrites } from '../kube/write/recent-writes.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import type { Transform } from '../kube/cache/store.ts';
import { fromKey, type KubeObject, type NamespacedName } from '../kube/types/types.ts';
import { MANAGED_SELECTOR } from '../resources/names.ts';
import type { TenantMetrics } from './metrics.ts';
import { TenantReconciler } from './reconciler.ts';
import { SessionStatistics } from './sessions/session-statistics.ts';
import { Targets, tenantOfTarget } from './targets.ts';
import { tenantKeyOf } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import { slimDeployment, slimJob, slimPod } from './transforms.ts';
import { TENANT_INDEX, tenantKeys } from './world.ts';
import type { OperatorFacts } from './model.ts';
import { FirstReady } from './first-ready.ts';
import { StatusWriter } from './status-writer.ts';

/** On children: the hash of what was applied last. */
const HASH_ANNOTATION = `${GROUP}/applied-hash`;

/**
 * A tenant whose pass fails for long (a webhook that is down, say) is looked at as often as any other, or its Secrets would not be
 * noticed within the minute, nor that the fault has gone.
 */
const MAX_RETRY_DELAY_MS = 60_000;
/** CopilotSessions that come together are told to a tenant's cleanup together, this much later, in ms. */
const SESSIONS_DELAY_MS = 2_000;

export interface TenantControllerOptions {
  readonly manager: Pick<Manager, 'client' | 'clock' | 'random' | 'log' | 'metrics' | 'informer' | 'addController'>;
  /** Shared with others. */
  readonly tenants: InformerLike<CopilotTenant>;
  /** Shared with others; made with SESSION_INDEXERS of src/resources/session-index.ts. */
  readonly copilotSessions: InformerLike<CopilotSession>;
  /** Where the tenants' servers are registered; `health` and `sessions` are what is known of them. */
  readonly servers: Pick<ServerRegistry, 'set' | 'remove'>;
  readonly health: HealthSource;
  /** What servers tell of their sessions. */
  readonly sessions: SessionSource;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  /** Tenants that are reconciled at the same time. */
  readonly concurrency: number;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
  readonly tenantMetrics: TenantMetrics;
}

/** Informers of children that others need too. */
export interface SharedInformers {
  readonly jobs: InformerLike<Job>;
  readonly claims: InformerLike<PersistentVolumeClaim>;
}

/**
 * Adds the controller of CopilotTenant to the manager. Returns the informers of children that the session controller needs
 * too.
 */
export function addTenantController(options: TenantControllerOptions): SharedInformers {
  const { manager, tenants, copilotSessions, health, sessions, concurrency } = options;
  const { client, clock, log } = manager;
  const children = <T extends KubeObject>(type: ResourceType<T>, transform?: Transform<T>): InformerLike<T> =>
    manager.informer(type, {
      labelSelector: MANAGED_SELECTOR,
      indexers: { [TENANT_INDEX]: tenantKeys },
      ...(transform && { transform }),
    });
  const informers = {
    deployments: children(Deployment, slimDeployment),
    services: children(Service),
    claims: children(PersistentVolumeClaim),
    serviceAccounts: children(ServiceAccount),
    networkPolicies: children(NetworkPolicy),
    disruptionBudgets: children(PodDisruptionBudget),
    pods: children(Pod, slimPod),
    cronJobs: children(CronJob),
    configMaps: children(ConfigMap),
    jobs: children(Job, slimJob),
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
  const statistics = new SessionStatistics(sessions, clock);
  const firstReady = new FirstReady(clock, options.tenantMetrics);
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
      sessions: copilotSessions.store,
    },
    recent,
    health,
    targets: new Targets(options.servers),
    statistics,
    statusWriter: new StatusWriter({ client, recent, recorder: options.recorder, statistics, firstReady }),
    firstReady,
    metrics: options.tenantMetrics,
    recorder: options.recorder,
    facts: options.facts,
    clock,
    random: manager.random,
    randomBytes: options.randomBytes,
  });
  const builder = controllerManagedBy(manager)
    .withOptions({ concurrency, maxRetryDelayMs: MAX_RETRY_DELAY_MS })
    .for(tenants);
  for (const informer of Object.values(informers) as unknown as InformerLike[]) {
    applier.follow(informer);
    // By label and not by owner: a retained claim has none, and a pod's owner is its ReplicaSet.
    builder.watches(informer, (object) => tenantKeys(object).map(fromKey));
  }
  const cleanedUp = (session: CopilotSession): NamespacedName[] => {
    const key = tenantKeyOf(session);
    return tenants.store.get(key)?.spec.sessions.ttl === undefined ? [] : [fromKey(key)];
  };
  // The status of a session says nothing to the cleanup, and it changes with every turn.
  builder.watches(copilotSessions, cleanedUp, { predicate: generationChanged, delayMs: SESSIONS_DELAY_MS });
  const controller = builder.complete(reconciler);
  statistics.onChange((tenant, afterMs) => controller.enqueueAfter(tenant, afterMs));
  health.onTransition((key) => controller.enqueue(tenantOfTarget(key)));
  return informers;
}
