import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';

/** Passes on what comes to one address to another one, as long as it is open: a network that can be cut. */
export class TcpGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  #isSilent = false;
  #delayMs = 0;

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

  /** On what connects from now on, everything is so late in either direction. */
  slow(ms: number): void {
    this.#delayMs = ms;
  }

  /** What connects from now on passes. */
  mend(): void {
    this.#isOpen = true;
    this.#isSilent = false;
    this.#delayMs = 0;
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
      if (this.#isSilent) continue;
      if (this.#delayMs === 0) socket.pipe(other);
      else socket.pipe(late(this.#delayMs)).pipe(other);
    }
    if (!this.#isOpen) inside.destroy();
  }
}

/** Passes on each piece so much later, in their order. */
function late(ms: number): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      setTimeout(() => done(null, piece), ms);
    },
  });
}
