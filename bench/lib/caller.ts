/** A client that calls many things at the same time. */
import { connect, type Socket } from 'node:net';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import type { Door } from './gateway-world.ts';

export class Caller {
  readonly #socket: Socket;
  readonly #open = new Map<unknown, (answer: Answer) => void>();
  isClosed = false;

  constructor({ host, port }: Door) {
    this.#socket = connect({ host, port, noDelay: true });
    const decoder = new FrameDecoder((body) => {
      const answer = JSON.parse(body.toString()) as Answer;
      this.#open.get(answer.id)?.(answer);
      this.#open.delete(answer.id);
    });
    this.#socket.on('data', (chunk) => decoder.push(chunk));
    // Whoever waits for an answer then is told so.
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => {
      this.isClosed = true;
      for (const [id, take] of this.#open) take({ id, error: { message: 'the connection was closed' } });
    });
  }

  static async admitted(door: Door): Promise<Caller> {
    const caller = new Caller(door);
    await caller.call('connect', 'connect', { token: door.token });
    return caller;
  }

  /** Returns the result. `id`: of no other call that is under way. */
  async call(id: string, method: string, params: object): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#open.set(id, resolve);
    this.#socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, method, params })));
    const { result, error } = await promise;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}
