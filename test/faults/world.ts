/**
 * The world of one plan: a namespace of a real API server, the rest of the cluster played, and the operator's processes one after the
 * other. Time passes only when nobody has anything to do, so minutes of waiting cost nothing.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../src/kube/client/client.ts';
import { Namespace, PersistentVolumeClaim, Pod } from '../../src/kube/types/builtins.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { FaultProxy, type Fault, type Match, type ProxiedRequest } from '../support/fault-proxy.ts';
import { connect } from '../support/kube.ts';
import type { TenantApi } from '../support/tenant-api.ts';
import { FakeCluster } from './cluster.ts';
import { OperatorProcess } from './process.ts';
import { differencesOf, snapshotOf } from './snapshot.ts';
import { Volumes } from './volumes.ts';

/** An oracle's finding. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Real ms without a request or an event: everything on its way has arrived. Too short a time only makes the operator wait longer. */
const QUIET_MS = 25;
/** The longest time in which a step of the life must be done, in ms of the world: a silent watch is noticed after three minutes. */
const CONVERGES_WITHIN_MS = 15 * 60_000;
/** How long the operator takes to make good one failed write in the steady state, in ms of the world. */
const MADE_GOOD_MS = 60_000;
/** Real ms of work without a pause: beyond it the operator works in a circle. */
const MAX_BUSY_MS = 60_000;
/** Longest step of time, in ms. */
const MAX_STEP_MS = 5_000;

/** Whether a request changes the cluster. Events don't count: they are recorded by best effort. */
export const isWrite = ({ verb, resource }: Pick<ProxiedRequest, 'verb' | 'resource'>): boolean =>
  verb !== 'get' && verb !== 'list' && verb !== 'watch' && resource !== 'events';

/** The rest of the cluster reads no status that the operator writes. */
const isSpecWrite = (request: ProxiedRequest): boolean => isWrite(request) && request.subresource !== 'status';

/** A deletion, or the removal of a finalizer, which the operator has on its own kinds only. */
const mayLeaveGarbage = (request: ProxiedRequest): boolean =>
  request.verb === 'delete' || (isSpecWrite(request) && request.resource.startsWith('copilot'));

const isEvent = ({ verb, resource }: ProxiedRequest): boolean =>
  verb !== 'get' && verb !== 'list' && verb !== 'watch' && resource === 'events';

export class FaultWorld {
  readonly namespace = `faults-${randomBytes(4).toString('hex')}`;
  readonly client: Client;
  readonly clock = new FakeClock(Date.now());
  readonly volumes = new Volumes(this.clock);
  readonly cluster: FakeCluster;
  readonly #api: TenantApi;
  readonly #close: () => Promise<void>;
  readonly #processes: OperatorProcess[] = [];
  #generation = 0;
  #crashed = false;
  #changedAt = 0;
  /** What users and new processes did; with the operator's writes: whether there is anything new for the rest of the cluster. */
  #actions = 0;
  /** How many of both there were when the rest of the cluster had nothing to do. */
  #seen = -1;

  static async open(api: TenantApi): Promise<FaultWorld> {
    const { client, transport } = connect(api.kubeconfig);
    const world = new FaultWorld(api, client, () => transport.close());
    const metadata = { name: world.namespace };
    await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata });
    await world.startProcess();
    return world;
  }

  private constructor(api: TenantApi, client: Client, close: () => Promise<void>) {
    this.#api = api;
    this.client = client;
    this.#close = close;
    this.cluster = new FakeCluster(client, this.namespace, this.clock, this.volumes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It would wait for what needs time, such as the deadline of a request without a response, and none passes any more.
    this.process.die();
    await this.process.dispose();
    await this.#close();
  }

  get process(): OperatorProcess {
    const process = this.#processes.at(-1);
    if (process === undefined) throw new Error('no process was started');
    return process;
  }

  /** Every request of every process, in order. */
  get journal(): ProxiedRequest[] {
    return this.#processes.flatMap(({ proxy }) => proxy.journal);
  }

  /** Starts a process, before whose requests these faults stand. */
  async startProcess(faults: readonly [Match, Fault][] = []): Promise<void> {
    const proxy = await FaultProxy.start(this.#api.server);
    for (const [match, fault] of faults) proxy.inject(match, fault);
    const kubeconfig = this.#api.server.kubeconfig({ server: proxy.url });
    const generation = this.#generation++;
    this.#acted();
    this.#processes.push(
      new OperatorProcess({
        proxy,
        kubeconfig,
        namespace: this.namespace,
        clock: this.clock,
        dial: this.volumes.dial,
        randomBytes: (size) => Buffer.alloc(size, `process ${generation} `),
      }),
    );
  }

  /** Has the process die at its nth write from now on. */
  crashAtWrite(nth: number, when: 'before' | 'at' | 'after'): void {
    const onCrash = (): void => {
      this.#crashed = true;
      this.process.die();
    };
    this.process.proxy.inject(isWrite, { kind: 'crash', when, onCrash }, { nth });
  }

  /** Kills the process and starts another one. */
  async restart(faults: readonly [Match, Fault][] = []): Promise<void> {
    this.#crashed = false;
    this.process.die();
    this.volumes.cut();
    await this.process.dispose();
    await this.startProcess(faults);
  }

  /** A user's change. */
  async patch(type: ResourceType, name: string, patch: object): Promise<void> {
    const contentType = 'application/merge-patch+json';
    await this.client.patch(type, this.ref(name), patch, { contentType, fieldManager: 'user' });
    this.#acted();
  }

  async create(type: ResourceType, object: object): Promise<void> {
    await this.client.create(type, object as KubeObject);
    this.#acted();
  }

  /** A user's deletion. */
  async delete(type: ResourceType, name: string): Promise<void> {
    const { metadata } = await this.client.get(type, this.ref(name));
    await this.client.delete(type, this.ref(name), { uid: metadata.uid ?? '', propagationPolicy: 'Background' });
    this.#acted();
  }

  ref(name: string): { namespace: string; name: string } {
    return { namespace: this.namespace, name };
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string): Promise<T | undefined> {
    return ignoreNotFound(this.client.get(type, this.ref(name)));
  }

  async list<T extends KubeObject>(type: ResourceType<T>): Promise<T[]> {
    return (await this.client.listAll(type, { namespace: this.namespace })).items;
  }

  async sessionsOnVolumes(): Promise<Record<string, string[]>> {
    return this.volumes.sessions(await this.list(PersistentVolumeClaim));
  }

  /** The newest resourceVersion of the cluster. */
  async resourceVersion(): Promise<string> {
    return (await this.client.list(Pod, { namespace: this.namespace, limit: 1 })).resourceVersion;
  }

  /** Something was changed that the operator will hear of in a moment. */
  touch(): void {
    this.#changedAt = performance.now();
  }

  #acted(): void {
    this.#actions += 1;
    this.touch();
  }

  /** Lets everybody work, and time pass, until the goal is reached, later if a write gets a fault meanwhile; `why` says what is missing. */
  async settle(goal: () => Promise<string | undefined>, withinMs = CONVERGES_WITHIN_MS): Promise<void> {
    const { proxy } = this.process;
    const faults = proxy.pendingFaults;
    const started = this.clock.monotonic();
    for (;;) {
      await this.#work();
      const missing = await goal();
      if (missing === undefined) return;
      const limitMs = proxy.pendingFaults < faults ? CONVERGES_WITHIN_MS : withinMs;
      const endsAt = started + limitMs;
      if (this.clock.monotonic() >= endsAt) throw new Violation(`not within ${limitMs / 1000} s: ${missing}`);
      await this.#passTime(endsAt);
    }
  }

  /** Lets so much time pass. */
  async advance(ms: number): Promise<void> {
    const endsAt = this.clock.monotonic() + ms;
    for (await this.#work(); this.clock.monotonic() < endsAt; await this.#work()) await this.#passTime(endsAt);
  }

  /** Lets so much time pass, in which nothing may be written, not even an event. */
  async expectSteady(ms: number): Promise<void> {
    await this.#work();
    const before = this.journal.length;
    const { proxy } = this.process;
    const faults = proxy.pendingFaults;
    const state = await snapshotOf(this.client, this.namespace);
    await this.advance(ms);
    // A tenant whose name is taken tries again: that is refused, and changes nothing.
    const writes = this.journal
      .slice(before)
      .filter((request) => (isWrite(request) || isEvent(request)) && request.answered !== 409);
    if (writes.length === 0) return;
    // The fault was in this very time: what counts is the time after it, and after what it takes to make it good.
    if (proxy.pendingFaults < faults) {
      await this.advance(MADE_GOOD_MS);
      return this.expectSteady(ms);
    }
    const found = writes.map(({ verb, resource, name, subresource }) =>
      [verb, resource, name, subresource].join(' ').trimEnd(),
    );
    const changes = differencesOf(state, await snapshotOf(this.client, this.namespace));
    const what = `${writes.length} writes in the steady state: ${[...new Set(found)].join(', ')}`;
    throw new Violation([what, ...changes].join('\n'));
  }

  /** Everybody works until nobody has anything to do. */
  async #work(): Promise<void> {
    do {
      await this.#quiet();
      if (this.#crashed) await this.restart();
    } while ((await this.#step()) || this.#crashed);
  }

  /** The lists that the rest of the cluster looks at are most of the cost of a life, so it looks only when there is something new. */
  async #step(): Promise<boolean> {
    const { journal } = this;
    const changes = this.#actions + journal.filter(isSpecWrite).length;
    const deletions = this.#actions + journal.filter(mayLeaveGarbage).length;
    if (changes === this.#seen) return false;
    const worked = await this.cluster.step(deletions);
    if (worked) this.touch();
    else this.#seen = changes;
    return worked;
  }

  /** Until time is all that the operator waits for, or it has crashed and no request of it is on its way. */
  async #quiet(): Promise<void> {
    const endsAt = performance.now() + MAX_BUSY_MS;
    for (;;) {
      await settle();
      if (this.#crashed) return sleep(QUIET_MS);
      if (performance.now() > endsAt) throw new Violation(`still busy after ${MAX_BUSY_MS / 1000} s without a pause`);
      const { proxy, pending } = this.process;
      if (pending > proxy.silenced) await sleep(2);
      else if (performance.now() - Math.max(this.#changedAt, proxy.changedAt) < QUIET_MS) await sleep(4);
      else return;
    }
  }

  async #passTime(endsAt: number): Promise<void> {
    const { proxy } = this.process;
    const requests = proxy.journal.length;
    do {
      const left = Math.max(endsAt - this.clock.monotonic(), 1);
      await this.clock.advance(Math.min(this.clock.nextTimerIn ?? MAX_STEP_MS, MAX_STEP_MS, left));
    } while (
      this.process.pending <= proxy.silenced &&
      proxy.journal.length === requests &&
      this.clock.monotonic() < endsAt
    );
  }
}
