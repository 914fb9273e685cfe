import type { Logger } from 'pino';
import { DialPacer } from '../dial-pacer.ts';
import type { Dial } from '../../copilot/index.ts';
import type { HealthSource, HealthTarget, ServerHealth } from './health.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { TimerQueue } from '../../kube/clock/timer-queue.ts';
import { Monitor, type CheckObserver, type MonitorContext } from './monitor.ts';

export interface PingerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** Given the end of each check, for metrics; default: nobody. */
  readonly observe?: CheckObserver;
  /** How connections are made; default TCP. */
  readonly dial?: Dial;
}

/**
 * Pings every server over one long-lived connection each and tells only of transitions. It is the health that a probe
 * of the kubelet can't tell: whether the server behind the open port answers.
 */
export class Pinger implements HealthSource {
  readonly #log: Pick<Logger, 'info' | 'error'>;
  readonly #context: MonitorContext;
  readonly #monitors = new Map<string, { target: HealthTarget; readonly monitor: Monitor }>();
  readonly #listeners: ((key: string, health: ServerHealth) => void)[] = [];
  #closed = false;

  constructor({ clock, random, log, dial, observe = () => undefined }: PingerOptions) {
    this.#log = log;
    this.#context = {
      clock,
      random,
      timers: new TimerQueue(clock),
      pacer: new DialPacer(),
      dial,
      observe,
      tell: (key, health) => this.#tell(key, health),
    };
  }

  set(target: HealthTarget): void {
    if (this.#closed) throw new Error(`pinger: set(${target.key}) after close()`);
    const watched = this.#monitors.get(target.key);
    if (watched === undefined) {
      this.#monitors.set(target.key, { target, monitor: new Monitor(target, this.#context) });
    } else if (!sameTarget(watched.target, target)) {
      watched.target = target;
      watched.monitor.adopt(target);
    }
  }

  remove(key: string): void {
    this.#monitors.get(key)?.monitor.stop();
    this.#monitors.delete(key);
  }

  get(key: string): ServerHealth {
    return this.#monitors.get(key)?.monitor.health ?? { state: 'Unknown' };
  }

  onTransition(fn: (key: string, health: ServerHealth) => void): void {
    this.#listeners.push(fn);
  }

  /** Watched servers by state (or reason, when unhealthy), for a gauge. A state without servers is absent. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { monitor } of this.#monitors.values()) {
      const { health } = monitor;
      const state = health.state === 'Unhealthy' ? health.reason : health.state;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return counts;
  }

  /** Stops everything and closes all connections. */
  close(): void {
    this.#closed = true;
    for (const key of this.#monitors.keys()) this.remove(key);
  }

  #tell(key: string, health: ServerHealth): void {
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

function sameTarget(a: HealthTarget, b: HealthTarget): boolean {
  return (Object.keys(a) as (keyof HealthTarget)[]).every((field) => a[field] === b[field]);
}
