// A connection of a scripted gateway to a guard.
import { FrameDecoder, encodeFrame, isObject } from '../../src/copilot/index.ts';
import type { Line } from '../../src/guard/line.ts';
import type { GuardedPod } from './guard-world.ts';

/** What a call came to. */
export type Outcome =
  { readonly result: unknown } | { readonly error: { readonly code: number; readonly data: unknown } } | 'Lost';

/** A connection of a gateway. */
export class GuardCaller {
  readonly #open = new Map<number, (outcome: Outcome) => void>();
  readonly #line: Line | undefined;
  #calls = 0;
  isClosed = false;

  constructor(pod: GuardedPod) {
    const decoder = new FrameDecoder((body) => {
      const message = JSON.parse(body.toString()) as Record<string, unknown>;
      const error = message['error'];
      const { code, data } = isObject(error) ? error : {};
      this.#open.get(Number(message['id']))?.(
        error === undefined ? { result: message['result'] } : { error: { code: Number(code), data } },
      );
    });
    this.#line = pod.connect({
      connected: () => undefined,
      data: (chunk) => decoder.push(chunk),
      drained: () => undefined,
      ended: () => undefined,
      closed: () => this.#close(),
    });
    if (this.#line === undefined) this.isClosed = true;
  }

  call(method: string, params: object): Promise<Outcome> {
    if (this.isClosed) return Promise.resolve('Lost');
    this.#calls += 1;
    const id = this.#calls;
    this.#line?.write(Buffer.from(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, method, params }))));
    return new Promise((resolve) => this.#open.set(id, resolve));
  }

  close(): void {
    this.#line?.destroy();
  }

  #close(): void {
    this.isClosed = true;
    for (const resolve of this.#open.values()) resolve('Lost');
    this.#open.clear();
  }
}
