/** The metrics of the coordination store, as this replica of the gateway sees it. */
import type { Counter, Histogram, Registry } from 'prom-client';
import {
  OPERATION_RESULTS,
  OPERATIONS,
  type CoordinationObserver,
  type Operation,
  type OperationResult,
} from '../locks/observer.ts';
import { UNAVAILABLE_REASONS, type Availability } from '../locks/store.ts';
import { Series } from './series.ts';

/** Seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Registers and counts. */
export class CoordinationMetrics implements CoordinationObserver {
  readonly #series: Series;
  readonly #operations: Counter<'operation' | 'result'>;
  readonly #seconds: Histogram;

  constructor(registry: Registry) {
    const series = new Series(registry, 'copilot_coordination_');
    this.#series = series;
    this.#operations = series.counter('operations_total', 'Operations on records of sessions, by what came of them', {
      operation: OPERATIONS,
      result: OPERATION_RESULTS,
    });
    this.#seconds = series.histogram(
      'operation_seconds',
      'How long operations took that the coordination store has answered',
      BUCKETS,
    );
  }

  /** `availability` is read at each scrape. */
  watch(store: { readonly availability: Availability }): void {
    this.#series.gauge('available', '1 if the coordination store answers, or nothing was asked of it yet; else 0', () =>
      Number(store.availability.state !== 'Unavailable'),
    );
    this.#series.flags(
      'unavailable',
      'Why the coordination store cannot be used: 1 for the reason',
      'reason',
      UNAVAILABLE_REASONS,
      () => (store.availability.state === 'Unavailable' ? [store.availability.reason] : []),
    );
  }

  operated(operation: Operation, result: OperationResult, seconds: number): void {
    this.#operations.inc({ operation, result });
    if (result === 'Done' || result === 'Lost') this.#seconds.observe(seconds);
  }
}
