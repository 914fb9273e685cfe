/** Wires the loop: what is watched, whose changes wake a tenant, and what a pass is given. */
import type { Logger } from 'pino';
import { FIELD_MANAGER, GROUP } from '../api/names.ts';
import type { HealthSource } from '../servers/health/health.ts';
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
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import { Controller } from '../kube/runtime/controller.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import type { InformerLike } from '../kube/cache/informer.ts';
import type { Manager } from '../kube/runtime/manager.ts';
import type { Metrics } from '../kube/runtime/metrics.ts';
import { RecentWrites } from '../kube/write/recent-writes.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import type { Transform } from '../kube/cache/store.ts';
import { fromKey, type KubeObject, type NamespacedName } from '../kube/types/types.ts';
import { MANAGED_SELECTOR } from '../resources/names.ts';
import type { TenantMetrics } from './metrics.ts';
import { TenantReconciler } from './reconciler.ts';
import { SessionFigures } from './sessions.ts';
import { Targets, tenantOfTarget } from './targets.ts';
import { tenantKeyOf } from '../resources/session-index.ts';
import type { CopilotSession } from '../resources/session.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import { slimDeployment, slimJob, slimPod } from './transforms.ts';
import { TENANT_INDEX, tenantKeys } from './world.ts';
import type { OperatorFacts } from './model.ts';

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
  readonly manager: Manager;
  readonly client: KubeClient;
  /** Shared with others. */
  readonly tenants: InformerLike<CopilotTenant>;
  /** Shared with others; made with SESSION_INDEXERS of src/resources/session-index.ts. */
  readonly copilotSessions: InformerLike<CopilotSession>;
  readonly health: HealthSource;
  /** What servers tell of their sessions. */
  readonly sessions: SessionSource;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  /** Tenants that are reconciled at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
  readonly metrics: Metrics;
  readonly tenantMetrics: TenantMetrics;
  readonly log: Logger;
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
  const { manager, client, tenants, copilotSessions, health, sessions, clock, metrics, log, concurrency } = options;
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
  const figures = new SessionFigures(sessions, clock);
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
    targets: new Targets(health, sessions),
    figures,
    metrics: options.tenantMetrics,
    recorder: options.recorder,
    facts: options.facts,
    clock,
    random: options.random,
    randomBytes: options.randomBytes,
  });
  const controller = new Controller({
    name: 'copilottenant',
    reconciler,
    clock,
    metrics,
    log,
    concurrency,
    maxRetryDelayMs: MAX_RETRY_DELAY_MS,
  });
  controller.for(tenants);
  for (const informer of Object.values(informers) as unknown as InformerLike[]) {
    applier.follow(informer);
    // By label and not by owner: a retained claim has none, and a pod's owner is its ReplicaSet.
    controller.watches(informer, (object) => tenantKeys(object).map(fromKey));
  }
  const cleanedUp = (session: CopilotSession): NamespacedName[] => {
    const key = tenantKeyOf(session);
    return tenants.store.get(key)?.spec.sessions.ttl === undefined ? [] : [fromKey(key)];
  };
  controller.watches(copilotSessions, cleanedUp, isRespecified, SESSIONS_DELAY_MS);
  figures.onChange((tenant, afterMs) => controller.enqueueAfter(tenant, afterMs));
  health.onTransition((key) => controller.enqueue(tenantOfTarget(key)));
  manager.addController(controller);
  return informers;
}

// The status of a session says nothing to the cleanup, and it changes with every turn.
function isRespecified(old: KubeObject, object: KubeObject): boolean {
  return old.metadata.generation !== object.metadata.generation;
}
