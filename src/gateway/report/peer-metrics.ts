/** The metrics of the replicas of the gateway: who knows whom, and whose home each of them is. */
import type { Counter, Registry } from 'prom-client';
import { CLAIM_RESULTS, type ClaimResult, type PeerObserver } from '../peers/peer-observer.ts';
import { Series } from './series.ts';

/** Registers and counts. */
export class PeerMetrics implements PeerObserver {
  readonly #series: Series;
  readonly #searches: Counter<'result'>;
  readonly #fenced: Counter;

  constructor(registry: Registry) {
    const series = new Series(registry);
    this.#series = series;
    this.#searches = series.counter(
      'home_searches_total',
      'Times that other replicas were asked for the home of a tenant, by what was found: this replica, another one, or nothing in time',
      { result: CLAIM_RESULTS },
    );
    this.#fenced = series.counter(
      'fenced_total',
      'Times that this replica gave up all tenants, because others might have taken it for dead',
    );
  }

  /** `counts` is read at each scrape. */
  watch(peers: { readonly counts: { readonly members: number; readonly homes: number } }): void {
    this.#series.gauge(
      'peers',
      'Other replicas that this one knows and does not take for dead',
      () => peers.counts.members,
    );
    this.#series.gauge('homes', 'Tenants whose home this replica is', () => peers.counts.homes);
  }

  claimed(result: ClaimResult): void {
    this.#searches.inc({ result });
  }

  fenced(): void {
    this.#fenced.inc();
  }
}
