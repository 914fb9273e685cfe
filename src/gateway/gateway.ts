/** The gateway: what listens, who is admitted, and to whom frames go, put together. */
import type { BlockList } from 'node:net';
import type { Logger } from 'pino';
import type { Check } from '../kube/runtime/health-server.ts';
import type { Address } from '../kube/runtime/listen.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { onAbort } from '../kube/clock/abort.ts';
import type { Admission } from './admission/admission.ts';
import { Clients, type DrainOptions } from './client/clients.ts';
import { HalfOpen } from './client/half-open.ts';
import type { UnreadMemory } from './client/unread-memory.ts';
import { CLIENT_LIMITS, type ClientLimits, type ClientObserver, type ClientSummary } from './client/model.ts';
import type { Certificates } from './listen/certificates.ts';
import { Listener } from './listen/listener.ts';
import type { TenantAction } from '../resources/gateway-internal.ts';
import type { Fleet, Relay, SessionSummary, TenantRef } from './model.ts';
import type { SessionRecords } from './ownership/records.ts';
import { Audit } from './report/audit.ts';
import type { Pauses } from './pauses.ts';
import type { ActionOutcome } from './report/internal-server.ts';
import type { GatewayMetrics } from './report/metrics.ts';

/** What a gateway needs. */
export interface GatewayOptions {
  /** Where clients connect without TLS; undefined: nowhere. */
  readonly plain: Address | undefined;
  /** Where clients connect with TLS; undefined: nowhere. */
  readonly tls: { readonly at: Address; readonly certificates: Certificates } | undefined;
  /** Load balancers whose connections begin with a PROXY protocol header. */
  readonly proxies: BlockList | undefined;
  /** Connections of clients at once, on each port. */
  readonly maxConnections: number;
  /** Admitted clients of one tenant at once. */
  readonly maxConnectionsPerTenant: number;
  /** Within how many ms a client is sent something; undefined: nothing but what servers send. */
  readonly keepaliveMs?: number | undefined;
  /** Bytes that all clients together may have yet to read. */
  readonly maxUnreadBytes: number;
  /** Where they are counted, if clients that other replicas hold are counted there, too. */
  readonly unread?: UnreadMemory | undefined;
  /** Gives memory back that the process does not use; undefined: it cannot. */
  readonly giveBackMemory?: (() => void) | undefined;
  readonly drain: DrainOptions;
  /** Has other replicas serve the tenants that this one serves, within so many ms; undefined: there are none. */
  readonly moveTenants?: ((withinMs: number) => Promise<void>) | undefined;
  readonly limits?: Partial<ClientLimits> | undefined;
  readonly fleet: Fleet;
  readonly pauses: Pauses;
  /** The CopilotSessions, which say how sessions are made. */
  readonly records: Pick<SessionRecords, 'isSynced'>;
  readonly admission: Admission;
  readonly relay: Relay;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
}

/** How often it is looked whether the tenants are known, ms. */
const SYNC_LOOK_MS = 20;
/** The longest wait for the CopilotSessions after that, ms: a cluster may lack their CRD, and most sessions have none. */
const RECORDS_MS = 5_000;

/** Serves clients from when the tenants are known until it is stopped. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #clients: Clients;
  readonly #listener: Listener;
  readonly #audit: Audit;
  #state: 'Starting' | 'Serving' | 'Stopping' = 'Starting';

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { log, metrics, clock, limits } = options;
    this.#audit = new Audit(log);
    const halfOpen = new HalfOpen();
    this.#clients = new Clients({
      ...options,
      halfOpen,
      maxClients: portsOf(options) * options.maxConnections,
      maxPerTenant: options.maxConnectionsPerTenant,
      observer: observer(metrics, this.#audit),
    });
    metrics.clients(() => this.#clients.count());
    this.#listener = new Listener({
      ...options,
      halfOpen,
      timers: clock,
      handshakeMs: { ...CLIENT_LIMITS, ...limits }.greetingMs,
      accepted: (stream, address, slot) => {
        metrics.accepted();
        this.#clients.open(stream, address, slot);
      },
      rejected: (reason) => metrics.rejected(reason),
    });
  }

  /** The ports that were bound. */
  get ports(): Listener['ports'] {
    return this.#listener.ports;
  }

  /** The connections of clients now, with who they are. No secret, and nothing of what they say. */
  clients(): ClientSummary[] {
    return this.#clients.list();
  }

  /** The sessions that these clients are attached to, or were a moment ago. Nothing of what is said in them. */
  sessions(): SessionSummary[] {
    return this.#options.relay.sessions();
  }

  /** Does to the clients of a tenant at this replica what somebody with the right to it asks. */
  act(action: TenantAction, tenant: TenantRef, user: string): ActionOutcome {
    const { fleet, pauses } = this.#options;
    const found = fleet.find(tenant);
    if (found === undefined) return 'UnknownTenant';
    if (action === 'resume' && found.isPaused === true) return 'PausedByAnnotation';
    if (action === 'pause') pauses.pause(tenant, found.uid);
    if (action === 'resume') pauses.resume(tenant);
    const closed = action === 'kick' ? this.#clients.kick(tenant) : 0;
    this.#audit.acted(action, tenant, user, closed);
    return { paused: pauses.isPaused(tenant), closed };
  }

  /** For `/readyz`: a gateway that stops takes no further clients. */
  readonly ready: Check = {
    name: 'clients',
    check: () => ({
      ok: this.#state === 'Serving',
      message: this.#state === 'Serving' ? '' : `no clients are accepted: ${this.#state}`,
    }),
  };

  /** Runs until `stop` aborts, and then until its clients are gone, or `kill` aborts. Rejects if it cannot listen. */
  async run(stop: AbortSignal, kill: AbortSignal): Promise<void> {
    const { fleet, records, clock, log, drain, moveTenants } = this.#options;
    while (!fleet.isSynced && !stop.aborted) await clock.sleep(SYNC_LOOK_MS);
    const since = clock.monotonic();
    while (!records.isSynced && clock.monotonic() - since < RECORDS_MS && !stop.aborted)
      await clock.sleep(SYNC_LOOK_MS);
    if (!stop.aborted) {
      await this.#listener.listen();
      this.#state = 'Serving';
      log.info({ ports: this.ports }, 'clients are accepted');
      await new Promise<void>((resolve) => void onAbort(stop, () => resolve()));
    }
    this.#state = 'Stopping';
    this.#listener.close();
    this.#audit.stopping(this.#clients.size, drain.leaveMs);
    const { promise: killed, resolve: onKill } = Promise.withResolvers<void>();
    using _killed = onAbort(kill, () => {
      this.#clients.closeAll();
      onKill();
    });
    // Other replicas may have clients whose turns run here.
    const moved = moveTenants?.(drain.leaveMs + drain.closeMs);
    await Promise.all([this.#clients.drain(drain), Promise.race([moved, killed])]);
  }
}

/** On how many ports clients connect. */
function portsOf({ plain, tls }: Pick<GatewayOptions, 'plain' | 'tls'>): number {
  return [plain, tls].filter((port) => port !== undefined).length;
}

function observer(metrics: GatewayMetrics, audit: Audit): ClientObserver {
  return {
    admitted: (client) => {
      metrics.admission('Admitted');
      audit.admitted(client);
    },
    denied: (client, denial) => {
      metrics.admission(denial.denied);
      audit.denied(client, denial);
    },
    closed: (client, reason) => {
      metrics.closed(reason.reason);
      audit.closed(client, reason);
    },
    received: (bytes) => metrics.received(bytes),
    receivedFrame: () => metrics.receivedFrame(),
    sent: (bytes, frames) => metrics.sent(bytes, frames),
    oversize: () => metrics.oversize(),
    rateExceeded: (rule) => metrics.rateExceeded(rule),
  };
}
