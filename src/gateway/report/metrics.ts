/** The metrics of the gateway, beside those of the core. Labels come from fixed sets only: no series for a tenant, a session or a client. */
import type { Counter, Registry } from 'prom-client';
import { DENY_REASONS, type DenyReason } from '../admission/admission.ts';
import { KEY_READ_RESULTS, type KeyObserver, type KeyReadResult } from '../admission/oidc/key-reads.ts';
import { CloseCause } from '../client/model.ts';
import { RATE_RULES, type RateRule } from '../client/rates.ts';
import { CLIENT_STATES, type ClientState } from '../client/state.ts';
import { REJECT_REASONS, type RejectReason } from '../listen/listener.ts';
import { PARAM_REASONS } from '../methods/param-reasons.ts';
import { METHOD_REASONS, type MethodReason } from '../methods/reasons.ts';
import { BoundedNames, OTHER } from './bounded-names.ts';
import type { DeniedCalls } from './counted-rules.ts';
import { Series } from './series.ts';

/** Why the relay closes a client; what is in neither set counts as `Other`. */
const RELAY_CAUSES = ['ProtocolError', 'SlowClient', 'NotRestored'];
const CLOSE_REASONS: ReadonlySet<string> = new Set([...Object.values(CloseCause), ...RELAY_CAUSES]);
/** The checks of `/readyz` of the gateway. */
export const READY_CHECKS = ['caches', 'clients', 'peers'] as const;
/** Names of methods that nobody has decided about: as many as a new version of the CLI or an SDK brings. */
const MAX_UNKNOWN_METHODS = 100;

/** Registers and counts. */
export class GatewayMetrics implements DeniedCalls, KeyObserver {
  readonly #series: Series;
  readonly #accepted: Counter;
  readonly #rejected: Counter<'reason'>;
  readonly #admissions: Counter<'result'>;
  readonly #keyReads: Counter<'result'>;
  readonly #closed: Counter<'reason'>;
  /** Bytes and frames are counted here, thousands of times between two scrapes. */
  readonly #traffic = { received: 0, receivedFrames: 0, sent: 0, frames: 0 };
  readonly #oversize: Counter;
  readonly #rates: Counter<'rule'>;
  readonly #denied: Counter<'reason'>;
  readonly #refusedParameters: Counter<'rule'>;
  readonly #unknown: Counter<'method'>;
  readonly #unknownNames = new BoundedNames(MAX_UNKNOWN_METHODS);

  constructor(registry: Registry) {
    const series = new Series(registry);
    this.#series = series;
    this.#accepted = series.counter('connections_total', 'Connections of clients that were accepted');
    this.#rejected = series.counter('rejected_connections_total', 'Connections that never became a client, by reason', {
      reason: REJECT_REASONS,
    });
    this.#admissions = series.counter('admissions_total', 'Tokens that clients presented, by result', {
      result: ['Admitted', ...DENY_REASONS],
    });
    this.#keyReads = series.counter('oidc_key_reads_total', 'Readings of the keys of OIDC issuers, by result', {
      result: KEY_READ_RESULTS,
    });
    this.#closed = series.counter('closed_connections_total', 'Connections of clients that ended, by reason', {
      reason: [...CLOSE_REASONS, OTHER],
    });
    series.tally('received_bytes_total', 'Bytes that clients have sent', () => this.#traffic.received);
    series.tally('received_frames_total', 'Frames that clients have sent', () => this.#traffic.receivedFrames);
    series.tally('sent_bytes_total', 'Bytes that were queued for clients', () => this.#traffic.sent);
    series.tally('sent_frames_total', 'Frames that were queued for clients', () => this.#traffic.frames);
    this.#oversize = series.counter(
      'oversize_frames_total',
      'Frames of clients that were refused because of their size',
    );
    this.#rates = series.counter(
      'rate_limited_total',
      'Connections and calls that were refused because more came than spec.rates of their tenant allows, by whose rate of what',
      { rule: RATE_RULES },
    );
    this.#denied = series.counter('denied_calls_total', 'Calls that were refused because of their method, by reason', {
      reason: Object.keys(METHOD_REASONS),
    });
    this.#refusedParameters = series.counter(
      'refused_parameters_total',
      'Calls that were refused because of a parameter, by rule',
      { rule: Object.keys(PARAM_REASONS) },
    );
    this.#unknown = series.counter(
      'unknown_methods_total',
      `Calls of methods that are in no table, by method; after ${MAX_UNKNOWN_METHODS} of them, and if it is no name, ${OTHER}`,
      { method: [OTHER] },
    );
  }

  /** `count` is asked at each scrape. */
  clients(count: () => ReadonlyMap<ClientState, number>): void {
    this.#series.states('clients', 'Connections of clients by state', CLIENT_STATES, count);
  }

  /** `failed`: names of the checks of `/readyz` that fail, asked for at each scrape. */
  readiness(failed: () => readonly string[]): void {
    const help = 'Checks of /readyz, 1 for each that fails: this replica gets no further clients then';
    this.#series.flags('failed_ready_checks', help, 'check', READY_CHECKS, failed);
  }

  accepted(): void {
    this.#accepted.inc();
  }

  rejected(reason: RejectReason): void {
    this.#rejected.inc({ reason });
  }

  admission(result: 'Admitted' | DenyReason): void {
    this.#admissions.inc({ result });
  }

  readKeys(result: KeyReadResult): void {
    this.#keyReads.inc({ result });
  }

  closed(reason: string): void {
    this.#closed.inc({ reason: CLOSE_REASONS.has(reason) ? reason : OTHER });
  }

  received(bytes: number): void {
    this.#traffic.received += bytes;
  }

  receivedFrame(): void {
    this.#traffic.receivedFrames += 1;
  }

  sent(bytes: number, frames: number): void {
    this.#traffic.sent += bytes;
    this.#traffic.frames += frames;
  }

  oversize(): void {
    this.#oversize.inc();
  }

  rateExceeded(rule: RateRule): void {
    this.#rates.inc({ rule });
  }

  deniedCall(reason: MethodReason, method: string | undefined): void {
    this.#denied.inc({ reason });
    if (method !== undefined) this.#unknown.inc({ method: this.#unknownNames.valueOf(method) });
  }

  refusedParameter(rule: string): void {
    this.#refusedParameters.inc({ rule });
  }
}
