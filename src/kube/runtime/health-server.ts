/** Serves /healthz, /livez, /readyz and /metrics. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Health } from '../cache/informer.ts';
import { closeAll, listen, type Address } from './listen.ts';

/** One check of a probe. */
export interface Check {
  /** Lower case; also the last part of its path (`/readyz/caches`). */
  name: string;
  check: () => Health;
}

/** What a server serves. */
export interface HealthServerOptions {
  log: Logger;
  /** By path: `/readyz` answers 200 if all of its checks are ok. Without checks it is always ok. */
  probes?: Readonly<Record<string, readonly Check[]>>;
  /** Served at `/metrics`. */
  registry?: Registry | undefined;
}

/** Answers probes and scrapes, in the form of the API server (`/readyz?verbose`, `/livez/<check>`). */
export class HealthServer {
  readonly #options: HealthServerOptions;
  readonly #server: Server;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: 10_000, keepAliveTimeout: 30_000 }, (request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        options.log.error({ err: error, path: request.url }, 'failed to answer a probe');
        response.destroy();
      });
    });
  }

  /** Resolves to the port; rejects if it is in use. */
  listen(at: Address): Promise<number> {
    return listen(this.#server, at, (error) => {
      this.#options.log.error({ err: error }, 'failed to accept a connection on the port of probes and metrics');
    });
  }

  /** Closes open connections, too: scrapers keep theirs alive. */
  close(): Promise<void> {
    return closeAll(this.#server);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    const { registry } = this.#options;
    if (url === null) {
      // Not logged: any client that reaches the port can send this.
      response.writeHead(400).end();
      return;
    }
    const { pathname, searchParams } = url;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else if (pathname === '/metrics' && registry) {
      const body = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(body);
    } else {
      this.#probe(pathname, searchParams.has('verbose'), response);
    }
  }

  #probe(pathname: string, verbose: boolean, response: ServerResponse): void {
    const [, probe = '', only] = pathname.split('/');
    const checks = this.#options.probes?.[`/${probe}`]?.filter(({ name }) => only === undefined || name === only);
    if (!checks || (only !== undefined && checks.length === 0)) {
      response.writeHead(404).end();
      return;
    }
    const results = checks.map(({ name, check }) => ({ name, ...check() }));
    const ok = results.every((result) => result.ok);
    const lines = results.map(({ name, ok, message }) => {
      if (!ok) return `[-]${name} failed: ${message}`;
      return message === '' ? `[+]${name} ok` : `[+]${name} ok: ${message}`;
    });
    const summary = ok ? `${probe} check passed` : `${probe} check failed`;
    const body = ok && !verbose ? 'ok' : `${[...lines, summary].join('\n')}\n`;
    if (!ok) this.#options.log.warn({ probe, failed: lines.filter((line) => line.startsWith('[-]')) }, 'probe failed');
    response.writeHead(ok ? 200 : 500, { 'content-type': 'text/plain; charset=utf-8' }).end(body);
  }
}
