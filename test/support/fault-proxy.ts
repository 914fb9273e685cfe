import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { apiRequestOf } from './api-request.ts';
import { bodyOf, respond } from './bodies.ts';
import { matches, type Fault, type FaultProxyOptions, type Match, type ProxiedRequest } from './faults.ts';
import { staleLines, staleQuery } from './stale-list.ts';
import { WatchRelay, type WatchFault } from './watch-relay.ts';

export type { Fault, Match, ProxiedRequest } from './faults.ts';
export type { WatchFault } from './watch-relay.ts';

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
  /** When the client last got a line of a watch or the response to a write; ms, `performance.now()`. */
  changedAt = 0;
  /** Requests that wait for a response that never comes. */
  silenced = 0;
  readonly #server: Server;
  readonly #upstream: { url: URL; agent: Agent; isOwn: boolean };
  readonly #onWritten: FaultProxyOptions['onWritten'];
  readonly #connections = new Set<Socket>();
  readonly #watches = new Map<ProxiedRequest, WatchRelay>();
  readonly #openingWatches = new Set<ProxiedRequest>();
  #plan: Planned[] = [];
  /** Watches whose lines are late. */
  #late: Match | undefined;
  #dead = false;

  private constructor(apiServer: { url: string; caFile: string }, { agent, onWritten }: FaultProxyOptions) {
    const used = agent ?? new Agent({ keepAlive: true, ca: readFileSync(apiServer.caFile) });
    this.#upstream = { url: new URL(apiServer.url), agent: used, isOwn: agent === undefined };
    this.#onWritten = onWritten;
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

  static async start(apiServer: { url: string; caFile: string }, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(apiServer, options);
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

  /** Watches that the API server has not answered yet, or not with all that there was at first. */
  get openingWatches(): number {
    return this.#openingWatches.size + [...this.#watches.values()].filter(({ listing }) => listing).length;
  }

  /** Watches that are silent, and whose client has not noticed it. */
  get silentWatches(): number {
    return [...this.#watches.values()].filter(({ silent }) => silent).length;
  }

  /** The open watches whose lines are passed on at once, and the newest version that was. */
  get passedOn(): [ProxiedRequest, number][] {
    return [...this.#watches].filter(([, { passes }]) => passes).map(([watch, { version }]) => [watch, version]);
  }

  /** Breaks every open watch that matches; returns how many. */
  breakWatches(match: Match, how: WatchFault): number {
    const watches = this.openWatches(match);
    for (const watch of watches) this.#watches.get(watch)?.break(how);
    return watches.length;
  }

  /** From now on the lines of matching watches, open and later ones, are late: they are kept until `releaseWatches`. */
  holdWatches(match: Match): void {
    this.#late = match;
    for (const watch of this.openWatches(match)) this.#watches.get(watch)?.hold();
  }

  releaseWatches(): void {
    this.#late = undefined;
    for (const relay of this.#watches.values()) relay.release();
    this.changedAt = performance.now();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.close(), 'close');
    this.#server.closeAllConnections();
    if (this.#upstream.isOwn) this.#upstream.agent.destroy();
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
    if (record.verb === 'watch') this.#openingWatches.add(record);
    response.once('close', () => {
      record.open = false;
      this.#watches.delete(record);
      this.#openingWatches.delete(record);
    });
    return record;
  }

  async #serve(record: ProxiedRequest, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    if (record.verb === 'delete') record.deleteOptions = body.toString();
    if (record.verb === 'create') record.created = /"metadata":\{"name":"([^"]*)"/.exec(body.toString())?.[1] ?? '';
    if (this.#dead) {
      request.socket.resetAndDestroy();
      return;
    }
    const fault = this.#next(record);
    switch (fault?.kind) {
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'silence':
        this.silenced += 1;
        response.once('close', () => (this.silenced -= 1));
        return;
      case 'respond':
        respond(record, response, fault);
        return;
      case 'first':
        await fault.do();
        break;
      case 'crash':
        if (fault.when !== 'before') break;
        this.#die(fault.onCrash);
        request.socket.resetAndDestroy();
        return;
      case 'stale':
        await this.#serveStale(record, request, response, fault.resourceVersion);
        return;
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
      record.answered = upstreamResponse.statusCode ?? 0;
      if (record.method !== 'GET') {
        this.changedAt = performance.now();
        const onWritten = this.#onWritten;
        if (onWritten) upstreamResponse.once('data', (chunk: Buffer) => onWritten(record, chunk.toString()));
      }
      if (fault?.kind === 'loseResponse' || (fault?.kind === 'crash' && fault.when === 'at')) {
        upstreamResponse.resume().once('end', () => {
          if (fault.kind === 'crash') this.#die(fault.onCrash);
          request.socket.resetAndDestroy();
        });
        return;
      }
      if (fault?.kind === 'crash') this.#die(fault.onCrash);
      record.status = upstreamResponse.statusCode ?? 0;
      response.writeHead(record.status, upstreamResponse.headers);
      if (record.verb === 'watch' && record.status === 200) this.#relayWatch(record, upstreamResponse, response, fault);
      else upstreamResponse.pipe(response);
    });
    upstream.end(body);
  }

  #relayWatch(
    record: ProxiedRequest,
    upstreamResponse: IncomingMessage,
    response: ServerResponse,
    fault: Fault | undefined,
  ): void {
    const relay = this.#addRelay(record, response);
    if (this.#late !== undefined && matches(this.#late, record)) relay.hold();
    const limit = fault?.kind === 'breakWatch' ? fault : undefined;
    if (limit?.afterLines === 0) relay.break(limit.how);
    relay.relay(upstreamResponse, () => {
      record.lines = relay.lines;
      this.changedAt = performance.now();
      if (limit && relay.lines === limit.afterLines) relay.break(limit.how);
    });
  }

  #addRelay(record: ProxiedRequest, response: ServerResponse): WatchRelay {
    const relay = new WatchRelay(response, record.query);
    this.#openingWatches.delete(record);
    this.#watches.set(record, relay);
    return relay;
  }

  async #serveStale(
    record: ProxiedRequest,
    request: IncomingMessage,
    response: ServerResponse,
    resourceVersion: string,
  ): Promise<void> {
    const { list, watch } = staleQuery(record, resourceVersion);
    const listed = await this.#get(list, request);
    const relay = this.#addRelay(record, response);
    record.status = 200;
    response.writeHead(200, { 'content-type': 'application/json' });
    for (const line of staleLines(listed, resourceVersion)) relay.send(line);
    relay.hold();
    relay.relay(await this.#open(watch, request, response), () => (record.lines = relay.lines));
  }

  async #get(path: string, request: IncomingMessage): Promise<string> {
    const body = await bodyOf(await this.#open(path, request));
    return body.toString();
  }

  #open(path: string, request: IncomingMessage, response?: ServerResponse): Promise<IncomingMessage> {
    const { url, agent } = this.#upstream;
    return new Promise((resolve, reject) => {
      const upstream = httpsRequest(new URL(path, url), { headers: { ...request.headers, host: url.host }, agent });
      upstream.once('response', resolve).once('error', reject).end();
      response?.once('close', () => upstream.destroy());
    });
  }

  #die(onCrash: () => void): void {
    this.#dead = true;
    onCrash();
  }
}
