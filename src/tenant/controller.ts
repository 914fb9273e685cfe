/** Wires the loop: what is watched, whose changes wake a tenant, and what a pass is given. */
import type { Logger } from 'pino';
import { FIELD_MANAGER, GROUP } from '../api/names.ts';
import type { HealthSource } from '../copilot/health.ts';
import { Applier } from '../kube/apply.ts';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Service,
  ServiceAccount,
} from '../kube/builtins.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Clock, Random } from '../kube/clock.ts';
import { Controller } from '../kube/controller.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { InformerLike } from '../kube/informer.ts';
import type { Manager } from '../kube/manager.ts';
import type { Metrics } from '../kube/metrics.ts';
import { RecentWrites } from '../kube/recent.ts';
import type { ResourceType } from '../kube/resource.ts';
import type { ReadonlyStore, Transform } from '../kube/store.ts';
import { fromKey, type KubeObject } from '../kube/types.ts';
import { MANAGED_SELECTOR } from '../resources/names.ts';
import { TenantReconciler } from './reconciler.ts';
import { Targets, tenantOfTarget } from './targets.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import type { OperatorFacts } from './facts.ts';
import { slimDeployment, slimPod } from './transforms.ts';
import { TENANT_INDEX, tenantKeys } from './world.ts';

/** On children: the hash of what was applied last. */
const HASH_ANNOTATION = `${GROUP}/applied-hash`;

export interface TenantControllerOptions {
  readonly manager: Manager;
  readonly client: KubeClient;
  readonly health: HealthSource;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: OperatorFacts;
  /** Tenants that are reconciled at the same time. */
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Adds the controller of CopilotTenant to the manager. Returns the tenants that it knows, for metrics. */
export function addTenantController(options: TenantControllerOptions): ReadonlyStore<CopilotTenant> {
  const { manager, client, health, recorder, facts, concurrency, clock, random, randomBytes, metrics, log } = options;
  const tenants = manager.informer(CopilotTenant);
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
    },
    recent,
    health,
    targets: new Targets(health),
    recorder,
    facts,
    clock,
    random,
    randomBytes,
  });
  const controller = new Controller({ name: 'copilottenant', reconciler, clock, metrics, log, concurrency });
  controller.for(tenants);
  for (const informer of Object.values(informers) as unknown as InformerLike[]) {
    applier.follow(informer);
    // By label and not by owner: a retained claim has none, and a pod's owner is its ReplicaSet.
    controller.watches(informer, (object) => tenantKeys(object).map(fromKey));
  }
  health.onTransition((key) => controller.enqueue(tenantOfTarget(key)));
  manager.addController(controller);
  return tenants.store;
}
