/** The metrics of the relay: traffic with servers, turns, and what became of calls that did not just pass. */
import type { Counter, Registry } from 'prom-client';
import { countByState } from '../count-by-state.ts';
import { SERVER_STATES, SESSION_STATES, type Relay } from '../model.ts';
import { WAIT_TYPES } from '../relay/events.ts';
import {
  CALL_REFUSALS,
  HELD_ENDS,
  SERVER_ENDS,
  TURN_ENDS,
  type CallRefusal,
  type HeldEnd,
  type RelayObserver,
  type ServerEnd,
  type TurnEnd,
} from '../relay/observer.ts';
import { ASKED_METHODS } from '../relay/requests.ts';
import { Series } from './series.ts';

/** Registers and counts. */
export class RelayMetrics implements RelayObserver {
  readonly #series: Series;
  /** Thousands of times between two scrapes. */
  readonly #traffic = { receivedFrames: 0, receivedBytes: 0, sentFrames: 0, sentBytes: 0, dropped: 0 };
  readonly #oversize: Counter;
  readonly #dials: Counter<'result'>;
  readonly #disconnected: Counter<'reason'>;
  readonly #turns: Counter<'result'>;
  readonly #held: Counter<'result'>;
  readonly #refused: Counter<'reason'>;
  readonly #unattended: Counter<'asked'>;

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
    this.#turns = series.counter('turns_total', 'Turns that ended, by how', { result: TURN_ENDS });
    this.#held = series.counter(
      'held_prompts_total',
      "Prompts that had to wait for another client's turn, by what became of them",
      {
        result: HELD_ENDS,
      },
    );
    this.#refused = series.counter(
      'refused_calls_total',
      'Calls that were refused although their method is allowed, by reason',
      {
        reason: CALL_REFUSALS,
      },
    );
    this.#unattended = series.counter(
      'unattended_total',
      'Events and requests of servers that the gateway answered because no client was there to do it, by type or method',
      { asked: [...WAIT_TYPES, ...ASKED_METHODS] },
    );
  }

  /** `relay` is asked at each scrape. */
  watch(relay: Pick<Relay, 'sessions' | 'servers'>): void {
    this.#series.states(
      'sessions',
      'Sessions that clients are attached to, or were a moment ago, by state',
      SESSION_STATES,
      () => countByState(relay.sessions()),
    );
    this.#series.states('servers', 'Servers that clients were routed to, by connection', SERVER_STATES, () =>
      countByState(relay.servers()),
    );
  }

  serverReceived(bytes: number): void {
    this.#traffic.receivedFrames += 1;
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

  turnEnded(result: TurnEnd): void {
    this.#turns.inc({ result });
  }

  heldEnded(result: HeldEnd): void {
    this.#held.inc({ result });
  }

  pieceDropped(): void {
    this.#traffic.dropped += 1;
  }

  callRefused(reason: CallRefusal): void {
    this.#refused.inc({ reason });
  }

  unattended(asked: string): void {
    this.#unattended.inc({ asked });
  }
}
