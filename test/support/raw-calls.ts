/** Calls of one client, each with the bytes of its answer. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import type { RawMessage } from './raw-client.ts';

/** An answer, and the body of its frame. */
export interface RawAnswer {
  readonly message: RawMessage;
  readonly text: string;
}

/** A connection to a gateway or a server. */
export class RawCalls implements Disposable {
  /** What was sent without being asked for: events, notifications and requests of servers. */
  readonly unasked: RawMessage[] = [];
  readonly #socket;
  readonly #open = new Map<number, (answer: RawAnswer) => void>();
  #lastId = 0;

  private constructor(host: string, port: number) {
    this.#socket = connect(port, host);
    const decoder = new FrameDecoder((body) => this.#take(body.toString()), { maxBodyBytes: 2 ** 26 });
    this.#socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    // Whoever waits for an answer then fails by its own deadline.
    this.#socket.on('error', () => undefined);
  }

  static async open({ host, port, token }: { host: string; port: number; token: string }): Promise<RawCalls> {
    const calls = new RawCalls(host, port);
    await once(calls.#socket, 'connect');
    const { message } = await calls.call('connect', { token, supportedTaskKinds: ['agent', 'client', 'shell'] });
    if (message.error !== undefined) throw new Error(`not admitted: ${message.error.message}`);
    return calls;
  }

  /** Every call has an id of the same length, so that answers can be compared. */
  async call(method: string, params: object, withinMs = 60_000): Promise<RawAnswer> {
    this.#lastId += 1;
    const id = 1_000_000 + this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
    this.#open.set(id, resolve);
    const deadline = setTimeout(() => reject(new Error(`no answer to ${method} within ${withinMs} ms`)), withinMs);
    this.#socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, method, params })));
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      this.#open.delete(id);
    }
  }

  /** The result of a call that must not fail. */
  async result(method: string, params: object): Promise<Record<string, unknown>> {
    const { message } = await this.call(method, params);
    if (message.error !== undefined) throw new Error(`${method} failed: ${message.error.message}`);
    return message.result ?? {};
  }

  /** @throws Error if a call got a second answer */
  [Symbol.dispose](): void {
    this.#socket.destroy();
    const answers = this.unasked.filter(({ method }) => method === undefined);
    if (answers.length > 0) throw new Error(`answers that nobody waits for: ${JSON.stringify(answers)}`);
  }

  #take(text: string): void {
    const message = JSON.parse(text) as RawMessage;
    const waiting =
      typeof message.id === 'number' && message.method === undefined ? this.#open.get(message.id) : undefined;
    if (waiting === undefined) this.unasked.push(message);
    else waiting({ message, text });
  }
}
