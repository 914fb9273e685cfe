/** A server with a script in place of an agent, for more load than the CLI takes: it answers each request with a write of its own, and a prompt with frames. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import { credentialHash } from '../../src/resources/binding.ts';

export interface ScriptedServerOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  readonly token: string;
  /** What follows the answer to a prompt, one write each. `messageId`: what the prompt was acknowledged with, as `user.message` of the turn has it. */
  readonly turn: (sessionId: string, prompt: string, messageId: string) => Iterable<Buffer> | AsyncIterable<Buffer>;
}

interface Request {
  readonly id: number | string;
  readonly method: string;
  readonly params: { readonly token?: string; readonly sessionId?: string; readonly prompt?: string };
}

const STATUS = { version: '1.0.102', protocolVersion: 3 };

interface Connection {
  readonly socket: Socket;
  readonly closed: Promise<void>;
}

/** Not `once` of node:events, which fails when a client resets its connection. */
const happens = (socket: Socket, what: 'close' | 'drain') =>
  new Promise<void>((resolve) => void socket.once(what, () => resolve()));

export class ScriptedServer implements AsyncDisposable {
  /** Bytes of turns that were taken from it, and the most that waited at a time. */
  readonly streamed = { bytes: 0, mostUnsent: 0 };
  readonly #options: ScriptedServerOptions;
  readonly #tokenHash: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: ScriptedServerOptions) {
    this.#options = options;
    this.#tokenHash = credentialHash(options.token);
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      const connection = { socket, closed: happens(socket, 'close') };
      const decoder = new FrameDecoder((body) => this.#take(connection, JSON.parse(body.toString()) as Request));
      socket.on('data', (chunk) => decoder.push(chunk));
      // Clients may reset their connections.
      socket.on('error', () => socket.destroy());
    });
  }

  static async listen(options: ScriptedServerOptions): Promise<ScriptedServer> {
    const server = new ScriptedServer(options);
    server.#server.listen({ host: options.host, port: options.port, backlog: 4096 });
    await once(server.#server, 'listening');
    return server;
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(connection: Connection, { id, method, params }: Request): void {
    const { socket } = connection;
    const { sessionId = '', prompt = '' } = params;
    switch (method) {
      case 'connect': {
        if (credentialHash(params.token ?? '') !== this.#tokenHash)
          return answer(socket, id, { error: { code: -32000, message: 'AUTHENTICATION_FAILED' } });
        return answer(socket, id, { result: { ok: true, ...STATUS, taskKinds: ['agent', 'shell'] } });
      }
      case 'session.send': {
        const messageId = randomUUID();
        answer(socket, id, { result: { messageId } });
        return void this.#stream(connection, this.#options.turn(sessionId, prompt, messageId));
      }
      case 'session.create':
      case 'session.resume':
        return answer(socket, id, { result: { sessionId, workspacePath: '/' } });
      case 'sessions.getMetadata':
        return answer(socket, id, { result: {} });
      default:
        return answer(socket, id, { result: STATUS });
    }
  }

  async #stream({ socket, closed }: Connection, frames: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of frames) {
      if (socket.destroyed) return;
      const isTaken = socket.write(chunk);
      this.streamed.mostUnsent = Math.max(this.streamed.mostUnsent, socket.writableLength);
      this.streamed.bytes += chunk.length;
      if (!isTaken) await Promise.race([happens(socket, 'drain'), closed]);
    }
  }
}

function answer(socket: Socket, id: number | string, answered: object): void {
  socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, ...answered })));
}
