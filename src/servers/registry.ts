/** The known servers, each set once for all who use it. */
import type { Dial } from '../copilot/index.ts';
import type { Clock, Random } from '../kube/clock/clock.ts';
import { TimerQueue } from '../kube/clock/timer-queue.ts';
import type { ConnectionContext } from './connection.ts';
import { DialPacer } from './dial-pacer.ts';
import { Server, type ServerTarget, type ServerUpdate } from './server.ts';

export interface RegistryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How connections are made; default TCP. */
  readonly dial?: Dial | undefined;
}

/** What the users of the servers share. */
export interface RegistryContext extends ConnectionContext {
  readonly timers: TimerQueue;
  readonly clock: Clock;
  readonly random: Random;
}

/** A user of all servers, such as the pinger. */
export interface RegistryListener {
  onAdded(server: Server): void;
  onUpdated(server: Server, update: ServerUpdate): void;
  /** The server is not in the registry any more, and its connection is closed. */
  onRemoved(server: Server): void;
}

/**
 * The servers by key, `namespace/server`. The tenant controller sets and removes them; the pinger and the survey listen,
 * and share the one connection to each.
 */
export class ServerRegistry {
  readonly context: RegistryContext;
  readonly #servers = new Map<string, Server>();
  readonly #listeners: RegistryListener[] = [];
  #closed = false;

  constructor({ clock, random, dial }: RegistryOptions) {
    this.context = { clock, random, dial, timers: new TimerQueue(clock), pacer: new DialPacer() };
  }

  get servers(): Iterable<Server> {
    return this.#servers.values();
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Adds a server, or takes over changed values. Calling it again with equal values does nothing. */
  set(target: ServerTarget): void {
    const { key } = target;
    if (this.#closed) throw new Error(`registry: set(${key}) after close()`);
    const known = this.#servers.get(key);
    if (known !== undefined && known.target.podUID === target.podUID) {
      const update = known.update(target);
      if (update !== undefined) for (const listener of this.#listeners) listener.onUpdated(known, update);
      return;
    }
    // What is known of one pod's server says nothing about the next one's.
    this.remove(key);
    // A listener may have set the server again, which it was just notified of.
    if (this.#servers.has(key)) return this.set(target);
    const server = new Server(target, this.context);
    this.#servers.set(key, server);
    for (const listener of this.#listeners) listener.onAdded(server);
  }

  /** Removes a server and closes its connection. An unknown key is fine. */
  remove(key: string): void {
    const server = this.#servers.get(key);
    if (server === undefined) return;
    this.#servers.delete(key);
    server.connection.close();
    for (const listener of this.#listeners) listener.onRemoved(server);
  }

  get(key: string): Server | undefined {
    return this.#servers.get(key);
  }

  /** Adds a listener, which is given the servers that are known already as well. */
  listen(listener: RegistryListener): void {
    this.#listeners.push(listener);
    for (const server of this.#servers.values()) listener.onAdded(server);
  }

  /** Removes all servers, and takes no more. */
  close(): void {
    this.#closed = true;
    for (const key of this.#servers.keys()) this.remove(key);
  }
}
