/** All connections of clients: made, counted, looked at again when a tenant changes, and closed when this gateway stops. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../kube/clock/clock.ts';
import { TimerQueue } from '../../kube/clock/timer-queue.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { Admission } from '../admission/admission.ts';
import { countByState } from '../count-by-state.ts';
import { Members, type Member } from '../members.ts';
import type { CloseReason, Fleet, Relay, TenantRef } from '../model.ts';
import { pausedMessage, type Pauses } from '../pauses.ts';
import { ClientConnection } from './connection.ts';
import { FrameMemory, frameLimits } from './frame-memory.ts';
import { Keepalive } from './keepalive.ts';
import { LeftMemory } from './left-memory.ts';
import type { HalfOpen, HalfOpenSlot } from './half-open.ts';
import {
  CLIENT_LIMITS,
  CloseCause,
  type ClientInfo,
  type ClientLimits,
  type ClientObserver,
  type ClientSummary,
} from './model.ts';
import type { ClientState } from './state.ts';
import { Rates } from './rates.ts';
import { UnreadMemory, unreadLimits } from './unread-memory.ts';

/** What is needed to serve clients. */
export interface ClientsOptions {
  readonly admission: Admission;
  readonly relay: Relay;
  readonly fleet: Pick<Fleet, 'onChange' | 'find'>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly halfOpen: HalfOpen;
  readonly observer: ClientObserver;
  /** Clients at once. */
  readonly maxClients: number;
  /** Which tenants get no further clients. */
  readonly pauses: Pick<Pauses, 'isPaused'>;
  /** Admitted clients of one tenant at once; one more is told to try again later. */
  readonly maxPerTenant: number;
  /** Within how many ms an admitted client is sent something, a message without content if need be; undefined: no such messages. */
  readonly keepaliveMs?: number | undefined;
  readonly limits?: Partial<ClientLimits> | undefined;
  /** Bytes that all clients together may have yet to read. */
  readonly maxUnreadBytes: number;
  /** Where they are counted, if also others are; default: its own. */
  readonly unread?: UnreadMemory | undefined;
  /** Gives memory back that the process does not use, which stops it for a moment; undefined: it cannot. */
  readonly giveBackMemory?: (() => void) | undefined;
}

/** How this gateway lets its clients go: SDKs do not connect again by themselves, so they get time to leave. */
export interface DrainOptions {
  /** ms for which clients may stay. */
  readonly leaveMs: number;
  /** ms after that, in which clients are closed at the end of a turn, those that are idle spread over its first half, and all at its end. */
  readonly closeMs: number;
}

/** How often clients of which something is under way are looked at, ms. */
const DRAIN_LOOK_MS = 250;

const DRAINED: CloseReason = { reason: CloseCause.Drained, message: 'this gateway stops' };
const KICKED: CloseReason = {
  reason: CloseCause.Kicked,
  message: 'an administrator has closed the connections of the tenant',
};
const LATE: CloseReason = { reason: CloseCause.DrainDeadline, message: 'this gateway stops, and waited long enough' };

/** An admitted client among those of its tenant. */
interface Joined {
  readonly key: string;
  readonly others: Members<ClientConnection>;
  readonly member: Member<ClientConnection>;
}

/** The clients of this process. */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #limits: ClientLimits;
  readonly #timers: TimerQueue;
  readonly #memory: FrameMemory;
  readonly #unread: UnreadMemory;
  readonly #rates: Rates;
  readonly #all = new Members<ClientConnection>();
  /** Those that are admitted, by `namespace/name` of the tenant. */
  readonly #byTenant = new Map<string, Members<ClientConnection>>();
  readonly #endListening: () => void;
  readonly #keepalive: Keepalive | undefined;
  readonly #left: LeftMemory | undefined;
  #lastId = 0;
  #isDraining = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#limits = { ...CLIENT_LIMITS, ...options.limits };
    this.#timers = new TimerQueue(options.clock);
    this.#memory = new FrameMemory(frameLimits(options.maxClients));
    const { keepaliveMs, giveBackMemory } = options;
    this.#left = giveBackMemory && new LeftMemory(this.#timers, giveBackMemory);
    this.#keepalive = keepaliveMs === undefined ? undefined : new Keepalive(this.#timers, keepaliveMs, this.#all);
    this.#unread = options.unread ?? new UnreadMemory(unreadLimits(options.maxUnreadBytes, options.maxClients));
    this.#rates = new Rates({ clock: options.clock, ratesOf: (tenant) => options.fleet.find(tenant)?.rates });
    this.#endListening = options.fleet.onChange((tenant) => this.#recheck(tenant));
  }

  get size(): number {
    return this.#all.size;
  }

  /** Connections by state, for metrics. */
  count(): ReadonlyMap<ClientState, number> {
    return countByState(this.#all);
  }

  /** All of them, admitted or not, in the order of their connection. */
  list(): ClientSummary[] {
    return Array.from(this.#all, (connection) => connection.summary);
  }

  /** Serves a connection that was accepted. `slot` is its place among those that are not admitted. */
  open(stream: Duplex, address: string, slot: HalfOpenSlot): void {
    const { admission, relay, clock, halfOpen, observer } = this.#options;
    this.#lastId += 1;
    let joined: Joined | undefined;
    const connection: ClientConnection = new ClientConnection({
      id: this.#lastId,
      address,
      stream,
      admission,
      relay,
      clock,
      timers: this.#timers,
      limits: this.#limits,
      memory: this.#memory,
      unread: this.#unread,
      rates: this.#rates,
      noRoom: (tenant) => this.#noRoom(tenant),
      observer: {
        denied: (client, denial) => observer.denied(client, denial),
        receivedFrame: () => observer.receivedFrame(),
        sent: (bytes, frames) => observer.sent(bytes, frames),
        oversize: () => observer.oversize(),
        rateExceeded: (rule) => observer.rateExceeded(rule),
        received: (bytes) => {
          halfOpen.received(slot, bytes);
          observer.received(bytes);
        },
        admitted: (client) => {
          halfOpen.remove(slot);
          joined = this.#join(connection, client);
          observer.admitted(client);
        },
        closed: (client, reason) => {
          halfOpen.remove(slot);
          this.#all.remove(member);
          this.#left?.count(this.#all.size);
          if (joined !== undefined) this.#leave(joined);
          observer.closed(client, reason);
        },
      },
    });
    slot.handOver(() =>
      connection.close({ reason: CloseCause.Crowded, message: 'too many connections are not admitted' }),
    );
    const member = this.#all.add(connection);
    this.#left?.count(this.#all.size);
    // It was in a handshake when the listening sockets were closed.
    if (this.#isDraining) connection.drain();
  }

  /** Lets the clients go, and resolves when all are gone. */
  async drain({ leaveMs, closeMs }: DrainOptions): Promise<void> {
    const { clock, random } = this.#options;
    this.#isDraining = true;
    const closeFrom = clock.monotonic() + leaveMs;
    const closeAt = new Map<ClientConnection, number>();
    for (const connection of this.#all) {
      connection.drain();
      closeAt.set(connection, closeFrom + (random() * closeMs) / 2);
    }
    while (this.#all.size > 0) {
      const now = clock.monotonic();
      if (now >= closeFrom + closeMs) this.closeAll();
      for (const [connection, at] of closeAt) {
        if (now >= at) connection.leave(DRAINED);
      }
      await clock.sleep(DRAIN_LOOK_MS);
    }
    this.#endListening();
    this.#keepalive?.stop();
    this.#left?.stop();
  }

  /** Closes all at once. */
  closeAll(): void {
    for (const connection of this.#all) connection.close(LATE);
  }

  /** Closes the clients of a tenant, who may connect again. Returns how many they were. */
  kick(tenant: TenantRef): number {
    const clients = [...(this.#byTenant.get(keyOf(tenant)) ?? [])];
    for (const connection of clients) connection.close(KICKED);
    return clients.length;
  }

  #noRoom(tenant: TenantRef): CloseReason | undefined {
    const { maxPerTenant, pauses } = this.#options;
    if (pauses.isPaused(tenant)) return { reason: CloseCause.TenantPaused, message: pausedMessage(tenant) };
    if ((this.#byTenant.get(keyOf(tenant))?.size ?? 0) < maxPerTenant) return undefined;
    const message = `tenant ${keyOf(tenant)} has ${maxPerTenant} clients at this gateway, as many as it may have`;
    return { reason: CloseCause.TenantFull, message };
  }

  #join(connection: ClientConnection, { identity }: ClientInfo): Joined | undefined {
    if (identity === undefined) return undefined;
    const key = keyOf(identity.tenant);
    const others = this.#byTenant.get(key) ?? new Members();
    this.#byTenant.set(key, others);
    return { key, others, member: others.add(connection) };
  }

  #leave({ key, others, member }: Joined): void {
    others.remove(member);
    if (others.size === 0) this.#byTenant.delete(key);
  }

  #recheck(tenant: TenantRef): void {
    this.#rates.changed(tenant);
    for (const connection of this.#byTenant.get(keyOf(tenant)) ?? []) connection.recheck();
  }
}
