/** The metrics of several replicas: clients that are served by another one than they are connected to, and what became of homes. */
import type { Counter, Registry } from 'prom-client';
import {
  CLIENT_MOVES,
  HOME_ENDS,
  RESTORATIONS,
  type ClientMove,
  type ForwardObserver,
  type HomeEnd,
  type Restoration,
} from '../forward/observer.ts';
import type { RoutedRelay } from '../forward/routed-relay.ts';
import { Series } from './series.ts';

/** `ToPeer`: connected to this replica and served by another one. `FromPeer`: the other way round. */
const DIRECTIONS = ['ToPeer', 'FromPeer'] as const;

/** Registers and counts. */
export class ForwardMetrics implements ForwardObserver {
  readonly #series: Series;
  readonly #moves: Counter<'reason'>;
  readonly #homes: Counter<'reason'>;
  readonly #restored: Counter<'result'>;

  constructor(registry: Registry) {
    const series = new Series(registry);
    this.#series = series;
    this.#moves = series.counter(
      'client_moves_total',
      'Clients that went on at another replica, which serves them now, by reason',
      { reason: CLIENT_MOVES },
    );
    this.#homes = series.counter('home_ends_total', 'Tenants that this replica has given up, by reason', {
      reason: HOME_ENDS,
    });
    this.#restored = series.counter(
      'restored_sessions_total',
      'Sessions that clients were attached to again after a move, by result',
      { result: RESTORATIONS },
    );
  }

  /** `relay` is asked at each scrape. */
  watch(relay: Pick<RoutedRelay, 'counts'>): void {
    this.#series.states(
      'forwarded_clients',
      'Clients that are connected to one replica and served by another, by direction',
      DIRECTIONS,
      () => new Map([['ToPeer', relay.counts.toPeers] as const, ['FromPeer', relay.counts.fromPeers] as const]),
    );
  }

  clientMoved(reason: ClientMove): void {
    this.#moves.inc({ reason });
  }

  homeEnded(reason: HomeEnd): void {
    this.#homes.inc({ reason });
  }

  sessionRestored(result: Restoration): void {
    this.#restored.inc({ result });
  }
}
