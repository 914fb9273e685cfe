/** The pinger: the health of all servers. */
import type { Logger } from 'pino';
import type { RegistryListener, ServerRegistry } from '../registry.ts';
import type { Server, ServerHealth, ServerUpdate } from '../server.ts';
import type { HealthSource } from './health.ts';
import { Monitor, type CheckObserver, type MonitorContext } from './monitor.ts';

export interface PingerOptions {
  /** The servers to ping. */
  readonly servers: ServerRegistry;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** Called at the end of each check, for metrics; default: not at all. */
  readonly observe?: CheckObserver;
}

/**
 * Pings every server and reports only transitions. It finds what a probe of the kubelet can't: whether the server behind the
 * open port answers.
 */
export class Pinger implements HealthSource {
  readonly #log: Pick<Logger, 'info' | 'error'>;
  readonly #servers: ServerRegistry;
  readonly #monitors = new Map<Server, Monitor>();
  readonly #listeners: ((key: string, health: ServerHealth) => void)[] = [];

  constructor({ servers, log, observe = () => undefined }: PingerOptions) {
    this.#log = log;
    this.#servers = servers;
    const context: MonitorContext = {
      ...servers.context,
      observe,
      onTransition: (key, health) => this.#notify(key, health),
    };
    const listener: RegistryListener = {
      onAdded: (server) => void this.#monitors.set(server, new Monitor(server, context)),
      onUpdated: (server: Server, update: ServerUpdate) => this.#monitors.get(server)?.update(update),
      onRemoved: (server) => {
        this.#monitors.get(server)?.stop();
        this.#monitors.delete(server);
      },
    };
    servers.listen(listener);
  }

  get(key: string): ServerHealth {
    return this.#servers.get(key)?.health ?? { state: 'Unknown' };
  }

  onTransition(fn: (key: string, health: ServerHealth) => void): void {
    this.#listeners.push(fn);
  }

  /** Servers by state (or reason, when unhealthy), for a gauge. A state without servers is absent. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { health } of this.#servers.servers) {
      const state = health.state === 'Unhealthy' ? health.reason : health.state;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return counts;
  }

  #notify(key: string, health: ServerHealth): void {
    this.#log.info({ server: key, health }, `server is ${health.state}`);
    for (const listener of this.#listeners) {
      try {
        listener(key, health);
      } catch (error) {
        // The next server's health must not depend on it.
        this.#log.error({ err: error, server: key }, 'a listener of health transitions failed');
      }
    }
  }
}
