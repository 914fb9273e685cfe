/** The metrics of the gateway, beside those of the core. Labels come from fixed sets only: no series for a tenant, a session or a client. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { DENY_REASONS, type DenyReason } from '../admission/admission.ts';
import { CloseCause } from '../client/model.ts';
import { CLIENT_STATES, type ClientState } from '../client/state.ts';
import { REJECT_REASONS, type RejectReason } from '../listen/listener.ts';
import { PARAM_REASONS } from '../methods/param-reasons.ts';
import { METHOD_REASONS, type MethodReason } from '../methods/reasons.ts';
import { BoundedNames, OTHER } from './bounded-names.ts';
import type { DeniedCalls } from './counted-rules.ts';

/** Why the relay closes a client; what is in neither set counts as `Other`. */
const RELAY_CAUSES = ['ProtocolError', 'SlowClient'];
const CLOSE_REASONS: ReadonlySet<string> = new Set([...Object.values(CloseCause), ...RELAY_CAUSES]);
/** Names of methods that nobody has decided about: as many as a new version of the CLI or an SDK brings. */
const MAX_UNKNOWN_METHODS = 100;

/** Registers and counts. All series exist from the start, so that a rate over them includes the first increment. */
export class GatewayMetrics implements DeniedCalls {
  readonly #registry: Registry;
  readonly #accepted: Counter;
  readonly #rejected: Counter<'reason'>;
  readonly #admissions: Counter<'result'>;
  readonly #closed: Counter<'reason'>;
  /** Bytes and frames are counted here, thousands of times between two scrapes. */
  readonly #traffic = { received: 0, sent: 0, frames: 0 };
  readonly #oversize: Counter;
  readonly #denied: Counter<'reason'>;
  readonly #refusedParameters: Counter<'rule'>;
  readonly #unknown: Counter<'method'>;
  readonly #unknownNames = new BoundedNames(MAX_UNKNOWN_METHODS);

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#accepted = this.#counter('connections_total', 'Connections of clients that were accepted');
    this.#rejected = this.#counter('rejected_connections_total', 'Connections that never became a client, by reason', {
      reason: REJECT_REASONS,
    });
    this.#admissions = this.#counter('admissions_total', 'Tokens that clients presented, by result', {
      result: ['Admitted', ...DENY_REASONS],
    });
    this.#closed = this.#counter('closed_connections_total', 'Connections of clients that ended, by reason', {
      reason: [...CLOSE_REASONS, OTHER],
    });
    this.#tally('received_bytes_total', 'Bytes that clients have sent', () => this.#traffic.received);
    this.#tally('sent_bytes_total', 'Bytes that were queued for clients', () => this.#traffic.sent);
    this.#tally('sent_frames_total', 'Frames that were queued for clients', () => this.#traffic.frames);
    this.#oversize = this.#counter(
      'oversize_frames_total',
      'Frames of clients that were refused because of their size',
    );
    this.#denied = this.#counter('denied_calls_total', 'Calls that were refused because of their method, by reason', {
      reason: Object.keys(METHOD_REASONS),
    });
    this.#refusedParameters = this.#counter(
      'refused_parameters_total',
      'Calls that were refused because of a parameter, by rule',
      { rule: Object.keys(PARAM_REASONS) },
    );
    this.#unknown = this.#counter(
      'unknown_methods_total',
      `Calls of methods that are in no table, by method; after ${MAX_UNKNOWN_METHODS} of them, and if it is no name, ${OTHER}`,
      { method: [OTHER] },
    );
  }

  /** `count` is asked at each scrape. */
  clients(count: () => ReadonlyMap<ClientState, number>): void {
    const gauge = new Gauge({
      name: 'copilot_gateway_clients',
      help: `Connections of clients by state: ${CLIENT_STATES.join(', ')}`,
      labelNames: ['state'],
      collect() {
        const counts = count();
        for (const state of CLIENT_STATES) this.set({ state }, counts.get(state) ?? 0);
      },
      registers: [],
    });
    this.#registry.registerMetric(gauge);
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

  closed(reason: string): void {
    this.#closed.inc({ reason: CLOSE_REASONS.has(reason) ? reason : OTHER });
  }

  received(bytes: number): void {
    this.#traffic.received += bytes;
  }

  sent(bytes: number): void {
    this.#traffic.sent += bytes;
    this.#traffic.frames += 1;
  }

  oversize(): void {
    this.#oversize.inc();
  }

  deniedCall(reason: MethodReason, method: string | undefined): void {
    this.#denied.inc({ reason });
    if (method !== undefined) this.#unknown.inc({ method: this.#unknownNames.valueOf(method) });
  }

  refusedParameter(rule: string): void {
    this.#refusedParameters.inc({ rule });
  }

  /** A counter whose value is read at each scrape. */
  #tally(name: string, help: string, read: () => number): void {
    let counted = 0;
    const counter = new Counter({
      name: `copilot_gateway_${name}`,
      help,
      registers: [],
      collect() {
        const now = read();
        this.inc(now - counted);
        counted = now;
      },
    });
    this.#registry.registerMetric(counter);
  }

  #counter<L extends string>(name: string, help: string, labels?: Readonly<Record<L, readonly string[]>>): Counter<L> {
    const entries = Object.entries(labels ?? {}) as [L, readonly string[]][];
    const values = entries.flatMap(([, all]) => all).join(', ');
    const counter = new Counter<L>({
      name: `copilot_gateway_${name}`,
      help: values === '' ? help : `${help}: ${values}`,
      labelNames: entries.map(([label]) => label),
      registers: [this.#registry],
    });
    for (const [label, all] of entries) {
      for (const value of all) counter.inc({ [label]: value } as Record<L, string>, 0);
    }
    return counter;
  }
}
