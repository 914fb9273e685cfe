import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A peer on the loopback that is no Copilot server: the test decides what it does with a connection. */
export class RawPeer implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(onConnection: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      // The other side may close at any moment: that is what these tests are about.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
      onConnection(socket);
    });
  }

  static async listen(onConnection: (socket: Socket) => void): Promise<RawPeer> {
    const peer = new RawPeer(onConnection);
    peer.#server.listen(0, peer.host);
    await once(peer.#server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open at this moment, seen from this side. */
  get connections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
