/**
 * The session controller over a real API server, with caches that the test itself updates. Time stands still until the test moves it.
 * There are no Jobs controller, garbage collector and servers: the test plays them.
 */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import type { CopilotSessionSpecInput } from '../../src/api/session.ts';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { Job, Namespace, PersistentVolumeClaim, Pod } from '../../src/kube/types/builtins.ts';
import type { SessionSource } from '../../src/servers/survey/sessions.ts';
import type { Client } from '../../src/kube/client/client.ts';
import { StatusError } from '../../src/kube/types/errors.ts';
import { findCondition } from '../../src/kube/write/conditions.ts';
import type { Controller } from '../../src/kube/runtime/controller.ts';
import { Metrics } from '../../src/kube/runtime/metrics.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import { controllerRef } from '../../src/kube/types/owner.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { stripServerFields } from '../../src/kube/cache/store.ts';
import { keyOf, type KubeObject } from '../../src/kube/types/types.ts';
import { formatCleanupResult, type CleanupResult, type DeletionOutcome } from '../../src/resources/cleanup-result.ts';
import { timestamp } from '../../src/kube/types/time.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import { addSessionController } from '../../src/session/controller.ts';
import { SessionLocks } from '../../src/session/locks.ts';
import { SessionPlaces } from '../../src/session/places.ts';
import { SESSION_INDEXERS } from '../../src/resources/session-index.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeInformer } from './fake-informer.ts';
import { FakeSessionSource } from './fake-sessions.ts';
import { endedJob } from './jobs.ts';
import { connect } from './kube.ts';
import { metricSum, reconcilesOf, waitForIdle } from './metrics.ts';

/** Far more than any test here needs: beyond it something writes in a loop. */
const MAX_ROUNDS = 50;
const API_VERSION = 'copilot-operator.dev/v1alpha1';

export class SessionWorld {
  readonly namespace: string;
  readonly client: Client;
  readonly clock = new FakeClock(Date.now());
  readonly source = new FakeSessionSource(() => this.clock.now());
  /** What the gateway says of turns that users hold. */
  readonly locks = new SessionLocks(this.clock);
  /** What the gateway says of where sessions are whose servers share a volume. */
  readonly places = new SessionPlaces();
  /** The recorded events, as `type reason: message`. */
  readonly events: string[] = [];
  readonly metrics = new Metrics();
  readonly #caches: FakeInformer<KubeObject>[];
  readonly #controller: Controller;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  /**
   * In a namespace of its own, or as the next process of the operator in the one that is stated. `sourceOn`: who tells of
   * sessions instead of `source`.
   */
  static async open(
    kubeconfig: string,
    shared?: string,
    sourceOn?: (clock: FakeClock) => SessionSource,
  ): Promise<SessionWorld & AsyncDisposable> {
    const { client, transport } = connect(kubeconfig);
    const namespace = shared ?? `sessions-${randomBytes(4).toString('hex')}`;
    if (shared === undefined) {
      await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    }
    const world = new SessionWorld(namespace, client, sourceOn);
    return Object.assign(world, {
      [Symbol.asyncDispose]: async () => {
        world.#stop.abort();
        await world.#running;
        await transport.close();
      },
    });
  }

  private constructor(namespace: string, client: Client, sourceOn?: (clock: FakeClock) => SessionSource) {
    this.namespace = namespace;
    this.client = client;
    const sessions = new FakeInformer<CopilotSession>(CopilotSession, { indexers: SESSION_INDEXERS });
    const tenants = new FakeInformer<CopilotTenant>(CopilotTenant);
    const jobs = new FakeInformer<Job>(Job);
    const pods = new FakeInformer<Pod>(Pod);
    const claims = new FakeInformer<PersistentVolumeClaim>(PersistentVolumeClaim);
    this.#caches = [sessions, tenants, pods, jobs, claims] as unknown as FakeInformer<KubeObject>[];
    let added: Controller | undefined;
    addSessionController({
      manager: {
        client,
        clock: this.clock,
        random: () => 0.5,
        metrics: this.metrics,
        log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
        addController: (controller) => void (added = controller),
      },
      sessions,
      tenants,
      jobs,
      pods,
      claims,
      source: sourceOn?.(this.clock) ?? this.source,
      locks: this.locks,
      places: this.places,
      recorder: { event: (_object, type, reason, message) => void this.events.push(`${type} ${reason}: ${message}`) },
      facts: { operatorImage: 'example.com/operator:1' },
      concurrency: 4,
    });
    if (added === undefined) throw new Error('no controller was added');
    this.#controller = added;
    this.#running = added.run(this.#stop.signal);
  }

  ref(name: string): { namespace: string; name: string } {
    return { namespace: this.namespace, name };
  }

  /** Key of server `index` of tenant acme in the source. */
  server(index = 0): string {
    return `${this.namespace}/acme-${index}`;
  }

  /** Updates the caches of these types, or all of them. Changes enqueue objects, as a watch does. */
  async sync(...types: ResourceType[]): Promise<void> {
    for (const cache of this.#caches) {
      if (types.length > 0 && !types.includes(cache.type)) continue;
      if (cache.forbidden.has(this.namespace)) continue;
      const { items } = await this.client.listAll(cache.type, { namespace: this.namespace });
      const listed = new Set(items.map(keyOf));
      for (const gone of cache.store.list().filter((object) => !listed.has(keyOf(object)))) cache.delete(gone);
      for (const item of items) cache.set(stripServerFields(item));
    }
  }

  /** Objects of this type in the namespace may not be listed or watched any more, or may be again. */
  refuse(type: ResourceType, refused = true): void {
    const { plural } = type;
    const message = `${plural} is forbidden: User "operator" cannot watch resource "${plural}" in the namespace "${this.namespace}"`;
    const error = new StatusError({ method: 'WATCH', path: `/${plural}` }, { code: 403, reason: 'Forbidden', message });
    for (const cache of this.#caches.filter((each) => each.type === type)) {
      if (refused) cache.forbidden.set(this.namespace, error);
      else cache.forbidden.clear();
    }
  }

  /** Updates the caches until nothing is enqueued any more. */
  async settle(): Promise<void> {
    let before = -1;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      await this.sync();
      await this.rest();
      const reconciles = await this.reconciles();
      if (reconciles === before) return;
      before = reconciles;
    }
    throw new Error('the controller does not become idle');
  }

  /** Time passes, in steps of a few seconds, and whatever is due is done. */
  async advance(ms: number, stepMs = 5_000): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await this.clock.advance(Math.min(stepMs, ms - passed));
      await this.settle();
    }
  }

  /** Reconciles the session once more. */
  async reconcile(name: string): Promise<void> {
    this.#controller.enqueue(this.ref(name));
    await this.settle();
  }

  reconciles(): Promise<number> {
    return reconcilesOf(this.metrics);
  }

  failures(): Promise<number> {
    return metricSum(this.metrics, 'controller_runtime_reconcile_errors_total');
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string): Promise<T | undefined> {
    return ignoreNotFound(this.client.get(type, this.ref(name)));
  }

  session(name = 'alpha'): Promise<CopilotSession> {
    return this.client.get(CopilotSession, this.ref(name));
  }

  async status(name = 'alpha'): Promise<NonNullable<CopilotSession['status']>> {
    return (await this.session(name)).status ?? {};
  }

  /** Status and reason of a condition, as one word each. */
  async condition(type: string, name = 'alpha'): Promise<string> {
    const found = findCondition((await this.status(name)).conditions, type);
    return found === undefined ? 'absent' : `${found.status} ${found.reason}`;
  }

  /** A tenant with the status that the tenant controller would have written. */
  async createTenant(spec: CopilotTenantSpecInput = {}): Promise<void> {
    const made = await this.client.create(CopilotTenant, {
      apiVersion: API_VERSION,
      kind: 'CopilotTenant',
      metadata: { name: 'acme', namespace: this.namespace },
      spec,
    } as CopilotTenant);
    await this.observeTenant({ replicas: made.spec.replicas });
  }

  async changeTenant(spec: object): Promise<void> {
    await this.patch(CopilotTenant, 'acme', { spec });
  }

  /** Plays the tenant controller: it has observed the spec, and this is the status. */
  async observeTenant(status: object): Promise<void> {
    const { metadata } = await this.client.get(CopilotTenant, this.ref('acme'));
    const seen = { observedGeneration: metadata.generation, ...status };
    await this.patch(CopilotTenant, 'acme', { status: seen }, 'status');
  }

  createSession(spec: Partial<CopilotSessionSpecInput> = {}, name = 'alpha'): Promise<CopilotSession> {
    return this.client.create(CopilotSession, {
      apiVersion: API_VERSION,
      kind: 'CopilotSession',
      metadata: { name, namespace: this.namespace },
      spec: { tenantRef: { name: 'acme' }, ...spec },
    } as CopilotSession);
  }

  /** Deletes it; with finalizers it exists until they are removed. */
  async delete(type: ResourceType, name: string): Promise<void> {
    const { metadata } = await this.client.get(type, this.ref(name));
    await this.client.delete(type, this.ref(name), { uid: metadata.uid ?? '' });
  }

  /** A user's merge patch. */
  patch<T extends KubeObject>(type: ResourceType<T>, name: string, patch: object, subresource?: string): Promise<T> {
    const contentType = 'application/merge-patch+json';
    return this.client.patch(type, this.ref(name), patch, { contentType, fieldManager: 'somebody', subresource });
  }

  /** The volume of a server, or of all. */
  async createClaim(index: number | 'shared' = 0): Promise<void> {
    await this.client.create(PersistentVolumeClaim, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: `acme-${index}`, namespace: this.namespace },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
  }

  /** A Job that the session controller did not create. */
  async createJob(name: string, annotations: Record<string, string>): Promise<void> {
    await this.client.create(Job, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name, namespace: this.namespace, annotations },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'x', image: 'example.com/x:1' }] } } },
    });
  }

  async jobs(): Promise<Job[]> {
    return (await this.client.listAll(Job, { namespace: this.namespace })).items;
  }

  /** Plays the Job controller. */
  async endJob(job: Job, type: 'Complete' | 'Failed', message = ''): Promise<void> {
    await this.patch(Job, job.metadata.name, { status: endedJob(type, message) }, 'status');
  }

  /** Plays the pod of a Job that removes sessions: it has ended with these outcomes. */
  async endRemovalPod(job: Job, outcomes: readonly DeletionOutcome[], message?: string): Promise<void> {
    const { name } = job.metadata;
    const failed = message !== undefined;
    const result: CleanupResult = {
      result: failed ? 'Failed' : 'Succeeded',
      dryRun: false,
      kept: 0,
      deleted: 0,
      freedBytes: 0,
      sweptFiles: 0,
      errors: failed ? 1 : 0,
      message,
      outcomes,
    };
    const pod = await this.client.create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${name}-${randomBytes(4).toString('hex')}`,
        namespace: this.namespace,
        ownerReferences: [{ ...controllerRef(job), blockOwnerDeletion: false }],
      },
      spec: { restartPolicy: 'Never', containers: [{ name: 'cleanup', image: 'i' }] },
    });
    const state = {
      terminated: { exitCode: failed ? 1 : 0, finishedAt: timestamp(Date.now()), message: formatCleanupResult(result) },
    };
    const container = { name: 'cleanup', image: 'i', imageID: 'i', ready: false, restartCount: 0, state };
    const status = { phase: failed ? 'Failed' : 'Succeeded', containerStatuses: [container] };
    await this.patch(Pod, pod.metadata.name, { status }, 'status');
    await this.sync(Pod);
  }

  /** Waits until nothing is being reconciled. */
  async rest(): Promise<void> {
    // What is due now is in the queue only after its timer and its promises have run.
    await settle();
    await waitForIdle(this.metrics);
  }
}
