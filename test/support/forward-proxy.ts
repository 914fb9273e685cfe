// A forward proxy, as companies have one between their cluster and the internet: CONNECT for https, absolute URLs for http.
import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Where the proxy sends a request instead of to `host:port`; undefined: it answers 502, as for a host that it can't reach. */
export type Route = (host: string, port: number) => number | undefined;

export class ForwardProxy implements AsyncDisposable {
  /** `CONNECT host:port` and `GET http://...`, in order of arrival. */
  readonly journal: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #route: Route;

  private constructor(route: Route) {
    this.#route = route;
    this.#server = createServer((request, response) => this.#forward(request, response));
    this.#server.on('connect', (request: IncomingMessage, client: Socket, head: Buffer) =>
      this.#tunnel(request.url ?? '', client, head),
    );
    this.#server.on('connection', (socket: Socket) => this.#track(socket));
  }

  /** Every target is a port of the loopback that `route` names, so that no test depends on DNS or the internet. */
  static async start(route: Route): Promise<ForwardProxy> {
    const proxy = new ForwardProxy(route);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #track(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // The other end went away: nothing is left to forward.
    socket.on('error', () => socket.destroy());
  }

  #tunnel(target: string, client: Socket, head: Buffer): void {
    this.journal.push(`CONNECT ${target}`);
    const { hostname, port } = new URL(`tcp://${target}`);
    const local = this.#route(hostname, Number(port));
    if (local === undefined) {
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const upstream = connect(local, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    this.#track(upstream);
    upstream.once('close', () => client.destroy());
    client.once('close', () => upstream.destroy());
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    this.journal.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? '/', 'http://proxy.invalid');
    const local = this.#route(url.hostname, Number(url.port === '' ? 80 : url.port));
    if (local === undefined) {
      response.writeHead(502).end();
      return;
    }
    const { method, headers } = request;
    const upstream = httpRequest({ host: '127.0.0.1', port: local, method, headers, path: url.pathname + url.search });
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  }
}
