/**
 * The world of one plan: a namespace of a real API server, the rest of the cluster played, and the operator's processes one after the
 * other. Time passes only when nobody has anything to do, so minutes of waiting cost nothing.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Namespace, PersistentVolumeClaim, Pod } from '../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import type { Fault, Match, ProxiedRequest } from '../support/fault-proxy.ts';
import type { Campaign } from './campaign.ts';
import { FakeCluster } from './cluster.ts';
import { deleteAll, everythingIn } from './garbage.ts';
import { OperatorProcess } from './process.ts';
import { differencesOf, snapshotOf, versionsOf, type Snapshot } from './snapshot.ts';
import { Volumes } from './volumes.ts';
import { isEvent, isSpecWrite, isWrite } from './writes.ts';

/** An oracle's finding. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Real ms without a request or an event, after all events that are due: the operator has nothing to do. */
const IDLE_MS = 3;
/** The same where an event may still be on its way. Too short a time only makes the operator wait longer. */
const QUIET_MS = 25;
/** The longest time in which a step of the life must be done, in ms of the world: a silent watch is noticed after three minutes. */
const CONVERGES_WITHIN_MS = 15 * 60_000;
/** How long the operator takes to make good one failed write in the steady state, in ms of the world. */
const MADE_GOOD_MS = 60_000;
/** Real ms of work without a pause: beyond it the operator works in a circle. */
const MAX_BUSY_MS = 60_000;
/** Longest step of time, in ms. */
const MAX_STEP_MS = 5_000;

export class FaultWorld {
  readonly namespace = `faults-${randomBytes(4).toString('hex')}`;
  readonly clock = new FakeClock(Date.now());
  readonly volumes = new Volumes(this.clock);
  readonly cluster: FakeCluster;
  readonly #campaign: Campaign;
  readonly #processes: OperatorProcess[] = [];
  #generation = 0;
  #crashed = false;
  #changedAt = 0;
  /** What users and new processes did; with the operator's writes: whether there is anything new for the rest of the cluster. */
  #actions = 0;
  /** How many of both there were when the rest of the cluster had nothing to do. */
  #seen = -1;

  static async open(campaign: Campaign): Promise<FaultWorld> {
    const world = new FaultWorld(campaign);
    const metadata = { name: world.namespace };
    await campaign.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata });
    await world.startProcess();
    return world;
  }

  private constructor(campaign: Campaign) {
    this.#campaign = campaign;
    campaign.mirror.open(this.namespace);
    this.cluster = new FakeCluster(campaign, this.namespace, this.clock, this.volumes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It would wait for what needs time, such as the deadline of a request without a response, and none passes any more.
    this.process.die();
    await this.process.dispose();
    const { client, mirror } = this.#campaign;
    await mirror.caughtUp();
    // Thousands of lives would fill the memory of the API server, and the first hundred its addresses of Services.
    await deleteAll(client, this.objects());
    await mirror.caughtUp();
    mirror.forget(this.namespace);
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
    const { proxy, kubeconfig } = await this.#campaign.proxy();
    for (const [match, fault] of faults) proxy.inject(match, fault);
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
    await this.#campaign.client.patch(type, this.ref(name), patch, { contentType, fieldManager: 'user' });
    this.#acted();
  }

  async create(type: ResourceType, object: object): Promise<void> {
    await this.#campaign.client.create(type, object as KubeObject);
    this.#acted();
  }

  /** A user's deletion. */
  async delete(type: ResourceType, name: string): Promise<void> {
    const uid = this.get(type, name)?.metadata.uid ?? '';
    await this.#campaign.client.delete(type, this.ref(name), { uid, propagationPolicy: 'Background' });
    this.#acted();
  }

  ref(name: string): { namespace: string; name: string } {
    return { namespace: this.namespace, name };
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string): T | undefined {
    return this.#campaign.mirror.get(type, this.ref(name));
  }

  list<T extends KubeObject>(type: ResourceType<T>): T[] {
    return this.#campaign.mirror.list(type, this.namespace);
  }

  /** Everything that there is. */
  objects(): [ResourceType, KubeObject][] {
    return this.#campaign.mirror.objects(this.namespace);
  }

  snapshot(): Snapshot {
    const sessions = this.volumes.sessions(this.list(PersistentVolumeClaim));
    return { ...snapshotOf(this.objects(), this.namespace), sessions };
  }

  /** What the watches show must be what the API server has: all verdicts are about that. */
  async compareWithLists(): Promise<void> {
    await this.#campaign.mirror.caughtUp();
    const listed = versionsOf(await everythingIn(this.#campaign.client, this.namespace));
    const different = differencesOf(listed, versionsOf(this.objects()));
    if (different.length > 0) throw new Error(`the watches do not show what is listed:\n${different.join('\n')}`);
  }

  /** The newest resourceVersion of the cluster. */
  async resourceVersion(): Promise<string> {
    const { client } = this.#campaign;
    return (await client.list(Pod, { namespace: this.namespace, limit: 1 })).resourceVersion;
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
  async settle(goal: () => string | undefined, withinMs = CONVERGES_WITHIN_MS): Promise<void> {
    const { proxy } = this.process;
    const faults = proxy.pendingFaults;
    const started = this.clock.monotonic();
    for (;;) {
      await this.#work();
      const missing = goal();
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

  /**
   * Lets so much time pass for timers, while the wall clock stands still. The API server dates deletions by its own clock, and a deletion
   * has a deadline: a wait of minutes would use that up.
   */
  async advanceTimers(ms: number): Promise<void> {
    const { clock } = this;
    const endsAt = clock.monotonic() + ms;
    for (await this.#work(); clock.monotonic() < endsAt; await this.#work()) {
      const before = clock.monotonic();
      await this.#passTime(Math.min(endsAt, before + MAX_STEP_MS));
      clock.jumpWallClock(before - clock.monotonic());
    }
  }

  /** Lets so much time pass, in which nothing may be written, not even an event. */
  async expectSteady(ms: number): Promise<void> {
    await this.#work();
    const before = this.journal.length;
    const { proxy } = this.process;
    const faults = proxy.pendingFaults;
    const state = this.snapshot();
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
    const changes = differencesOf(state, this.snapshot());
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

  /** The rest of the cluster looks only when there is something new. */
  async #step(): Promise<boolean> {
    const changes = this.#actions + this.journal.filter(isSpecWrite).length;
    if (changes === this.#seen) return false;
    const worked = await this.cluster.step();
    if (worked) this.touch();
    else this.#seen = changes;
    return worked;
  }

  /** Until time is all that the operator waits for, or it has crashed and no request of it is on its way. */
  async #quiet(): Promise<void> {
    const endsAt = performance.now() + MAX_BUSY_MS;
    const { mirror } = this.#campaign;
    for (;;) {
      await settle();
      const { proxy, pending } = this.process;
      if (this.#crashed) {
        await sleep(QUIET_MS);
        return mirror.caughtUp();
      }
      if (performance.now() > endsAt) {
        const { journal, openingWatches } = proxy;
        const last = journal.slice(-5).map(({ verb, path, answered }) => `${verb} ${path} ${answered}`);
        const what = `${pending} requests and ${openingWatches} watches without an answer, of ${journal.length}: ${last.join(', ')}`;
        throw new Violation(`still busy after ${MAX_BUSY_MS / 1000} s without a pause: ${what}`);
      }
      if (pending <= proxy.silenced && proxy.openingWatches === 0) {
        await mirror.caughtUp();
        const quietMs = performance.now() - Math.max(this.#changedAt, proxy.changedAt);
        if (quietMs >= (this.#hasArrived() ? IDLE_MS : QUIET_MS)) return;
      }
      await sleep(1);
    }
  }

  /** Whether every watch of the operator that works has passed on all that has happened. */
  #hasArrived(): boolean {
    const { mirror } = this.#campaign;
    return this.process.proxy.passedOn.every(([{ resource, query }, version]) => {
      return version >= mirror.newest(this.namespace, resource, query.get('labelSelector') ?? '');
    });
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
