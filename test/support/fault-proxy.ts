import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { apiRequestOf, type ApiRequest } from './api-request.ts';

/** One request as the proxy saw it. */
export interface Seen extends ApiRequest {
  /** Counted from 1, in order of arrival. */
  n: number;
  /** ms, `performance.now()`. */
  at: number;
  /** What the client got; absent when it got no answer. */
  status?: number;
  /** The client still waits for (the rest of) the answer. */
  open: boolean;
  /** Lines of a watch that were passed on. */
  lines: number;
}

/** Fields that must be equal, or a test of one's own. */
export type Match = Partial<Omit<ApiRequest, 'query'>> | ((request: ApiRequest) => boolean);

/** How an open watch is spoilt. `halfLine` ends inside a line in good order; `silence` keeps it open and passes nothing on. */
export type Spoil = 'reset' | 'end' | 'halfLine' | 'garbage' | 'silence' | { error: { code: number; reason: string } };

export type Fault =
  /** The connection breaks before the request reaches the API server. */
  | { kind: 'reset' }
  /** The API server never hears of it; the proxy answers. */
  | { kind: 'answer'; status: number; reason?: string; message?: string; retryAfterSeconds?: number }
  /** The API server executes it, the client's connection breaks instead of an answer. */
  | { kind: 'loseResponse' }
  /** Nobody ever answers. */
  | { kind: 'silence' }
  /** Something happens first, then the request goes on as usual. */
  | { kind: 'first'; do: () => Promise<unknown> }
  /** A watch is spoilt after so many lines. */
  | { kind: 'spoil'; afterLines: number; how: Spoil };

interface Planned {
  match: Match;
  fault: Fault;
  skip: number;
  times: number;
}

/**
 * Stands between a client (plain http, so that no trust has to be set up) and the API server (TLS), and breaks what a test tells it to.
 * Whatever is not told is passed on unchanged, credentials too.
 */
export class FaultProxy {
  readonly journal: Seen[] = [];
  /** TCP connections that clients have opened so far. */
  connectionsOpened = 0;
  readonly #server: Server;
  readonly #upstream: { url: URL; agent: Agent };
  readonly #connections = new Set<Socket>();
  readonly #watches = new Map<Seen, (how: Spoil) => void>();
  #plan: Planned[] = [];

  private constructor(apiServer: { url: string; caFile: string }) {
    const agent = new Agent({ keepAlive: true, ca: readFileSync(apiServer.caFile) });
    this.#upstream = { url: new URL(apiServer.url), agent };
    this.#server = createServer((request, response) => {
      const seen = this.#record(request, response);
      this.#serve(seen, request, response).catch((error: unknown) => {
        answer(seen, response, { kind: 'answer', status: 500, message: `fault proxy: ${String(error)}` });
      });
    });
    // The client decides how long it keeps a connection.
    this.#server.keepAliveTimeout = 0;
    this.#server.on('connection', (socket: Socket) => {
      this.connectionsOpened += 1;
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
  }

  static async start(apiServer: { url: string; caFile: string }): Promise<FaultProxy> {
    const proxy = new FaultProxy(apiServer);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /** The `nth` matching request from now on (default: the next) meets with `fault`, and `times` in all (default 1). */
  inject(match: Match, fault: Fault, { nth = 1, times = 1 }: { nth?: number; times?: number } = {}): void {
    this.#plan.push({ match, fault, skip: nth - 1, times });
  }

  /** Faults that have not all happened: what a test expected but never reached. */
  get pendingFaults(): number {
    return this.#plan.length;
  }

  /** From now on everything is passed on. */
  clearFaults(): void {
    this.#plan = [];
  }

  seen(match: Match): Seen[] {
    return this.journal.filter((seen) => matches(match, seen));
  }

  openWatches(match: Match = {}): Seen[] {
    return [...this.#watches.keys()].filter((seen) => matches(match, seen));
  }

  /** Spoils every open watch that matches; returns how many. */
  spoil(match: Match, how: Spoil): number {
    const watches = this.openWatches(match);
    for (const seen of watches) this.#watches.get(seen)?.(how);
    return watches.length;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.close(), 'close');
    this.#server.closeAllConnections();
    this.#upstream.agent.destroy();
    await closed;
  }

  #record(request: IncomingMessage, response: ServerResponse): Seen {
    const asked = apiRequestOf(request.method ?? 'GET', request.url ?? '/');
    const seen: Seen = { ...asked, n: this.journal.length + 1, at: performance.now(), open: true, lines: 0 };
    this.journal.push(seen);
    response.once('close', () => {
      seen.open = false;
      this.#watches.delete(seen);
    });
    return seen;
  }

  async #serve(seen: Seen, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const fault = this.#next(seen);
    switch (fault?.kind) {
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'silence':
        return;
      case 'answer':
        answer(seen, response, fault);
        return;
      case 'first':
        await fault.do();
        break;
      case 'loseResponse':
      case 'spoil':
      case undefined:
        break;
    }
    this.#forward(request, body, seen, response, fault);
  }

  #next(seen: Seen): Fault | undefined {
    const planned = this.#plan.find((entry) => matches(entry.match, seen) && entry.skip-- <= 0);
    if (!planned) return undefined;
    planned.times -= 1;
    if (planned.times === 0) this.#plan = this.#plan.filter((entry) => entry !== planned);
    return planned.fault;
  }

  #forward(
    request: IncomingMessage,
    body: Buffer,
    seen: Seen,
    response: ServerResponse,
    fault: Fault | undefined,
  ): void {
    const { url, agent } = this.#upstream;
    const headers = { ...request.headers, host: url.host };
    const upstream = httpsRequest(new URL(request.url ?? '/', url), { method: request.method, headers, agent });
    upstream.on('error', () => request.socket.resetAndDestroy());
    response.once('close', () => upstream.destroy());
    upstream.on('response', (answered) => {
      if (fault?.kind === 'loseResponse') {
        answered.resume().once('end', () => request.socket.resetAndDestroy());
        return;
      }
      seen.status = answered.statusCode ?? 0;
      response.writeHead(seen.status, answered.headers);
      if (seen.verb === 'watch' && seen.status === 200) this.#relayWatch(seen, answered, response, fault);
      else answered.pipe(response);
    });
    upstream.end(body);
  }

  /** Line by line, so that whatever is put in between begins at the beginning of a line. */
  #relayWatch(seen: Seen, answered: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
    response.flushHeaders();
    let spoilt = false;
    let rest = '';
    const spoil = (how: Spoil): void => {
      spoilt = true;
      if (how === 'reset') response.socket?.resetAndDestroy();
      else if (how === 'end') response.end();
      else if (how === 'halfLine') response.end('{"type":"MODIFIED","object":{"kind":"Conf');
      else if (how === 'garbage') response.write('<html>502 Bad Gateway</html>\n');
      else if (how !== 'silence') response.end(`${JSON.stringify({ type: 'ERROR', object: status(how.error) })}\n`);
    };
    this.#watches.set(seen, spoil);
    const limit = fault?.kind === 'spoil' ? fault : undefined;
    if (limit?.afterLines === 0) spoil(limit.how);
    answered.setEncoding('utf8');
    answered.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (spoilt) return;
        response.write(`${line}\n`);
        seen.lines += 1;
        if (limit && seen.lines === limit.afterLines) spoil(limit.how);
      }
    });
    answered.on('end', () => {
      if (!spoilt) response.end(rest);
    });
    // The API server died: the client must see a broken connection, not an orderly end.
    answered.on('error', () => response.socket?.resetAndDestroy());
  }
}

function matches(match: Match, request: ApiRequest): boolean {
  if (typeof match === 'function') return match(request);
  return Object.entries(match).every(([field, value]) => request[field as keyof ApiRequest] === value);
}

function answer(seen: Seen, response: ServerResponse, fault: Extract<Fault, { kind: 'answer' }>): void {
  seen.status = fault.status;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (fault.retryAfterSeconds !== undefined) headers['retry-after'] = String(fault.retryAfterSeconds);
  const { status: code, reason = '', message = 'made up by the fault proxy' } = fault;
  response.writeHead(code, headers).end(JSON.stringify(status({ code, reason, message })));
}

function status(fields: { code: number; reason: string; message?: string }): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'made up by the fault proxy',
    ...fields,
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
