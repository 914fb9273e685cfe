/** The Prometheus metrics of controllers, work queues, informers, the client, leader election and events. */
import { Counter, Gauge, Histogram, Registry, type CollectFunction } from 'prom-client';
import { StatusError } from '../types/errors.ts';
import type { TransportObserver } from '../client/transport.ts';
import type { ReflectorObserver } from '../cache/reflector-options.ts';
import { RELIST_REASONS } from '../cache/relist.ts';
import type { WorkQueueMetrics } from './work-queue.ts';

/** The result of a reconcile, as in controller-runtime. */
export type ReconcileResult = 'success' | 'error' | 'requeue_after';

/** The metrics of one controller. */
export interface ControllerMetrics {
  queue: WorkQueueMetrics;
  /** Where the gauges of unfinished work read how long keys have been worked on. */
  watchQueue(inProgressMs: () => number[]): void;
  reconciled(result: ReconcileResult, durationMs: number): void;
  /** An error that is not retried. Counted besides `reconciled('error')`. */
  terminalError(): void;
  panicked(): void;
  timedOut(): void;
  activeWorkers(change: 1 | -1): void;
}

const RESULTS: readonly ReconcileResult[] = ['success', 'error', 'requeue_after'];

// controller-runtime's buckets, for its dashboards.
const RECONCILE_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const QUEUE_BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

const seconds = (ms: number): number => ms / 1000;

/** The metrics of the core, with the names of controller-runtime, for its dashboards. Labels have values from fixed sets only. */
export class Metrics {
  /** For /metrics; the product adds its own metrics. */
  readonly registry = new Registry();
  readonly #inProgress = new Map<string, () => number[]>();

  readonly #reconcileTotal = this.#counter('controller_runtime_reconcile_total', 'Reconciles by result', [
    'controller',
    'result',
  ]);
  readonly #reconcileErrors = this.#counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed', [
    'controller',
  ]);
  readonly #terminalErrors = this.#counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Reconciles that failed with an error that is not retried',
    ['controller'],
  );
  readonly #panics = this.#counter(
    'controller_runtime_reconcile_panics_total',
    'Reconciles that failed with a programming error',
    ['controller'],
  );
  readonly #timeouts = this.#counter(
    'controller_runtime_reconcile_timeouts_total',
    'Reconciles that exceeded their timeout',
    ['controller'],
  );
  readonly #reconcileTime = this.#histogram(
    'controller_runtime_reconcile_time_seconds',
    'Duration of a reconcile',
    ['controller'],
    RECONCILE_BUCKETS,
  );
  readonly #maxConcurrent = this.#gauge('controller_runtime_max_concurrent_reconciles', 'Workers of the controller', [
    'controller',
  ]);
  readonly #activeWorkers = this.#gauge('controller_runtime_active_workers', 'Workers that are reconciling', [
    'controller',
  ]);

  readonly #queueDepth = this.#gauge('workqueue_depth', 'Keys ready for a worker', ['name', 'controller']);
  readonly #queueAdds = this.#counter('workqueue_adds_total', 'Keys added', ['name', 'controller']);
  readonly #queueRetries = this.#counter('workqueue_retries_total', 'Keys added again with back-off', [
    'name',
    'controller',
  ]);
  readonly #queueWait = this.#histogram(
    'workqueue_queue_duration_seconds',
    'Time that a key waited for a worker',
    ['name', 'controller'],
    QUEUE_BUCKETS,
  );
  readonly #queueWork = this.#histogram(
    'workqueue_work_duration_seconds',
    'Time that a worker spent on a key',
    ['name', 'controller'],
    QUEUE_BUCKETS,
  );

  readonly #leader = this.#gauge('leader_election_master_status', '1 if this process is the leader, else 0', ['name']);
  readonly #leaderSlowPath = this.#counter(
    'leader_election_slowpath_total',
    'Lease renewals that had to read the lease first',
    ['name'],
  );

  readonly #requests = this.#counter('rest_client_requests_total', 'Requests to the API server by status code', [
    'code',
    'method',
    'host',
  ]);
  readonly #requestTime = this.#histogram(
    'rest_client_request_duration_seconds',
    'Duration of a request to the API server',
    ['verb', 'host'],
    REQUEST_BUCKETS,
  );
  readonly #requestRetries = this.#counter('rest_client_request_retries_total', 'Requests that were retried', [
    'code',
    'verb',
    'host',
  ]);

  readonly #lists = this.#counter('reflector_lists_total', 'Complete lists of a resource type', ['group', 'resource']);
  readonly #watches = this.#counter(
    'reflector_watches_total',
    `Ended watches and failed lists of a resource type, by reason: ${RELIST_REASONS.join(', ')}`,
    ['group', 'resource', 'reason'],
  );

  readonly #events = this.#counter(
    'event_recorder_events_total',
    'Kubernetes events by outcome: created, patched, dropped (too many), failed',
    ['outcome'],
  );

  constructor() {
    const inProgress = this.#inProgress;
    this.#gauge(
      'workqueue_unfinished_work_seconds',
      'Time that workers have spent on keys that they still work on',
      ['name', 'controller'],
      function () {
        for (const [name, read] of inProgress) {
          this.set({ name, controller: name }, seconds(read().reduce((sum, ms) => sum + ms, 0)));
        }
      },
    );
    this.#gauge(
      'workqueue_longest_running_processor_seconds',
      'Longest time that a worker has spent on a key that it still works on',
      ['name', 'controller'],
      function () {
        for (const [name, read] of inProgress) this.set({ name, controller: name }, seconds(Math.max(0, ...read())));
      },
    );
  }

  /** For one controller; all its series exist from now on, so that a rate over them includes the first increment. */
  forController(controller: string, workers: number): ControllerMetrics {
    const queue = { name: controller, controller };
    for (const result of RESULTS) this.#reconcileTotal.inc({ controller, result }, 0);
    for (const counter of [this.#reconcileErrors, this.#terminalErrors, this.#panics, this.#timeouts])
      counter.inc({ controller }, 0);
    this.#maxConcurrent.set({ controller }, workers);
    this.#activeWorkers.set({ controller }, 0);
    this.#queueDepth.set(queue, 0);
    this.#queueAdds.inc(queue, 0);
    this.#queueRetries.inc(queue, 0);
    return {
      queue: {
        added: () => this.#queueAdds.inc(queue),
        depth: (length) => this.#queueDepth.set(queue, length),
        started: (waitedMs) => this.#queueWait.observe(queue, seconds(waitedMs)),
        finished: (workedMs) => this.#queueWork.observe(queue, seconds(workedMs)),
        retried: () => this.#queueRetries.inc(queue),
      },
      watchQueue: (inProgressMs) => this.#inProgress.set(controller, inProgressMs),
      reconciled: (result, durationMs) => {
        this.#reconcileTotal.inc({ controller, result });
        if (result === 'error') this.#reconcileErrors.inc({ controller });
        this.#reconcileTime.observe({ controller }, seconds(durationMs));
      },
      terminalError: () => this.#terminalErrors.inc({ controller }),
      panicked: () => this.#panics.inc({ controller }),
      timedOut: () => this.#timeouts.inc({ controller }),
      activeWorkers: (change) => this.#activeWorkers.inc({ controller }, change),
    };
  }

  /** `name` is that of the lease. */
  leader(name: string, leading: boolean): void {
    this.#leader.set({ name }, leading ? 1 : 0);
  }

  leaseSlowPath(name: string): void {
    this.#leaderSlowPath.inc({ name });
  }

  /** Counts an event by its outcome; `dropped`: its object has too many of them. */
  event(outcome: 'created' | 'patched' | 'dropped' | 'failed'): void {
    this.#events.inc({ outcome });
  }

  /** For the transport: counts every attempt. */
  readonly transport: TransportObserver = {
    request: ({ method, host, code, durationMs }) => {
      this.#requests.inc({ code, method, host });
      this.#requestTime.observe({ verb: method, host }, seconds(durationMs));
    },
    retry: ({ method, host, error }) => {
      const code = error instanceof StatusError ? String(error.code) : '<error>';
      this.#requestRetries.inc({ code, verb: method, host });
    },
  };

  /** For informers. */
  readonly reflector: ReflectorObserver = {
    listed: ({ group, plural }) => this.#lists.inc({ group, resource: plural }),
    watchEnded: ({ group, plural }, reason) => this.#watches.inc({ group, resource: plural, reason }),
  };

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[], collect?: CollectFunction<Gauge<L>>): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.registry], ...(collect && { collect }) });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets: number[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
