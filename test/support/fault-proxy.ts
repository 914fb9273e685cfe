import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { apiRequestOf, type ApiRequest } from './api-request.ts';

/** One request as the proxy received it. */
export interface ProxiedRequest extends ApiRequest {
  /** Counted from 1, in order of arrival. */
  n: number;
  /** ms, `performance.now()`. */
  at: number;
  /** What the client got; absent if it got no response. */
  status?: number;
  /** The client still waits for (the rest of) the response. */
  open: boolean;
  /** Lines of a watch that were passed on. */
  lines: number;
}

/** Fields that must be equal, or a test of one's own. */
export type Match = Partial<Omit<ApiRequest, 'query'>> | ((request: ApiRequest) => boolean);

/** What happens to an open watch. `halfLine` ends it regularly, inside a line; `silence` keeps it open and forwards nothing. */
export type WatchFault =
  'reset' | 'end' | 'halfLine' | 'garbage' | 'silence' | { error: { code: number; reason: string } };

export type Fault =
  /** The connection breaks before the request reaches the API server. */
  | { kind: 'reset' }
  /** The API server does not get the request; the proxy responds. */
  | { kind: 'respond'; status: number; reason?: string; message?: string; retryAfterSeconds?: number }
  /** The API server executes it, and the client's connection breaks instead of a response. */
  | { kind: 'loseResponse' }
  /** There is no response. */
  | { kind: 'silence' }
  /** Something happens first, then the request is forwarded. */
  | { kind: 'first'; do: () => Promise<unknown> }
  /** A watch breaks after so many lines. */
  | { kind: 'breakWatch'; afterLines: number; how: WatchFault };

interface Planned {
  match: Match;
  fault: Fault;
  skip: number;
  times: number;
}

/**
 * A proxy between a client (plain http, so that no trust has to be set up) and the API server (TLS) that injects faults. Everything
 * else is forwarded unchanged, with its credentials.
 */
export class FaultProxy {
  readonly journal: ProxiedRequest[] = [];
  /** TCP connections that clients have opened so far. */
  connectionsOpened = 0;
  readonly #server: Server;
  readonly #upstream: { url: URL; agent: Agent };
  readonly #connections = new Set<Socket>();
  readonly #watches = new Map<ProxiedRequest, (how: WatchFault) => void>();
  #plan: Planned[] = [];

  private constructor(apiServer: { url: string; caFile: string }) {
    const agent = new Agent({ keepAlive: true, ca: readFileSync(apiServer.caFile) });
    this.#upstream = { url: new URL(apiServer.url), agent };
    this.#server = createServer((request, response) => {
      const record = this.#record(request, response);
      this.#serve(record, request, response).catch((error: unknown) => {
        respond(record, response, { kind: 'respond', status: 500, message: `fault proxy: ${String(error)}` });
      });
    });
    // The client decides how long to keep a connection.
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

  /** The `nth` matching request from now on (default: the next) gets `fault`, and `times` in all (default 1). */
  inject(match: Match, fault: Fault, { nth = 1, times = 1 }: { nth?: number; times?: number } = {}): void {
    this.#plan.push({ match, fault, skip: nth - 1, times });
  }

  /** Faults that have not happened (often enough): a test expected them. */
  get pendingFaults(): number {
    return this.#plan.length;
  }

  /** From now on everything is forwarded. */
  clearFaults(): void {
    this.#plan = [];
  }

  requests(match: Match): ProxiedRequest[] {
    return this.journal.filter((request) => matches(match, request));
  }

  openWatches(match: Match = {}): ProxiedRequest[] {
    return [...this.#watches.keys()].filter((watch) => matches(match, watch));
  }

  /** Breaks every open watch that matches; returns how many. */
  breakWatches(match: Match, how: WatchFault): number {
    const watches = this.openWatches(match);
    for (const watch of watches) this.#watches.get(watch)?.(how);
    return watches.length;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.close(), 'close');
    this.#server.closeAllConnections();
    this.#upstream.agent.destroy();
    await closed;
  }

  #record(request: IncomingMessage, response: ServerResponse): ProxiedRequest {
    const parsed = apiRequestOf(request.method ?? 'GET', request.url ?? '/');
    const record: ProxiedRequest = {
      ...parsed,
      n: this.journal.length + 1,
      at: performance.now(),
      open: true,
      lines: 0,
    };
    this.journal.push(record);
    response.once('close', () => {
      record.open = false;
      this.#watches.delete(record);
    });
    return record;
  }

  async #serve(record: ProxiedRequest, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const fault = this.#next(record);
    switch (fault?.kind) {
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'silence':
        return;
      case 'respond':
        respond(record, response, fault);
        return;
      case 'first':
        await fault.do();
        break;
      case 'loseResponse':
      case 'breakWatch':
      case undefined:
        break;
    }
    this.#forward(request, body, record, response, fault);
  }

  #next(record: ProxiedRequest): Fault | undefined {
    const planned = this.#plan.find((entry) => matches(entry.match, record) && entry.skip-- <= 0);
    if (!planned) return undefined;
    planned.times -= 1;
    if (planned.times === 0) this.#plan = this.#plan.filter((entry) => entry !== planned);
    return planned.fault;
  }

  #forward(
    request: IncomingMessage,
    body: Buffer,
    record: ProxiedRequest,
    response: ServerResponse,
    fault: Fault | undefined,
  ): void {
    const { url, agent } = this.#upstream;
    const headers = { ...request.headers, host: url.host };
    const upstream = httpsRequest(new URL(request.url ?? '/', url), { method: request.method, headers, agent });
    upstream.on('error', () => request.socket.resetAndDestroy());
    response.once('close', () => upstream.destroy());
    upstream.on('response', (upstreamResponse) => {
      if (fault?.kind === 'loseResponse') {
        upstreamResponse.resume().once('end', () => request.socket.resetAndDestroy());
        return;
      }
      record.status = upstreamResponse.statusCode ?? 0;
      response.writeHead(record.status, upstreamResponse.headers);
      if (record.verb === 'watch' && record.status === 200) this.#relayWatch(record, upstreamResponse, response, fault);
      else upstreamResponse.pipe(response);
    });
    upstream.end(body);
  }

  /** Line by line, so that an injected line starts at the start of a line. */
  #relayWatch(
    record: ProxiedRequest,
    upstreamResponse: IncomingMessage,
    response: ServerResponse,
    fault: Fault | undefined,
  ): void {
    response.flushHeaders();
    let broken = false;
    let rest = '';
    const breakWatch = (how: WatchFault): void => {
      broken = true;
      if (how === 'reset') response.socket?.resetAndDestroy();
      else if (how === 'end') response.end();
      else if (how === 'halfLine') response.end('{"type":"MODIFIED","object":{"kind":"Conf');
      else if (how === 'garbage') response.write('<html>502 Bad Gateway</html>\n');
      else if (how !== 'silence') response.end(`${JSON.stringify({ type: 'ERROR', object: status(how.error) })}\n`);
    };
    this.#watches.set(record, breakWatch);
    const limit = fault?.kind === 'breakWatch' ? fault : undefined;
    if (limit?.afterLines === 0) breakWatch(limit.how);
    upstreamResponse.setEncoding('utf8');
    upstreamResponse.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (broken) return;
        response.write(`${line}\n`);
        record.lines += 1;
        if (limit && record.lines === limit.afterLines) breakWatch(limit.how);
      }
    });
    upstreamResponse.on('end', () => {
      if (!broken) response.end(rest);
    });
    // The API server died: the client must get a broken connection and no regular end.
    upstreamResponse.on('error', () => response.socket?.resetAndDestroy());
  }
}

function matches(match: Match, request: ApiRequest): boolean {
  if (typeof match === 'function') return match(request);
  return Object.entries(match).every(([field, value]) => request[field as keyof ApiRequest] === value);
}

function respond(record: ProxiedRequest, response: ServerResponse, fault: Extract<Fault, { kind: 'respond' }>): void {
  record.status = fault.status;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (fault.retryAfterSeconds !== undefined) headers['retry-after'] = String(fault.retryAfterSeconds);
  const { status: code, reason = '', message = 'injected by the fault proxy' } = fault;
  response.writeHead(code, headers).end(JSON.stringify(status({ code, reason, message })));
}

function status(fields: { code: number; reason: string; message?: string }): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'injected by the fault proxy',
    ...fields,
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
