// The whole gateway in this process, with one tenant: everything of it is real but the API server, which is asked nothing.
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createAdmission, type TokenIssuers } from '../../src/gateway/admission/admission.ts';
import type { Reviews } from '../../src/gateway/admission/reviews.ts';
import type { ClientLimits } from '../../src/gateway/client/model.ts';
import type { Isolation } from '../../src/api/names.ts';
import { Pauses } from '../../src/gateway/pauses.ts';
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway.ts';
import { rulesByIsolation } from '../../src/gateway/methods/rules.ts';
import type { FenceMeans } from '../../src/gateway/relay/fence/fence.ts';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import { RoutedRelay } from '../../src/gateway/forward/routed-relay.ts';
import { UnreadMemory, unreadLimits } from '../../src/gateway/client/unread-memory.ts';
import { dialTcpGathering, dialTcpWhile, type Dial } from '../../src/copilot/index.ts';
import type { Homes } from '../../src/gateway/peers/model.ts';
import { createRelay, type ClosableRelay } from '../../src/gateway/relay/relay.ts';
import { ForwardMetrics } from '../../src/gateway/report/forward-metrics.ts';
import { countedRules } from '../../src/gateway/report/counted-rules.ts';
import { GatewayMetrics } from '../../src/gateway/report/metrics.ts';
import { RelayMetrics } from '../../src/gateway/report/relay-metrics.ts';
import { systemClock, type Clock } from '../../src/kube/clock/clock.ts';
import { credentialHash } from '../../src/resources/binding.ts';
import { ServerAnswers } from './server-answers.ts';
import { StaticFleet } from './static-fleet.ts';
import { StaticOwnership } from './static-ownership.ts';
import { waitFor } from './wait.ts';

const MAX_CONNECTIONS = 20_000;
const MAX_UNREAD_BYTES = 128 * 1024 * 1024;
const CREDENTIAL = `cpg_${'a'.repeat(43)}`;
/** What the binding Secret of the tenant would have. */
export const BINDING_TOKEN = `team/acme:${CREDENTIAL}`;

/** The same, for a user of the tenant. */
export function bindingTokenFor(user: string): string {
  return `team/acme/${encodeURIComponent(user)}:${CREDENTIAL}`;
}

/** A line of the log. */
export interface LogLine {
  readonly msg: string;
  readonly [key: string]: unknown;
}

export interface GatewayInProcessOptions extends Partial<
  Pick<
    GatewayOptions,
    'tls' | 'proxies' | 'maxConnections' | 'maxConnectionsPerTenant' | 'maxUnreadBytes' | 'keepaliveMs' | 'drain'
  >
> {
  /** Where the tenant's server is; default: nowhere. */
  readonly server?: { readonly host: string; readonly port: number };
  /** Default: Dedicated. */
  readonly isolation?: Isolation;
  /** Its connection token. */
  readonly token?: string;
  readonly limits?: Partial<ClientLimits>;
  readonly relayLimits?: Partial<RelayLimits>;
  /** It is one of several replicas. */
  readonly homes?: Homes;
  /** What the API server would say; default: that it knows nobody. */
  readonly reviews?: Reviews;
  readonly issuers?: TokenIssuers;
  /** How it connects to servers, if it is the only replica; default: TCP. */
  readonly dial?: Dial;
  /** What sessions are loaded with where servers share a volume. */
  readonly shared?: FenceMeans;
  /** Of its clients; default: that of this machine. */
  readonly clock?: Clock;
}

export class GatewayInProcess implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly fleet: StaticFleet;
  readonly log: LogLine[] = [];
  readonly ownership = new StaticOwnership();
  readonly #registry = new Registry();
  readonly #answers = new ServerAnswers();
  readonly #stop = new AbortController();
  readonly #kill = new AbortController();
  readonly #relay: ClosableRelay;
  readonly #routed: RoutedRelay | undefined;
  readonly #gateway: Gateway;
  readonly #running: Promise<void>;

  private constructor(options: GatewayInProcessOptions) {
    const { server = { host: '127.0.0.1', port: 1 }, token = '', limits, relayLimits = {}, homes, issuers } = options;
    const { clock = systemClock } = options;
    this.fleet = new StaticFleet(server, token);
    this.fleet.change({ credentials: [credentialHash(CREDENTIAL)], isolation: options.isolation ?? 'Dedicated' });
    const log = pino({ level: 'debug' }, new Writable({ write: (line, _, done) => this.#write(String(line), done) }));
    const nobody: Reviews = {
      authenticate: () => Promise.resolve({ problem: 'nobody' }),
      isAllowed: () => Promise.resolve(false),
    };
    const metrics = new GatewayMetrics(this.#registry);
    const relayMetrics = new RelayMetrics(this.#registry);
    this.#relay = createRelay({
      fleet: this.fleet,
      rules: rulesByIsolation((rules) => countedRules(rules, metrics)),
      ownership: this.ownership,
      clock: systemClock,
      log,
      observer: relayMetrics,
      limits: relayLimits,
      mayFollow: homes !== undefined,
      shared: options.shared,
      dial: this.#answers.dial(
        homes === undefined ? (options.dial ?? dialTcpGathering) : dialTcpWhile(() => homes.mayAct),
      ),
    });
    relayMetrics.watch(this.#relay);
    const unread = new UnreadMemory(unreadLimits(options.maxUnreadBytes ?? MAX_UNREAD_BYTES, MAX_CONNECTIONS));
    const observer = new ForwardMetrics(this.#registry);
    this.#routed =
      homes &&
      new RoutedRelay({
        relay: this.#relay,
        homes,
        fleet: this.fleet,
        rules: rulesByIsolation(),
        unread,
        clock: systemClock,
        random: Math.random,
        log,
        observer,
      });
    if (this.#routed !== undefined) observer.watch(this.#routed);
    this.#gateway = new Gateway({
      plain: { host: this.host, port: 0 },
      tls: undefined,
      proxies: undefined,
      maxConnections: MAX_CONNECTIONS,
      maxConnectionsPerTenant: 5_000,
      maxUnreadBytes: MAX_UNREAD_BYTES,
      unread,
      moveTenants: (withinMs) => this.#routed?.drain(withinMs) ?? Promise.resolve(),
      drain: { leaveMs: 0, closeMs: 100 },
      ...options,
      limits,
      fleet: this.fleet,
      pauses: new Pauses(this.fleet),
      records: this.ownership.records,
      admission: createAdmission({ fleet: this.fleet, reviews: options.reviews ?? nobody, issuers, clock }),
      relay: this.#routed ?? this.#relay,
      clock,
      random: Math.random,
      log,
      metrics,
    });
    this.#running = this.#gateway.run(this.#stop.signal, this.#kill.signal);
  }

  static async start(options: GatewayInProcessOptions = {}): Promise<GatewayInProcess> {
    const gateway = new GatewayInProcess(options);
    await Promise.race([gateway.#running, waitFor('clients are accepted', () => gateway.isReady)]);
    return gateway;
  }

  /** What `/readyz` says. */
  get isReady(): boolean {
    return this.#gateway.ready.check().ok;
  }

  get port(): number {
    return this.#gateway.ports.plain ?? 0;
  }

  /** What is known of its clients and sessions from outside. */
  get snapshot(): { clients: ReturnType<Gateway['clients']>; sessions: ReturnType<Gateway['sessions']> } {
    return { clients: this.#gateway.clients(), sessions: this.#gateway.sessions() };
  }

  /** Whether it has a connection to a server. */
  get isConnected(): boolean {
    return this.#relay.servers().some(({ state }) => state === 'Connected');
  }

  /** How far the drains are that the fleet states. */
  drains(): ReturnType<ClosableRelay['drains']> {
    return this.#relay.drains();
  }

  /** For how long its tenants were not used. */
  uses(): ReturnType<ClosableRelay['uses']> {
    return this.#relay.uses();
  }

  get tlsPort(): number {
    return this.#gateway.ports.tls ?? 0;
  }

  /** What `/metrics` serves. */
  metrics(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Value of a metric. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { values = [] } = (await this.#registry.getSingleMetric(name)?.get()) ?? {};
    const found = values.filter((value) => Object.entries(labels).every(([key, label]) => value.labels[key] === label));
    return found.reduce((sum, { value }) => sum + value, 0);
  }

  /** What takes clients that other replicas forward. */
  get accept(): RoutedRelay['accept'] {
    if (this.#routed === undefined) throw new Error('it is the only replica');
    return this.#routed.accept;
  }

  /** It closes the connections to servers, as if it had died. */
  dropServers(): void {
    this.#relay.close();
  }

  /** Begins to stop; resolves when all clients are gone. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** @throws Error if it answered a server twice */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill.abort();
    await this.stop();
    (this.#routed ?? this.#relay).close();
    if (this.#answers.problems.length > 0) throw new Error(this.#answers.problems.join('\n'));
  }

  #write(line: string, done: () => void): void {
    this.log.push(JSON.parse(line) as LogLine);
    done();
  }
}
