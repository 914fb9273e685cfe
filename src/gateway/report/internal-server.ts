/** The internal port: an HTTP server for the operator, and for people who look after the gateway. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { closeAll, listen, type Address } from '../../kube/runtime/listen.ts';
import { keyOf } from '../../kube/types/types.ts';
import { INTERNAL_VIEWS, type InternalView } from '../../resources/gateway-internal.ts';
import type { InternalAccess } from '../admission/internal-access.ts';
import type { ClientSummary } from '../client/model.ts';
import type { SessionSummary } from '../model.ts';
import { clientView, sessionView, tenantCounts } from './views.ts';

/** What it serves. */
export interface InternalServerOptions {
  readonly access: InternalAccess;
  readonly clients: () => readonly ClientSummary[];
  readonly sessions: () => readonly SessionSummary[];
  readonly log: Pick<Logger, 'error'>;
}

/** Its callers are few: one operator, and now and then a person. */
const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const BEARER = /^Bearer ([\x21-\x7e]+)$/i;

/** Answers `GET /tenants`, `/clients` and `/sessions`, the last two on request of one tenant (`?tenant=NAMESPACE/NAME`). */
export class InternalServer {
  readonly #options: InternalServerOptions;
  readonly #server: Server;

  constructor(options: InternalServerOptions) {
    this.#options = options;
    const limits = { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS };
    this.#server = createServer(limits, (request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        options.log.error({ err: error }, 'failed to answer on the internal port');
        response.destroy();
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Resolves to the port; rejects if it is in use. */
  listen(at: Address): Promise<number> {
    return listen(this.#server, at, (error) => {
      this.#options.log.error({ err: error }, 'failed to accept a connection on the internal port');
    });
  }

  /** Closes open connections, too. */
  close(): Promise<void> {
    return closeAll(this.#server);
  }

  async #handle({ method, url, headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const parsed = URL.parse(url ?? '/', 'http://localhost');
    const view = INTERNAL_VIEWS.find((each) => parsed?.pathname === `/${each}`);
    const [, token] = BEARER.exec(headers.authorization ?? '') ?? [];
    if (parsed === null || view === undefined) return void response.writeHead(404).end();
    if (method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
    const decision = token === undefined ? NO_TOKEN : await this.#options.access.decide(token, view);
    if (decision !== 'Allowed') {
      const { status, message } = decision;
      return void response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
    }
    const body = JSON.stringify(this.#view(view, parsed.searchParams.get('tenant')));
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(body);
  }

  #view(view: InternalView, tenant: string | null): object {
    const { clients, sessions } = this.#options;
    const isAsked = (key: string | undefined): boolean => tenant === null || tenant === key;
    if (view === 'tenants') return { tenants: tenantCounts(clients()) };
    if (view === 'sessions') {
      return { sessions: sessions().flatMap((each) => (isAsked(keyOf(each.tenant)) ? sessionView(each) : [])) };
    }
    const isShown = ({ identity }: ClientSummary): boolean => isAsked(identity && keyOf(identity.tenant));
    return { clients: clients().flatMap((each) => (isShown(each) ? clientView(each) : [])) };
  }
}

const NO_TOKEN = { status: 401, message: 'present a Kubernetes token as Authorization: Bearer' } as const;
