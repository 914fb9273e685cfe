/**
 * Aggregates and rate-limits Kubernetes events before they are written, with the rules of client-go's EventCorrelator.
 */
import type { Clock, Random } from '../clock/clock.ts';
import type { KubeObject } from '../types/types.ts';
import { LruMap } from '../cache/lru.ts';

/** `involvedObject` of an event. */
export interface EventObject {
  apiVersion: string;
  kind: string;
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
}

// As in client-go.
const MAX_TRACKED = 4_096;
/** Different messages of one reason within the interval; further ones become one event. */
const MAX_SIMILAR = 10;
const SIMILAR_INTERVAL_MS = 600_000;
/** Events of one object at once; after that, one more every five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;

/** An event and how often it occurred. */
export class Series {
  readonly object: EventObject;
  readonly type: string;
  readonly reason: string;
  message: string;
  count = 0;
  /** Wall-clock ms. */
  firstAt: number;
  lastAt: number;
  /** Name of the Event object of the series, once it exists. */
  eventName: string | undefined;
  #nextName: string | undefined;

  constructor(object: EventObject, type: string, reason: string, message: string, now: number) {
    this.object = object;
    this.type = type;
    this.reason = reason;
    this.message = message;
    this.firstAt = now;
    this.lastAt = now;
  }

  /** Events of cluster-scoped objects are in `default`, as usual. */
  get namespace(): string {
    return this.object.namespace ?? 'default';
  }

  /** The same until an Event of that name exists, so that a retried create can't create two. */
  nextEventName(random: Random): string {
    if (this.#nextName === undefined || this.#nextName === this.eventName) {
      const suffix = `${this.lastAt.toString(16)}${Math.floor(random() * 2 ** 52).toString(16)}`;
      this.#nextName = `${this.object.name.slice(0, 200)}.${suffix}`;
    }
    return this.#nextName;
  }
}

interface Similar {
  since: number;
  messages: Set<string>;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Decides for each event: a new one, one more of a series, or dropped because its object has too many. */
export class EventCorrelator {
  readonly #clock: Clock;
  readonly #series = new LruMap<string, Series>(MAX_TRACKED);
  readonly #similar = new LruMap<string, Similar>(MAX_TRACKED);
  readonly #buckets = new LruMap<string, Bucket>(MAX_TRACKED);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The series of the event, which is counted in it; `undefined` if its object has used up its events. */
  observe(object: KubeObject, type: string, reason: string, message: string): Series | undefined {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const id = uid ?? `${object.kind} ${namespace ?? ''}/${name}`;
    if (!this.#takeToken(id)) return undefined;
    const combined = this.#isOneOfTooMany(`${id} ${type} ${reason}`, message);
    const key = combined ? `${id} ${type} ${reason}` : `${id} ${type} ${reason} ${message}`;
    const now = this.#clock.now();
    let series = this.#series.get(key);
    if (!series) {
      const { apiVersion, kind } = object;
      const regarding = {
        apiVersion,
        kind,
        name,
        ...(namespace && { namespace }),
        ...(uid && { uid }),
        ...(resourceVersion && { resourceVersion }),
      };
      series = new Series(regarding, type, reason, message, now);
      this.#series.set(key, series);
    }
    if (combined) series.message = `(combined from similar events): ${message}`;
    series.count += 1;
    series.lastAt = now;
    return series;
  }

  #takeToken(id: string): boolean {
    const now = this.#clock.monotonic();
    const bucket = this.#buckets.get(id) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, bucket.tokens + (now - bucket.at) / REFILL_MS);
    const taken = tokens >= 1;
    this.#buckets.set(id, { tokens: taken ? tokens - 1 : tokens, at: now });
    return taken;
  }

  #isOneOfTooMany(key: string, message: string): boolean {
    const now = this.#clock.monotonic();
    let similar = this.#similar.get(key);
    if (!similar || now - similar.since > SIMILAR_INTERVAL_MS) similar = { since: now, messages: new Set() };
    if (similar.messages.size <= MAX_SIMILAR) similar.messages.add(message);
    this.#similar.set(key, similar);
    return similar.messages.size > MAX_SIMILAR;
  }
}
