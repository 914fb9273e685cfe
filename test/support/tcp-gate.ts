import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Passes on what comes to one address to another one, as long as it is open: a network that can be cut. */
export class TcpGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  #isSilent = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(from: { host: string; port: number }, to: { host: string; port: number }): Promise<TcpGate> {
    const server = createServer((inside) => gate.#pass(inside, connect(to)));
    const gate = new TcpGate(server);
    await once(server.listen(from), 'listening');
    return gate;
  }

  /** Breaks what is connected, and lets nothing pass any more. */
  cut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks what is connected by a reset. What connects from now on is not concerned. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** What is connected stays so, and nothing passes on it any more. What connects from now on is not concerned. */
  stall(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** From now on nothing passes, and nobody is told: what is connected is half open. */
  silence(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  /** What connects from now on passes. */
  mend(): void {
    this.#isOpen = true;
    this.#isSilent = false;
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }

  #pass(inside: Socket, outside: Socket): void {
    for (const [socket, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      if (!this.#isSilent) socket.pipe(other);
    }
    if (!this.#isOpen) inside.destroy();
  }
}
