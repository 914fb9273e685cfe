/** The metrics of the relay: traffic with servers, turns, and what became of calls that did not just pass. */
import type { Counter, Histogram, Registry } from 'prom-client';
import { countByState } from '../count-by-state.ts';
import { SERVER_STATES, SESSION_STATES, type Relay } from '../model.ts';
import { WAIT_TYPES } from '../relay/journal/events.ts';
import {
  CALL_REFUSALS,
  DRAIN_ENDS,
  FAILOVER_RESULTS,
  HELD_ENDS,
  QUEUE_ENDS,
  RESTORE_RESULTS,
  SEARCH_ENDS,
  SERVER_ENDS,
  TURN_ENDS,
  WAKE_ENDS,
  type CallRefusal,
  type DrainEnd,
  type FailoverResult,
  type HeldEnd,
  type QueueEnd,
  type RelayObserver,
  type RestoreResult,
  type SearchEnd,
  type ServerEnd,
  type TurnEnd,
  type WakeEnd,
} from '../relay/observer.ts';
import { ASKED_METHODS } from '../relay/asking/requests.ts';
import { Series, oncePerScrape } from './series.ts';
import { loadOfServers } from './server-load.ts';

/** Seconds. A server that only restarts is back in one or two; the last one is the time for which clients wait. */
const FAILOVER_BUCKETS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

/** Registers and counts. */
export class RelayMetrics implements RelayObserver {
  readonly #series: Series;
  /** Thousands of times between two scrapes. */
  readonly #traffic = { receivedFrames: 0, receivedBytes: 0, sentFrames: 0, sentBytes: 0, dropped: 0 };
  readonly #scraped = new WeakMap<object, Pick<Relay, 'sessions' | 'servers'>>();
  readonly #oversize: Counter;
  readonly #dials: Counter<'result'>;
  readonly #disconnected: Counter<'reason'>;
  readonly #failovers: Counter<'result'>;
  readonly #failoverSeconds: Histogram;
  readonly #restored: Counter<'result'>;
  readonly #turns: Counter<'result'>;
  readonly #drains: Counter<'result'>;
  readonly #evicted: Counter;
  readonly #woken: Counter<'result'>;
  readonly #wakeSeconds: Histogram;
  readonly #held: Counter<'result'>;
  readonly #queued: Counter<'result'>;
  readonly #refused: Counter<'reason'>;
  readonly #searches: Counter<'result'>;
  readonly #unattended: Counter<'asked'>;
  readonly #hooksPassed: Counter;

  constructor(registry: Registry) {
    const series = new Series(registry);
    this.#series = series;
    const traffic = this.#traffic;
    const read = (name: string, help: string, key: keyof typeof traffic) =>
      series.tally(name, help, () => traffic[key]);
    read('server_received_frames_total', 'Frames that servers have sent', 'receivedFrames');
    read('server_received_bytes_total', 'Bytes of the bodies of frames that servers have sent', 'receivedBytes');
    read('server_sent_frames_total', 'Frames that were written to servers', 'sentFrames');
    read('server_sent_bytes_total', 'Bytes of the bodies of frames that were written to servers', 'sentBytes');
    read(
      'dropped_events_total',
      'Events that clients which read too slowly were not sent; a later event has all that is in them',
      'dropped',
    );
    this.#oversize = series.counter(
      'server_oversize_frames_total',
      'Frames of servers that were skipped because of their size',
    );
    this.#dials = series.counter('server_dials_total', 'Attempts to connect to a server, by result', {
      result: ['Connected', ...SERVER_ENDS],
    });
    this.#disconnected = series.counter('server_disconnects_total', 'Connections to servers that ended, by reason', {
      reason: SERVER_ENDS,
    });
    this.#failovers = series.counter(
      'failovers_total',
      'Servers that were lost while clients used them, by whether their sessions were restored',
      { result: FAILOVER_RESULTS },
    );
    this.#failoverSeconds = series.histogram(
      'failover_seconds',
      'Time from the loss of a server until its sessions were restored, or given up',
      FAILOVER_BUCKETS,
    );
    this.#restored = series.counter(
      'failover_sessions_total',
      'Sessions of lost servers, by what became of them: no turn ran, the turn was over, ran on, was continued, or a prompt was sent again',
      { result: RESTORE_RESULTS },
    );
    this.#turns = series.counter('turns_total', 'Turns that ended, by how', { result: TURN_ENDS });
    this.#drains = series.counter(
      'drains_total',
      'Drains of servers that this replica was connected to, by how they ended',
      { result: DRAIN_ENDS },
    );
    this.#evicted = series.counter(
      'evicted_sessions_total',
      'Sessions that nobody used and that were unloaded, because as many as the tenant allows were in memory; their next use loads them again',
    );
    this.#woken = series.counter(
      'woken_calls_total',
      'Calls that waited for a tenant that sleeps, by what became of them',
      { result: WAKE_ENDS },
    );
    this.#wakeSeconds = series.histogram(
      'wake_seconds',
      'Time for which calls waited until their tenant was awake',
      FAILOVER_BUCKETS,
    );
    this.#held = series.counter(
      'held_prompts_total',
      "Prompts that had to wait for another client's turn, by what became of them",
      {
        result: HELD_ENDS,
      },
    );
    this.#queued = series.counter(
      'queued_prompts_total',
      'Prompts that had to wait because their server ran as many turns as the tenant allows, by what became of them',
      { result: QUEUE_ENDS },
    );
    this.#refused = series.counter(
      'refused_calls_total',
      'Calls that were refused although their method is allowed, by reason',
      {
        reason: CALL_REFUSALS,
      },
    );
    this.#searches = series.counter(
      'searches_total',
      'Times that all servers of a tenant with several were asked for a session, or for all of their sessions, by whether they answered',
      { result: SEARCH_ENDS },
    );
    this.#unattended = series.counter(
      'unattended_total',
      'Events and requests of servers that the gateway answered because no client was there to do it, by type or method',
      { asked: [...WAIT_TYPES, ...ASKED_METHODS] },
    );
    this.#hooksPassed = series.counter(
      'passed_hooks_total',
      'Hooks that servers went on to ask for after the clients that declared hooks had left, answered with no opinion',
    );
  }

  /** The series of every server, which tell who has tenants and how much they are used. `relay` is asked at each scrape. */
  watchServers(relay: Pick<Relay, 'sessions' | 'servers'>): void {
    const { sessions, servers } = this.#scrapedOf(relay);
    const loads = oncePerScrape(() => loadOfServers(servers(), sessions()));
    const labels = ['tenant_namespace', 'tenant', 'server'] as const;
    this.#series.each(
      'server_turns',
      'Turns that run on the server, and sessions whose prompt waits for one; only with --server-metrics',
      labels,
      () => loads().map(({ turns: value, labels }) => ({ labels, value })),
    );
    this.#series.each(
      'server_sessions',
      'Sessions of clients that the server has in memory; only with --server-metrics',
      labels,
      () => loads().map(({ sessions: value, labels }) => ({ labels, value })),
    );
  }

  /** `relay` is asked at each scrape. */
  watch(relay: Pick<Relay, 'sessions' | 'servers'>): void {
    const { sessions, servers } = this.#scrapedOf(relay);
    this.#series.states(
      'sessions',
      'Sessions that clients are attached to, or were a moment ago, by state',
      SESSION_STATES,
      () => countByState(sessions()),
    );
    this.#series.gauge('held_prompts', "Prompts that wait for another client's turn in their session now", () =>
      sessions().reduce((sum, { heldPrompts }) => sum + heldPrompts, 0),
    );
    this.#series.states('servers', 'Servers that clients were routed to, by connection', SERVER_STATES, () =>
      countByState(servers()),
    );
  }

  /** What the relay says, which several metrics are read from. */
  #scrapedOf(relay: Pick<Relay, 'sessions' | 'servers'>): Pick<Relay, 'sessions' | 'servers'> {
    const known = this.#scraped.get(relay);
    if (known !== undefined) return known;
    const scraped = {
      sessions: oncePerScrape(() => relay.sessions()),
      servers: oncePerScrape(() => relay.servers()),
    };
    this.#scraped.set(relay, scraped);
    return scraped;
  }

  serverReceived(bytes: number, frames: number): void {
    this.#traffic.receivedFrames += frames;
    this.#traffic.receivedBytes += bytes;
  }

  serverSent(bytes: number): void {
    this.#traffic.sentFrames += 1;
    this.#traffic.sentBytes += bytes;
  }

  serverOversize(): void {
    this.#oversize.inc();
  }

  dialled(result: 'Connected' | ServerEnd): void {
    this.#dials.inc({ result });
  }

  disconnected(reason: ServerEnd): void {
    this.#disconnected.inc({ reason });
  }

  failedOver(result: FailoverResult, seconds: number): void {
    this.#failovers.inc({ result });
    this.#failoverSeconds.observe(seconds);
  }

  sessionRestored(result: RestoreResult): void {
    this.#restored.inc({ result });
  }

  turnEnded(result: TurnEnd): void {
    this.#turns.inc({ result });
  }

  drainEnded(result: DrainEnd): void {
    this.#drains.inc({ result });
  }

  sessionEvicted(): void {
    this.#evicted.inc();
  }

  wakeEnded(result: WakeEnd, seconds: number): void {
    this.#woken.inc({ result });
    if (result === 'Woken') this.#wakeSeconds.observe(seconds);
  }

  heldEnded(result: HeldEnd): void {
    this.#held.inc({ result });
  }

  turnQueued(result: QueueEnd): void {
    this.#queued.inc({ result });
  }

  piecesDropped(count: number): void {
    this.#traffic.dropped += count;
  }

  callRefused(reason: CallRefusal): void {
    this.#refused.inc({ reason });
  }

  searched(result: SearchEnd): void {
    this.#searches.inc({ result });
  }

  unattended(asked: string): void {
    this.#unattended.inc({ asked });
  }

  hookPassed(): void {
    this.#hooksPassed.inc();
  }
}
