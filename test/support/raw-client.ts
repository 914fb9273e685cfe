// A client that sends whatever a test wants to, frame by frame, and keeps what it is sent.
import type { Duplex } from 'node:stream';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import { waitFor } from './wait.ts';

/** A message as it is received. */
export interface RawMessage {
  readonly id?: number | string | null;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
}

export class RawClient {
  readonly stream: Duplex;
  readonly received: RawMessage[] = [];
  isClosed = false;

  constructor(stream: Duplex) {
    this.stream = stream;
    const decoder = new FrameDecoder((body) => this.received.push(JSON.parse(body.toString()) as RawMessage), {
      maxBodyBytes: 2 ** 30,
    });
    stream.on('data', (chunk: Buffer) => decoder.push(chunk));
    stream.on('end', () => {
      this.isClosed = true;
      stream.end();
    });
    // The other side may end the connection in any way.
    stream.on('error', () => (this.isClosed = true));
    stream.on('close', () => (this.isClosed = true));
  }

  /** Sends a message, or a body of the test's own choice. */
  send(message: object | string): void {
    const body = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
    this.stream.write(encodeFrame(body));
  }

  connect(token: unknown, id: number | string = 1, params: object = {}): void {
    this.send({ id, method: 'connect', params: { token, ...params } });
  }

  /** The answer to `id`, once it is there. */
  async answer(id: number | string | null, withinMs = 5_000): Promise<RawMessage> {
    const found = (): RawMessage | undefined => this.received.find((message) => message.id === id);
    await waitFor(`an answer to ${String(id)}`, () => found() !== undefined, { withinMs });
    const answer = found();
    if (answer === undefined) throw new Error('the answer is gone');
    return answer;
  }
}
