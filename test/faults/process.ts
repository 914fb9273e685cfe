/**
 * One process of the operator: the real manager, controllers, pinger and survey in this process, behind a fault proxy of its own. Killed,
 * it does nothing any more: its requests go nowhere, its timers never fire, and its connections to servers are cut.
 */
import { pino } from 'pino';
import { Client } from '../../src/kube/client/client.ts';
import { type Clock, sleepOn, type Timer } from '../../src/kube/clock/clock.ts';
import { loadConfig } from '../../src/kube/client/config.ts';
import { Transport, type TransportRequest } from '../../src/kube/client/transport.ts';
import { EventRecorder } from '../../src/kube/runtime/events.ts';
import { Manager } from '../../src/kube/runtime/manager.ts';
import { Metrics } from '../../src/kube/runtime/metrics.ts';
import type { Dial } from '../../src/copilot/index.ts';
import { ProductMetrics } from '../../src/commands/operator/metrics.ts';
import { SESSION_INDEXERS } from '../../src/resources/session-index.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import { Pinger } from '../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../src/servers/registry.ts';
import { Survey } from '../../src/servers/survey/survey.ts';
import { addSessionController } from '../../src/session/controller.ts';
import { StoredLabel } from '../../src/session/decisions/labels.ts';
import { addTenantController } from '../../src/tenant/controller.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { metricSum } from '../support/metrics.ts';

export const SERVER_IMAGE = 'example.com/copilot-cli:1';
export const OPERATOR_IMAGE = 'example.com/operator:1';

export interface ProcessOptions {
  readonly proxy: FaultProxy;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly clock: FakeClock;
  readonly dial: Dial;
  /** Differs between processes, so that a token that is generated twice is noticed. */
  readonly randomBytes: (size: number) => Buffer;
}

/** Time as a process has it: none passes for one that was killed. */
class ProcessClock implements Clock {
  killed = false;
  readonly #clock: FakeClock;
  readonly #timers = new Set<Timer>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  setTimer(ms: number, fn: () => void): Timer {
    if (this.killed) return { cancel: () => undefined };
    const timer = this.#clock.setTimer(ms, () => {
      this.#timers.delete(timer);
      fn();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }

  kill(): void {
    this.killed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}

/** Counts the calls that wait until they are tried again: for that, time must pass. */
class RetryClock extends ProcessClock {
  sleeping = 0;

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeping += 1;
    try {
      await super.sleep(ms, signal);
    } finally {
      this.sleeping -= 1;
    }
  }
}

/** Counts the requests that have no response yet. */
class CountingTransport extends Transport {
  pending = 0;

  override async request<T>(request: TransportRequest): Promise<T> {
    this.pending += 1;
    try {
      return await super.request<T>(request);
    } finally {
      this.pending -= 1;
    }
  }
}

export class OperatorProcess {
  readonly proxy: FaultProxy;
  readonly metrics = new Metrics();
  readonly #clock: ProcessClock;
  readonly #retryClock: RetryClock;
  readonly #transport: CountingTransport;
  readonly #registry: ServerRegistry;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;

  constructor({ proxy, kubeconfig, namespace, clock, dial, randomBytes }: ProcessOptions) {
    this.proxy = proxy;
    this.#clock = new ProcessClock(clock);
    this.#retryClock = new RetryClock(clock);
    const common = { clock: this.#clock, random: () => 0.5, log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }) };
    const credentials = loadConfig({ clock: this.#clock, kubeconfig });
    this.#transport = new CountingTransport({ ...common, clock: this.#retryClock, credentials });
    const { metrics } = this;
    const client = new Client({ transport: this.#transport });
    const manager = new Manager({ ...common, client, metrics, namespaces: [namespace] });
    const recorder = new EventRecorder({ ...common, client, metrics, component: 'copilot-operator', instance: 'test' });
    const product = new ProductMetrics(metrics.registry);
    // A dead process says nothing to a server either.
    const aliveDial: Dial = (address, events) => {
      const wire = dial(address, events);
      return {
        write: (frame) => this.#clock.killed || wire.write(frame),
        pause: () => wire.pause(),
        resume: () => wire.resume(),
        destroy: () => wire.destroy(),
      };
    };
    this.#registry = new ServerRegistry({ ...common, dial: aliveDial });
    const servers = this.#registry;
    const pinger = new Pinger({ servers, log: common.log, observe: () => undefined });
    const labelKeys = Object.values(StoredLabel);
    const survey = new Survey({ servers, log: common.log, labelKeys, observePoll: () => undefined });
    const tenants = manager.informer(CopilotTenant);
    const sessions = manager.informer(CopilotSession, { indexers: SESSION_INDEXERS });
    const { jobs, pods, claims } = addTenantController({
      manager,
      tenants,
      copilotSessions: sessions,
      servers,
      health: pinger,
      sessions: survey,
      recorder,
      facts: {
        serverImage: SERVER_IMAGE,
        operatorImage: OPERATOR_IMAGE,
        namespace: 'operator',
        clusterCIDRs: [],
        clusterDNS: [],
      },
      concurrency: 4,
      maxConcurrentRollouts: 2,
      randomBytes,
      tenantMetrics: product,
    });
    addSessionController({
      manager,
      sessions,
      tenants,
      jobs,
      pods,
      claims,
      source: survey,
      recorder,
      facts: { operatorImage: OPERATOR_IMAGE },
      concurrency: 4,
    });
    manager.onStop(async () => {
      servers.close();
      await recorder.close(0);
    });
    this.#ended = manager.run(this.#stop.signal);
  }

  /** Requests that wait for a response. */
  get pending(): number {
    return this.#transport.pending - this.#retryClock.sleeping;
  }

  /** Reconciles that ended with an error that only a bug causes. */
  panics(): Promise<number> {
    return metricSum(this.metrics, 'controller_runtime_reconcile_panics_total');
  }

  /** From now on it does nothing. Its connections end as those of a dead process do. */
  die(): void {
    this.#clock.kill();
    this.#retryClock.kill();
    this.#registry.close();
  }

  /** Frees what it holds. One that died never ends by itself, because its timers don't fire. */
  async dispose(): Promise<void> {
    const died = this.#clock.killed;
    this.#stop.abort();
    if (!died) await this.#ended;
    await this.proxy.stop();
    await this.#transport.close();
  }
}
