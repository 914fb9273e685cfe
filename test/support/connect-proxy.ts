/** An HTTP proxy that opens tunnels with CONNECT, as those of company networks. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export class ConnectProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** `host:port` of every tunnel that was opened. */
  readonly tunnels: string[] = [];
  /** The value of Proxy-Authorization that each CONNECT had. */
  readonly authorizations: (string | undefined)[] = [];
  /** Answered instead of a tunnel. */
  refuseWith: number | undefined;

  private constructor() {
    this.#server = createServer((_, response) => response.writeHead(405).end());
    this.#server.on('connect', (request, client: Socket) => {
      this.#follow(client);
      this.authorizations.push(request.headers['proxy-authorization']);
      if (this.refuseWith !== undefined) {
        client.end(`HTTP/1.1 ${this.refuseWith} Refused\r\n\r\n`);
        return;
      }
      const target = request.url ?? '';
      this.tunnels.push(target);
      const [host = '', port = ''] = target.split(':');
      const upstream = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        client.pipe(upstream).pipe(client);
      });
      this.#follow(upstream);
      upstream.once('close', () => client.destroy());
      client.once('close', () => upstream.destroy());
    });
  }

  static async start(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  url(credentials = ''): string {
    return `http://${credentials}127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server.close(), 'close');
  }

  #follow(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
