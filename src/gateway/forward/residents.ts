/** The tenants whose home this replica is, each with its clients, from the first one until it is given up. */
import type { Clock } from '../../kube/clock/clock.ts';
import { keyOf } from '../../kube/types/types.ts';
import { Members } from '../members.ts';
import type { TenantRef } from '../model.ts';
import type { Homes } from '../peers/model.ts';
import type { RelayLog } from '../relay/model.ts';
import type { ClosableRelay } from '../relay/relay.ts';
import type { LegEnd } from './leg.ts';
import type { ForwardLimits } from './limits.ts';
import type { Holding } from './messages.ts';
import type { ForwardObserver } from './observer.ts';
import type { Resident } from './resident.ts';

export interface ResidentsOptions {
  readonly clock: Clock;
  readonly limits: Pick<ForwardLimits, 'unusedMs' | 'lookMs'>;
  readonly homes: Pick<Homes, 'release'>;
  readonly relay: Pick<ClosableRelay, 'activity' | 'unload' | 'drop'>;
  readonly log: RelayLog;
  readonly observer: Pick<ForwardObserver, 'homeEnded'>;
}

interface Tenant {
  readonly ref: TenantRef;
  readonly residents: Members<Resident>;
  /** Whether this replica may be its home. */
  isHere: boolean;
  /** Clients of which it is being found out whether this is their home. */
  arriving: number;
  /** While it moves. */
  moving: Promise<void> | undefined;
  timer: { cancel(): void } | undefined;
}

const DRAINED: LegEnd = {
  reason: 'Drained',
  what: 'The replica of the gateway that served the tenant has stopped',
};
const FENCED: LegEnd = {
  reason: 'Fenced',
  what: 'The replica of the gateway that served the tenant was cut off from the others',
};

/** Gives tenants up: when nobody uses them, when this replica stops, and when it may be taken for dead. */
export class Residents {
  readonly #options: ResidentsOptions;
  readonly #tenants = new Map<string, Tenant>();
  #isClosed = false;
  /** How often everything was given up at once: what was found out before that counts for nothing. */
  generation = 0;

  constructor(options: ResidentsOptions) {
    this.#options = options;
  }

  /** Clients whose home is here. */
  get count(): number {
    return [...this.#tenants.values()].reduce((sum, { residents }) => sum + residents.size, 0);
  }

  /** Resolves when the tenant does not move, or has moved. */
  async settled(ref: TenantRef): Promise<void> {
    await this.#tenants.get(keyOf(ref))?.moving;
  }

  isMoving(ref: TenantRef): boolean {
    return this.#tenants.get(keyOf(ref))?.moving !== undefined;
  }

  /** While `work` runs, which finds out whether the home is here, the tenant is not given up as unused. */
  async arriving<T>(ref: TenantRef, work: () => Promise<T>): Promise<T> {
    const tenant = this.#tenantOf(ref);
    tenant.arriving += 1;
    try {
      return await work();
    } finally {
      tenant.arriving -= 1;
      this.#watch(tenant);
    }
  }

  /** This replica is its home, whether or not the client comes to be served. */
  found(ref: TenantRef): void {
    this.#tenantOf(ref).isHere = true;
  }

  add(ref: TenantRef, resident: Resident): void {
    const tenant = this.#tenantOf(ref);
    resident.place ??= tenant.residents.add(resident);
    this.#watch(tenant);
  }

  remove(ref: TenantRef, resident: Resident): void {
    const tenant = this.#tenants.get(keyOf(ref));
    const { place } = resident;
    resident.place = undefined;
    if (place !== undefined && tenant?.residents.remove(place) === true) this.#watch(tenant);
  }

  /** Moves all tenants, each when it has come to rest, but none later than after `withinMs`. */
  async drain(withinMs: number): Promise<void> {
    const deadline = this.#options.clock.monotonic() + withinMs;
    // Whose home is being looked for may be found to be this one.
    const here = [...this.#tenants.values()].filter(({ isHere, arriving }) => isHere || arriving > 0);
    await Promise.all(here.map((tenant) => this.#move(tenant, deadline)));
  }

  /** Closes everything before it returns. */
  fence(): void {
    const { relay, observer, log } = this.#options;
    this.generation += 1;
    for (const tenant of this.#tenants.values()) {
      const { ref, residents } = tenant;
      if (!tenant.isHere) continue;
      tenant.isHere = false;
      // What they declared is read before the connections are closed, in the same turn of the event loop.
      for (const resident of residents) resident.leave(FENCED);
      relay.drop(ref);
      observer.homeEnded('Fenced');
      log.info({ tenant: keyOf(ref) }, 'a tenant was given up: this replica may be taken for dead');
    }
  }

  /** Gives nothing up any more: the process ends. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#tenants.values()) timer?.cancel();
  }

  #tenantOf(ref: TenantRef): Tenant {
    const key = keyOf(ref);
    const known = this.#tenants.get(key);
    if (known !== undefined) return known;
    const tenant: Tenant = {
      ref,
      residents: new Members(),
      isHere: false,
      arriving: 0,
      moving: undefined,
      timer: undefined,
    };
    this.#tenants.set(key, tenant);
    return tenant;
  }

  #move(tenant: Tenant, deadline: number): Promise<void> {
    tenant.moving ??= this.#moveAtRest(tenant, deadline).finally(() => {
      tenant.moving = undefined;
      this.#watch(tenant);
    });
    this.#watch(tenant);
    return tenant.moving;
  }

  async #moveAtRest(tenant: Tenant, deadline: number): Promise<void> {
    const { ref, residents } = tenant;
    const { relay, homes, observer, log } = this.#options;
    await this.#until(() => tenant.arriving === 0, deadline);
    if (!tenant.isHere) return;
    const { generation } = this;
    // A permission that was answered just before everything is held has its turn run again.
    do {
      await this.#hold(residents, 'Starts', deadline);
      await this.#until(() => relay.activity(ref) !== 'Busy', deadline);
      await this.#hold(residents, 'All', deadline);
      await this.#until(() => [...residents].every(({ hasCalls }) => !hasCalls), deadline);
    } while (relay.activity(ref) === 'Busy' && this.#options.clock.monotonic() < deadline);
    await relay.unload(ref);
    // Everything was given up meanwhile, and may belong to another replica.
    if (this.generation !== generation) return;
    tenant.isHere = false;
    // All in one turn of the event loop: who is told asks for the new home, and the connections are closed before there is one.
    for (const resident of residents) resident.leave(DRAINED);
    relay.drop(ref);
    homes.release(ref);
    observer.homeEnded('Drained');
    log.info({ tenant: keyOf(ref) }, 'a tenant was given up: this replica stops');
  }

  async #hold(residents: Iterable<Resident>, what: Holding, deadline: number): Promise<void> {
    const { clock } = this.#options;
    const { promise: held, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimer(Math.max(0, deadline - clock.monotonic()), resolve);
    void Promise.all(Array.from(residents, (resident) => resident.hold(what))).then(() => resolve());
    await held;
    timer.cancel();
  }

  async #until(isDone: () => boolean, deadline: number): Promise<void> {
    const { clock, limits } = this.#options;
    while (!isDone() && clock.monotonic() < deadline) await clock.sleep(limits.lookMs);
  }

  /** Begins or ends the time after which the tenant is unused. */
  #watch(tenant: Tenant): void {
    const { clock, limits } = this.#options;
    tenant.timer?.cancel();
    tenant.timer =
      this.#isClosed || isUsed(tenant) ? undefined : clock.setTimer(limits.unusedMs, () => this.#unused(tenant));
  }

  #unused(tenant: Tenant): void {
    const { relay, homes, observer } = this.#options;
    // A turn goes on without a client, and a session stays for one that comes back.
    if (relay.activity(tenant.ref) !== 'Empty') return this.#watch(tenant);
    tenant.timer = undefined;
    this.#tenants.delete(keyOf(tenant.ref));
    if (!tenant.isHere) return;
    relay.drop(tenant.ref);
    homes.release(tenant.ref);
    observer.homeEnded('Unused');
  }
}

function isUsed({ residents, arriving, moving }: Tenant): boolean {
  return residents.size > 0 || arriving > 0 || moving !== undefined;
}
