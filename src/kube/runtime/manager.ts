/** The manager of a process: starts and stops informers, controllers, leader election and the HTTP servers. */
import type { Logger } from 'pino';
import { onAbort } from '../clock/abort.ts';
import type { Clock, Random, Timer } from '../clock/clock.ts';
import type { ResourceType } from '../types/resource.ts';
import type { KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import { Informer, type Health, type InformerLike, type InformerOptions } from '../cache/informer.ts';
import { Outage } from '../cache/outage.ts';
import type { Controller } from './controller.ts';
import { HealthServer, type Check } from './health-server.ts';
import type { LeaderElector } from './leader-election.ts';
import type { Address } from './listen.ts';
import type { Metrics } from './metrics.ts';
import { resync, type ResyncOptions } from './resync.ts';
import { RunnableGroup, type Outcome, type Runnable } from './runnables.ts';

/** What a manager needs, and what it serves where. */
export interface ManagerOptions {
  client: KubeClient;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** Without one the controllers start at once: for development only. */
  leaderElector?: Pick<LeaderElector, 'acquire' | 'renew' | 'release'> | undefined;
  /** Namespaces that informers watch by default. Empty or absent: all. */
  namespaces?: readonly string[] | undefined;
  /** Where /healthz, /livez and /readyz are served. Default: nowhere. */
  health?: Address | undefined;
  /** Where /metrics is served; may be the same address. Default: nowhere. */
  metricsAt?: Address | undefined;
  /** After how many ms every object is reconciled again, though nothing has changed (resync.ts). Default: never. */
  syncPeriodMs?: number | undefined;
  /** Freeze the objects in the caches: for tests. Default false. */
  freezeCaches?: boolean | undefined;
  /** ms that reconciles in progress have to finish after a stop was requested. Default 30,000. */
  gracefulStopMs?: number | undefined;
}

/** ms that aborted reconciles have to end: their requests have ended, only their own code still runs. */
const UNWIND_MS = 2_000;

/**
 * Starts everything in order and stops it in reverse: HTTP servers, caches (which are warm while another process leads, too), the
 * lease, controllers.
 */
export class Manager {
  /** For the controllers that are added to the manager. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly #options: ManagerOptions;
  readonly #outage: Outage;
  readonly #restored = Promise.withResolvers<Outcome>();
  readonly #informers: InformerLike[] = [];
  /** Run like the others, and nothing waits for them. */
  readonly #optionalInformers: InformerLike[] = [];
  readonly #runnables: Runnable[] = [];
  readonly #onStop: (() => Promise<void>)[] = [];
  readonly #readyChecks: Check[] = [{ name: 'caches', check: () => this.#cachesSynced() }];
  readonly #liveChecks: readonly Check[] = [{ name: 'watches', check: () => this.#watchesProgress() }];
  readonly #servers: HealthServer[] = [];
  /** The ports that were bound. */
  readonly ports: { health?: number; metrics?: number } = {};

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.client = options.client;
    this.clock = options.clock;
    this.random = options.random;
    this.log = options.log;
    this.metrics = options.metrics;
    this.#outage = new Outage(options);
  }

  /** An informer that starts with the manager. */
  informer<T extends KubeObject>(
    type: ResourceType<T>,
    options: Partial<Omit<InformerOptions<T>, 'type' | 'client'>> = {},
  ): InformerLike<T> {
    const informer = this.#newInformer(type, options);
    this.#informers.push(informer);
    return informer;
  }

  /** One of objects that the process can do without, such as those that it may not list: it starts, leads and is ready before they are known. */
  optionalInformer<T extends KubeObject>(
    type: ResourceType<T>,
    options: Partial<Omit<InformerOptions<T>, 'type' | 'client'>> = {},
  ): InformerLike<T> {
    const informer = this.#newInformer(type, options);
    this.#optionalInformers.push(informer);
    return informer;
  }

  #newInformer<T extends KubeObject>(
    type: ResourceType<T>,
    options: Partial<Omit<InformerOptions<T>, 'type' | 'client'>>,
  ): InformerLike<T> {
    const { client, clock, random, log, metrics, namespaces, freezeCaches } = this.#options;
    return new Informer<T>({
      client,
      clock,
      random,
      log,
      namespaces,
      observer: metrics.reflector,
      outage: this.#outage,
      freeze: freezeCaches,
      onRestored: (error) => this.#restored.resolve({ reason: 'restored', error }),
      ...options,
      type,
    });
  }

  /** `stopsLast`: as for a {@link Runnable}. */
  addController(controller: Controller, { stopsLast = false }: Pick<Runnable, 'stopsLast'> = {}): void {
    this.#outage.onReturn(() => controller.retryFailed(() => this.#outage.retryAfterMs()));
    this.addRunnable({ name: controller.name, stopsLast, run: (stop, kill) => controller.run(stop, kill) });
    const { clock, random, syncPeriodMs: periodMs } = this.#options;
    if (periodMs === undefined) return;
    const keys = (): Iterable<string> => controller.primary.store.keys();
    const enqueueAfter: ResyncOptions['enqueueAfter'] = (request, delayMs) => controller.enqueueAfter(request, delayMs);
    const run = (stop: AbortSignal) => resync({ clock, random, periodMs, keys, enqueueAfter }, stop);
    this.addRunnable({ name: `resync of ${controller.name}`, run });
  }

  addRunnable(runnable: Runnable): void {
    this.#runnables.push(runnable);
  }

  /** Adds a check to `/readyz`. */
  addReadyCheck(check: Check): void {
    this.#readyChecks.push(check);
  }

  /** Names of the checks of `/readyz` that fail now. */
  failedReadyChecks(): string[] {
    return this.#readyChecks.filter(({ check }) => !check().ok).map(({ name }) => name);
  }

  /** Adds a hook that runs after the controllers have ended and before the lease is released, for last writes such as events. */
  onStop(hook: () => Promise<void>): void {
    this.#onStop.push(hook);
  }

  /** Runs until `stop` aborts, leadership is lost or a part fails. Rejects if it could not start (a port is in use). */
  async run(stop: AbortSignal): Promise<Outcome> {
    const caches = new AbortController();
    let running: Promise<void>[] = [];
    try {
      await this.#listen();
      running = [...this.#informers, ...this.#optionalInformers].map((informer) => informer.run(caches.signal));
      return await this.#lead(stop);
    } finally {
      caches.abort();
      await Promise.all(running);
      await Promise.all(this.#servers.map((server) => server.close()));
    }
  }

  async #lead(stop: AbortSignal): Promise<Outcome> {
    const { leaderElector, log } = this.#options;
    const standby = new RunnableGroup(
      this.#runnables.filter(({ needsLeadership }) => needsLeadership === false),
      log,
    );
    const leading = new RunnableGroup(
      this.#runnables.filter(({ needsLeadership }) => needsLeadership !== false),
      log,
    );
    const stopped = aborted(stop).then((): Outcome => ({ reason: 'stopped' }));
    const restored = this.#restored.promise.then((outcome) => {
      for (const group of [leading, standby]) group.kill.abort();
      return outcome;
    });
    standby.start();
    let outcome = await this.#acquire(Promise.race([stopped, standby.failed, restored]));
    const renewing = new AbortController();
    let lost: Promise<Outcome> | undefined;
    if (!outcome) {
      lost = leaderElector?.renew(renewing.signal).then((end): Outcome => {
        if (end === 'stopped') return { reason: 'stopped' };
        // The write gate is closed by now; what still runs is aborted, too.
        for (const group of [leading, standby]) group.kill.abort();
        return { reason: 'leadership lost' };
      });
      leading.start();
      outcome = await Promise.race([stopped, standby.failed, leading.failed, restored, ...(lost ? [lost] : [])]);
    }
    if (outcome.reason === 'failed') log.error({ err: outcome.error }, 'a runnable failed; stopping');
    else if (outcome.reason === 'restored')
      log.error({ err: outcome.error }, 'stopping, to start from the cluster again');
    else log.info({ reason: outcome.reason }, 'stopping');
    // The lease is held until the last write is done.
    await this.#finish([leading, standby]);
    renewing.abort();
    const end = await lost;
    if (end?.reason === 'leadership lost') return end;
    await leaderElector?.release();
    return outcome;
  }

  /** Undefined once this process leads; else what came first. The caches sync first: a process without caches should not lead. */
  async #acquire(end: Promise<Outcome>): Promise<Outcome | undefined> {
    const { leaderElector } = this.#options;
    const giveUp = new AbortController();
    const ended = end.then((outcome) => {
      giveUp.abort();
      return outcome;
    });
    try {
      await Promise.all(this.#informers.map((informer) => informer.waitForSync(giveUp.signal)));
    } catch (error) {
      if (!giveUp.signal.aborted) throw error;
      return ended;
    }
    const leads = leaderElector ? await leaderElector.acquire(giveUp.signal) : !giveUp.signal.aborted;
    return leads ? undefined : ended;
  }

  async #finish(groups: RunnableGroup[]): Promise<void> {
    const { log, gracefulStopMs = 30_000 } = this.#options;
    for (const group of groups) group.stop.abort();
    const killed = groups.some((group) => group.kill.signal.aborted);
    if (!(await this.#endWithin(groups, killed ? UNWIND_MS : gracefulStopMs))) {
      for (const group of groups) group.kill.abort();
      const ended = await this.#endWithin(groups, UNWIND_MS);
      if (!ended) log.error({ gracefulStopMs }, 'some runnables did not end in time; exiting without them');
    }
    for (const hook of this.#onStop) {
      await hook().catch((error: unknown) => log.error({ err: error }, 'stop hook failed'));
    }
  }

  async #endWithin(groups: RunnableGroup[], ms: number): Promise<boolean> {
    let late: Timer | undefined;
    const timeUp = new Promise<boolean>((resolve) => {
      late = this.#options.clock.setTimer(ms, () => resolve(false));
    });
    const ended = Promise.all(groups.map((group) => group.ended)).then(() => true);
    const inTime = await Promise.race([ended, timeUp]);
    late?.cancel();
    return inTime;
  }

  async #listen(): Promise<void> {
    const { health, metricsAt, metrics, log } = this.#options;
    const probes = { '/healthz': this.#liveChecks, '/livez': this.#liveChecks, '/readyz': this.#readyChecks };
    const { registry } = metrics;
    if (health !== undefined) {
      const shared = health.port !== 0 && health.port === metricsAt?.port && health.host === metricsAt.host;
      const server = new HealthServer({ log, probes, registry: shared ? registry : undefined });
      this.#servers.push(server);
      this.ports.health = await server.listen(health);
      if (shared) this.ports.metrics = this.ports.health;
    }
    if (metricsAt !== undefined && this.ports.metrics === undefined) {
      const server = new HealthServer({ log, registry });
      this.#servers.push(server);
      this.ports.metrics = await server.listen(metricsAt);
    }
  }

  #cachesSynced(): Health {
    const missing = this.#informers.filter((informer) => !informer.hasSynced()).map(({ type }) => type.plural);
    if (missing.length > 0) return { ok: false, message: `not synced yet: ${missing.join(', ')}` };
    const absent = this.#informers.filter((informer) => informer.isAbsent()).map(({ type }) => type.plural);
    return { ok: true, message: absent.length > 0 ? `not served, install the CRDs: ${absent.join(', ')}` : '' };
  }

  #watchesProgress(): Health {
    const stuck = this.#informers.map((informer) => informer.healthy()).filter(({ ok }) => !ok);
    return { ok: stuck.length === 0, message: stuck.map(({ message }) => message).join('; ') };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void onAbort(signal, () => resolve()));
}
