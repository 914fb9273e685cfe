/**
 * The tenant reconciler with a real API server and caches that the test updates itself: so it can reconcile with a late cache,
 * which a real watch rarely produces. There is no kubelet and no Deployment controller; the test plays them.
 */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import type { HealthSource } from '../../src/servers/health/health.ts';
import type { ServerHealth } from '../../src/servers/server.ts';
import { Deployment, Namespace, Pod, ReplicaSet } from '../../src/kube/types/builtins.ts';
import type { Client } from '../../src/kube/client/client.ts';
import type { Controller } from '../../src/kube/runtime/controller.ts';
import type { InformerLike, InformerOptions } from '../../src/kube/cache/informer.ts';
import type { Manager } from '../../src/kube/runtime/manager.ts';
import { Metrics } from '../../src/kube/runtime/metrics.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import type { Keys } from '../../src/kube/types/keys.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { stripServerFields } from '../../src/kube/cache/store.ts';
import { controllerRef } from '../../src/kube/types/owner.ts';
import { keyOf, type KubeObject, type ObjectMeta, type OwnerReference } from '../../src/kube/types/types.ts';
import { serverLabels } from '../../src/resources/names.ts';
import { SESSION_INDEXERS } from '../../src/resources/session-index.ts';
import { addTenantController } from '../../src/tenant/controller.ts';
import type { Wakes } from '../../src/tenant/wakes.ts';
import type { ClientCounts } from '../../src/tenant/gateway-clients.ts';
import type { DrainWatch } from '../../src/tenant/gateway-drains.ts';
import type { NodeSource } from '../../src/tenant/nodes.ts';
import type { OperatorFacts } from '../../src/tenant/model.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeInformer } from './fake-informer.ts';
import { RecordedServers } from './servers.ts';
import { CountedSessions } from './counted-sessions.ts';
import { connect } from './kube.ts';
import { metricSum, reconcilesOf, waitForIdle } from './metrics.ts';

/** Health that the test sets. */
class FakeHealth implements HealthSource {
  readonly #health = new Map<string, ServerHealth>();

  set(key: string, health: ServerHealth): void {
    this.#health.set(key, health);
  }
  remove(key: string): void {
    this.#health.delete(key);
  }
  get(key: string): ServerHealth {
    return this.#health.get(key) ?? { state: 'Unknown' };
  }
  onTransition(): void {}
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const health of this.#health.values()) {
      const state = health.state === 'Unhealthy' ? health.reason : health.state;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return counts;
  }
}

/** Far more than any test needs: beyond it, reconciles cause each other endlessly. */
const MAX_RECONCILES = 200;

/** Less than the timeout of a reconcile, in ms. */
const MAX_STEP_MS = 60_000;

/** What of the operator's configuration a test changes. */
export type OperatorFlags = Partial<OperatorFacts> & {
  readonly maxConcurrentRollouts?: number;
  /** The clients of the gateway. */
  readonly clients?: ClientCounts;
  /** How far drains are at the gateway. */
  readonly drains?: DrainWatch;
  readonly nodes?: NodeSource;
  /** Which sleeping tenants clients wait for. */
  readonly wakes?: Wakes;
  /** Those that sign grants. */
  readonly grantKeys?: Keys;
};

type Selection = Pick<InformerOptions<KubeObject>, 'labelSelector' | 'transform' | 'indexers'>;

export class ReconcilerWorld {
  readonly namespace: string;
  readonly client: Client;
  readonly clock = new FakeClock(Date.now());
  readonly health = new FakeHealth();
  readonly sessions = new CountedSessions();
  /** The servers that are registered. */
  readonly servers = new RecordedServers((key) => {
    this.health.remove(key);
    this.sessions.remove(key);
  });
  /** What was counted in metrics. */
  readonly counted: string[] = [];
  /** The events, as `type reason`. */
  readonly events: string[] = [];
  readonly #informers = new Map<string, { cache: FakeInformer<KubeObject>; selection: Selection }>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #metrics: Metrics;
  readonly #controller: Controller;

  /** In a namespace of its own, or as another replica or version of the operator in namespace `shared`. */
  static async open(
    kubeconfig: string,
    shared?: string,
    flags: OperatorFlags = {},
  ): Promise<ReconcilerWorld & AsyncDisposable> {
    const { client, transport } = connect(kubeconfig);
    const namespace = shared ?? `world-${randomBytes(4).toString('hex')}`;
    if (shared === undefined) {
      await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    }
    const world = new ReconcilerWorld(namespace, client, flags);
    return Object.assign(world, {
      [Symbol.asyncDispose]: async () => {
        world.#stop.abort();
        await world.#running;
        await transport.close();
        const failed = await metricSum(world.#metrics, 'controller_runtime_reconcile_errors_total');
        if (failed > 0) throw new Error(`${failed} reconciles failed; TEST_LOG=error shows how`);
      },
    });
  }

  private constructor(
    namespace: string,
    client: Client,
    { maxConcurrentRollouts = 2, clients, drains, nodes, wakes, grantKeys, ...facts }: OperatorFlags,
  ) {
    this.namespace = namespace;
    this.client = client;
    const metrics = new Metrics();
    let added: Controller | undefined;
    addTenantController({
      tenants: this.#informer(CopilotTenant),
      copilotSessions: this.#informer(CopilotSession, { indexers: SESSION_INDEXERS }),
      manager: {
        client,
        clock: this.clock,
        random: () => 0.5,
        metrics,
        log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
        informer: (type: ResourceType, selection: Selection = {}) => this.#informer(type, selection),
        addController: (controller: Controller) => (added = controller),
      } as unknown as Manager,
      servers: this.servers,
      health: this.health,
      sessions: this.sessions,
      clients,
      drains,
      wakes,
      nodes,
      grantKeys,
      tenantMetrics: {
        restarted: () => void this.counted.push('restarted'),
        woke: (result) => void this.counted.push(`wake ${result}`),
        drained: (end) => void this.counted.push(`drain ${end}`),
        cleanedUp: ({ result }) => void this.counted.push(`cleanup ${result}`),
        deletedByServers: (deleted) => void this.counted.push(`deleted ${deleted}`),
        becameReady: () => void this.counted.push('ready'),
      },
      recorder: { event: (_object, type, reason) => void this.events.push(`${type} ${reason}`) },
      facts: {
        serverImage: 'example.com/copilot-cli:1',
        operatorImage: 'example.com/operator:1',
        namespace: 'operator',
        clusterCIDRs: [],
        clusterDNS: [{ cidr: '10.96.0.10/32' }],
        ...facts,
      },
      concurrency: 1,
      maxConcurrentRollouts,
      randomBytes,
    });
    if (added === undefined) throw new Error('no controller was added');
    this.#controller = added;
    this.#metrics = metrics;
    this.#running = added.run(this.#stop.signal);
  }

  /** How many reconciles have ended. */
  reconciles(): Promise<number> {
    return reconcilesOf(this.#metrics);
  }

  /** Reconciles the tenant with the caches as they are, and whatever else was queued. */
  async reconcile(name: string): Promise<void> {
    const before = await this.reconciles();
    this.#controller.enqueue(this.ref(name));
    await waitForIdle(this.#metrics, before + 1);
  }

  /** Updates the caches of these types, or all. Changes requeue tenants, as a watch does. */
  async sync(...types: ResourceType[]): Promise<void> {
    for (const { cache, selection } of this.#informers.values()) {
      if (types.length > 0 && !types.includes(cache.type)) continue;
      const { labelSelector, transform = stripServerFields } = selection;
      const { items } = await this.client.listAll(cache.type, { namespace: this.namespace, labelSelector });
      const listed = new Set(items.map(keyOf));
      for (const gone of cache.store.list().filter((object) => !listed.has(keyOf(object)))) cache.delete(gone);
      for (const item of items) cache.set(transform(item));
    }
  }

  /** Fills the caches before the first reconcile, as a manager does; but for these types. */
  async fill(...lacking: ResourceType[]): Promise<void> {
    const types = [...this.#informers.values()].map(({ cache }) => cache.type);
    const children = types.filter((type) => type !== CopilotTenant && !lacking.includes(type));
    await this.sync(...children);
    await this.sync(CopilotTenant);
    await waitForIdle(this.#metrics);
  }

  /** Updates all caches until nothing is queued any more. */
  async settle(): Promise<void> {
    for (let before = -1, now = await this.reconciles(); now !== before;) {
      before = now;
      await this.sync();
      await waitForIdle(this.#metrics, before);
      now = await this.reconciles();
      if (now > MAX_RECONCILES) throw new Error(`the controller is not idle after ${now} reconciles`);
    }
  }

  /** Passes time in steps, and waits for the reconciles that each starts: one of more than five minutes would be aborted. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.monotonic() + ms;
    while (this.clock.monotonic() < end) {
      await this.clock.advance(Math.min(MAX_STEP_MS, end - this.clock.monotonic()));
      await waitForIdle(this.#metrics);
    }
  }

  ref(name: string): { namespace: string; name: string } {
    return { namespace: this.namespace, name };
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string): Promise<T | undefined> {
    return ignoreNotFound(this.client.get(type, this.ref(name)));
  }

  async tenant(name: string): Promise<CopilotTenant> {
    return this.client.get(CopilotTenant, this.ref(name));
  }

  async createTenant(name: string, spec: CopilotTenantSpecInput = {}): Promise<CopilotTenant> {
    const manifest = {
      apiVersion: 'copilot-operator.dev/v1alpha1',
      kind: 'CopilotTenant',
      metadata: { name, namespace: this.namespace },
      spec,
    };
    return this.client.create(CopilotTenant, manifest as CopilotTenant);
  }

  /** A merge patch by another writer. */
  patch<T extends KubeObject>(type: ResourceType<T>, name: string, patch: object, subresource?: string): Promise<T> {
    const contentType = 'application/merge-patch+json';
    return this.client.patch(type, this.ref(name), patch, { contentType, fieldManager: 'other-writer', subresource });
  }

  /** Plays the Deployment controller: the ReplicaSet of the Deployment, with the reference of a pod to it. */
  async replicaSetOf(deployment: string): Promise<OwnerReference> {
    const { metadata, spec } = await this.client.get(Deployment, this.ref(deployment));
    if (spec === undefined) throw new Error(`Deployment ${deployment} has no spec`);
    const name = `${deployment}-${metadata.uid?.slice(0, 8)}`;
    const desired: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name,
        namespace: this.namespace,
        ownerReferences: [
          controllerRef({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { ...metadata, name: deployment } }),
        ],
      },
      spec: { replicas: 1, selector: spec.selector, template: spec.template },
    };
    return controllerRef((await this.get(ReplicaSet, name)) ?? (await this.client.create(ReplicaSet, desired)));
  }

  /** Plays the Deployment controller and the kubelet: the pod of the server runs and its port is open. */
  async startPod(
    tenant: string,
    index: number,
    metadata: Partial<ObjectMeta> = {},
    volumes: NonNullable<Pod['spec']>['volumes'] = [],
    nodeName?: string,
  ): Promise<Pod> {
    const server = `${tenant}-${index}`;
    const pod = await this.client.create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${server}-${randomBytes(3).toString('hex')}`,
        namespace: this.namespace,
        labels: serverLabels(tenant, index),
        ownerReferences: [await this.replicaSetOf(server)],
        ...metadata,
      },
      spec: {
        containers: [{ name: 'server', image: 'example.com/copilot-cli:1' }],
        volumes,
        ...(nodeName && { nodeName }),
      },
    });
    const now = new Date().toISOString().replace(/\.\d+/, '');
    const running = { startedAt: now };
    await this.patch(
      Pod,
      pod.metadata.name,
      podStatus({ phase: 'Running', ready: 'True', state: { running } }),
      'status',
    );
    await this.observeDeployment(server, { replicas: 1, updatedReplicas: 1 });
    return pod;
  }

  /** Plays the kubelet: the pod has ended and still exists, because it was evicted or its node was shut down. */
  async endPod(pod: Pod): Promise<void> {
    const terminated = { exitCode: 137, reason: 'Error' };
    const status = podStatus({ phase: 'Failed', ready: 'False', state: { terminated } });
    await this.patch(Pod, pod.metadata.name, { status: { ...status.status, reason: 'Evicted' } }, 'status');
  }

  /** Deletes the pod at once. */
  async removePod(pod: Pod): Promise<void> {
    const { uid = '' } = pod.metadata;
    await this.client.delete(Pod, this.ref(pod.metadata.name), { uid, gracePeriodSeconds: 0 });
  }

  /** Plays the Deployment controller: it has observed the spec, and counts pods that are not terminating. */
  async observeDeployment(name: string, counts: { replicas: number; updatedReplicas: number }): Promise<void> {
    const { metadata } = await this.client.get(Deployment, this.ref(name));
    await this.patch(Deployment, name, { status: { observedGeneration: metadata.generation, ...counts } }, 'status');
  }

  #informer<T extends KubeObject>(
    type: ResourceType<T>,
    selection: Pick<InformerOptions<T>, 'labelSelector' | 'transform' | 'indexers'> = {},
  ): InformerLike<T> {
    const cache = new FakeInformer<T>(type, { indexers: selection.indexers });
    this.#informers.set(type.plural, { cache, selection } as never);
    return cache;
  }
}

function podStatus({ phase, ready, state }: { phase: string; ready: string; state: object }) {
  const started = phase === 'Running';
  const container = { name: 'server', image: 'i', imageID: 'i', ready: started, started, restartCount: 0, state };
  return {
    status: {
      phase,
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }],
      conditions: [{ type: 'Ready', status: ready }],
      containerStatuses: [container],
    },
  };
}
