/**
 * One request and its whole response, on undici's lowest interface: `request` makes a stream of every body, which cost a quarter of the
 * CPU time of a call.
 */
import type { Dispatcher } from 'undici';
import type { Ending } from './call-context.ts';
import type { Headers } from './response.ts';

/** A response that has been read to its end. */
export interface Exchanged {
  readonly statusCode: number;
  readonly headers: Headers;
  readonly text: string;
}

/** What an exchange is sent with. */
export interface ExchangeOptions extends Dispatcher.DispatchOptions {
  /** Ends it at once, also while it waits for a connection. */
  readonly ending: Ending;
  /**
   * Called when the request is written to its connection: it may have waited for one, or the process may have been paused, and the
   * lease that was held when it was sent may be lost. What it throws is the failure of the request.
   */
  readonly whenWritten?: (() => void) | undefined;
  /** A longer response is not read to its end, and fails. Default: any length, for servers that are trusted. */
  readonly maxBodyBytes?: number | undefined;
}

/** Sends a request over a pool. Rejects with the error of the connection, the reason of its end or what `whenWritten` threw. */
export async function exchange(
  dispatcher: Pick<Dispatcher, 'dispatch'>,
  { ending, whenWritten, maxBodyBytes = Infinity, ...options }: ExchangeOptions,
): Promise<Exchanged> {
  if (ending.reason !== undefined) throw ending.reason;
  const { promise, resolve, reject } = Promise.withResolvers<Exchanged>();
  let controller: Dispatcher.DispatchController | undefined;
  let statusCode = 0;
  let headers: Headers = {};
  const chunks: Buffer[] = [];
  let bytes = 0;
  using _end = ending.onEnd((reason) => {
    controller?.abort(reason);
    reject(reason);
  });
  dispatcher.dispatch(options, {
    onRequestStart: (started) => {
      controller = started;
      // It was aborted while it waited for a connection: it is not sent.
      if (ending.reason !== undefined) started.abort(ending.reason);
      else whenWritten?.();
    },
    onResponseStart: (_controller, status, received) => {
      // 1xx is no response yet.
      if (status < 200) return;
      statusCode = status;
      headers = received;
    },
    onResponseData: (_controller, chunk) => {
      bytes += chunk.length;
      if (bytes <= maxBodyBytes) chunks.push(chunk);
      else controller?.abort(new Error(`the response has more than ${maxBodyBytes} bytes`));
    },
    onResponseEnd: () => resolve({ statusCode, headers, text: textOf(chunks) }),
    onResponseError: (_controller, error) => reject(error),
  });
  return await promise;
}

function textOf(chunks: readonly Buffer[]): string {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first.toString() : Buffer.concat(chunks).toString();
}
