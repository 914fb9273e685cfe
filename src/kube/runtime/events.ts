/** Records Kubernetes events. */
import type { Logger } from 'pino';
import { Backoff } from '../clock/backoff.ts';
import type { Clock, Random } from '../clock/clock.ts';
import { CoreEvent } from '../types/builtins.ts';
import {
  isAlreadyExists,
  isNamespaceTerminating,
  isNotFound,
  isServerError,
  isTooManyRequests,
  TransportError,
} from '../types/errors.ts';
import { timestamp } from '../types/time.ts';
import type { KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import type { Cause } from '../write/conditions.ts';
import { EventCorrelator, type Series } from './event-correlator.ts';
import { LeadershipLostError } from './leader-election.ts';
import type { Metrics } from './metrics.ts';

/** The two types of events. */
export type EventType = 'Normal' | 'Warning';

/** The content of an event about an object. */
export interface EventContent extends Cause {
  readonly type: EventType;
}

/** What a recorder needs. */
export interface EventRecorderOptions {
  client: Pick<KubeClient, 'create' | 'patch'>;
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** The reporting component: the name of the program. */
  component: string;
  /** The reporting instance: the name of the pod. */
  instance: string;
}

/** A Normal event for a cause. */
export function normal({ reason, message }: Cause): EventContent {
  return { type: 'Normal', reason, message };
}

/** A Warning event for a cause. */
export function warning({ reason, message }: Cause): EventContent {
  return { type: 'Warning', reason, message };
}

/** Series that wait to be written; further ones are dropped and counted. */
const MAX_PENDING = 1_000;
/** Attempts to write one event while the API server is down or busy. */
const MAX_ATTEMPTS = 6;
const RETRY = { baseMs: 1_000, maxMs: 30_000 };
/** Limit of the API. */
const MAX_MESSAGE_LENGTH = 1_024;

/**
 * Records events about objects, in their namespaces.
 *
 * It writes core/v1 events and not events.k8s.io/v1: both have the same storage, but an event written through the new API has
 * no `lastTimestamp` and no `count`, by which `kubectl describe`, Argo CD and most viewers sort and count.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #correlator: EventCorrelator;
  readonly #pending = new Set<Series>();
  readonly #stop = new AbortController();
  #writing: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#correlator = new EventCorrelator(options.clock);
  }

  /** Never waits and never throws: an event is less important than the reconcile that records it. */
  event(object: KubeObject, type: EventType, reason: string, message: string): void {
    const series = this.#correlator.observe(object, type, reason, message.slice(0, MAX_MESSAGE_LENGTH).toWellFormed());
    if (!series || this.#stop.signal.aborted || (this.#pending.size >= MAX_PENDING && !this.#pending.has(series))) {
      this.#options.metrics.event('dropped');
      return;
    }
    this.#pending.add(series);
    this.#startWriting();
  }

  /** Writes the waiting events, for `deadlineMs` at most; further ones are dropped. */
  async close(deadlineMs: number): Promise<void> {
    const timer = this.#options.clock.setTimer(deadlineMs, () => this.#stop.abort());
    while (this.#writing !== undefined) await this.#writing;
    timer.cancel();
    this.#stop.abort();
  }

  #startWriting(): void {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
      // An event recorded after the writer last looked and before this line found a writer that had ended.
      if (this.#pending.size > 0) this.#startWriting();
    });
  }

  async #writeAll(): Promise<void> {
    for (let series = first(this.#pending); series; series = first(this.#pending)) {
      // Removed before it is written: another occurrence meanwhile adds it again, with its new count.
      this.#pending.delete(series);
      if (this.#stop.signal.aborted) this.#options.metrics.event('dropped');
      else await this.#writeWithRetries(series);
    }
  }

  async #writeWithRetries(series: Series): Promise<void> {
    const { clock, log, metrics, random } = this.#options;
    const backoff = new Backoff(RETRY, random);
    for (let attempt = 1; ; attempt++) {
      try {
        metrics.event(await this.#write(series));
        return;
      } catch (error) {
        if (error instanceof LeadershipLostError || isNamespaceTerminating(error) || this.#stop.signal.aborted) {
          metrics.event('dropped');
          return;
        }
        const transient = error instanceof TransportError || isTooManyRequests(error) || isServerError(error);
        if (!transient || attempt === MAX_ATTEMPTS) {
          metrics.event('failed');
          const { reason, message, object } = series;
          log.warn({ err: error, reason, message, regarding: object.name }, 'failed to write an event');
          return;
        }
        await clock.sleep(backoff.next(), this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #write(series: Series): Promise<'created' | 'patched'> {
    if (series.eventName !== undefined) {
      try {
        await this.#patch(series, series.eventName);
        return 'patched';
      } catch (error) {
        // Events expire after an hour: the series continues with a new one.
        if (!isNotFound(error)) throw error;
      }
    }
    const name = series.nextEventName(this.#options.random);
    try {
      await this.#create(series, name);
    } catch (error) {
      // An earlier attempt succeeded and only its response was lost.
      if (!isAlreadyExists(error)) throw error;
      await this.#patch(series, name);
    }
    series.eventName = name;
    return 'created';
  }

  async #create(series: Series, name: string): Promise<void> {
    const { component, instance, client } = this.#options;
    const { object, type, reason } = series;
    const event: CoreEvent = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: series.namespace },
      involvedObject: object,
      type,
      reason,
      firstTimestamp: timestamp(series.firstAt),
      source: { component, host: instance },
      reportingComponent: component,
      reportingInstance: instance,
      ...changing(series),
    };
    await client.create(CoreEvent, event, { signal: this.#stop.signal });
  }

  async #patch(series: Series, name: string): Promise<void> {
    const contentType = 'application/merge-patch+json';
    const ref = { namespace: series.namespace, name };
    await this.#options.client.patch(CoreEvent, ref, changing(series), { contentType, signal: this.#stop.signal });
  }
}

/** The fields of an event that change when it occurs again. */
function changing({ count, lastAt, message }: Series): Pick<CoreEvent, 'count' | 'lastTimestamp' | 'message'> {
  return { count, lastTimestamp: timestamp(lastAt), message };
}

function first<T>(set: Set<T>): T | undefined {
  const next = set.values().next();
  return next.done ? undefined : next.value;
}
