/** Parses the body of a watch response: lines of JSON, each a watch event. */
import { TransportError, type RequestLine } from '../types/errors.ts';
import type { KubeObject, WatchEvent } from '../types/types.ts';
import { withoutManagedFields } from './slim-json.ts';

/** The longest incomplete line that is buffered. An object is at most 1.5 MB in etcd; JSON makes it longer. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** Splits a stream of bytes into lines, wherever the chunks begin and end; buffers one incomplete line at most. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(maxLineBytes = MAX_LINE_BYTES) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that end in this chunk, without their line feed. Throws RangeError when a line is too long. */
  *push(chunk: Buffer): Generator<string, void, undefined> {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      const rest = chunk.subarray(start, end);
      this.#limit(rest.length);
      const line = this.#pending.length > 0 ? Buffer.concat([...this.#pending, rest]) : rest;
      this.#pending = [];
      this.#pendingBytes = 0;
      start = end + 1;
      if (line.length > 0) yield line.toString('utf8');
    }
    if (start === chunk.length) return;
    const rest = chunk.subarray(start);
    this.#limit(rest.length);
    this.#pending.push(rest);
    this.#pendingBytes += rest.length;
  }

  /** Bytes of the incomplete line. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  #limit(more: number): void {
    const bytes = this.#pendingBytes + more;
    if (bytes > this.#maxLineBytes) throw new RangeError(`a line is longer than ${this.#maxLineBytes} bytes`);
  }
}

const LF = 0x0a;

/**
 * The events of a watch. Ends when the server ends the stream between two lines; throws TransportError `truncated` if it ends inside
 * one, and `protocol` if a line is no watch event: nothing after it can be trusted.
 */
export async function* watchEvents<T extends KubeObject>(
  request: RequestLine,
  chunks: AsyncIterable<Buffer>,
  maxLineBytes?: number,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const splitter = new LineSplitter(maxLineBytes);
  for await (const chunk of chunks) {
    try {
      for (const line of splitter.push(chunk)) yield parseEvent<T>(request, line);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new TransportError(request, 'protocol', `watch: ${cause.message}`, { cause });
    }
    // A first list of 50,000 objects is one long run of chunks: timers and other sockets need their turn.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (splitter.pendingBytes > 0) {
    throw new TransportError(
      request,
      'truncated',
      `watch: the stream ended inside a line of ${splitter.pendingBytes} bytes`,
    );
  }
}

const TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']);

function parseEvent<T extends KubeObject>(request: RequestLine, line: string): WatchEvent<T> {
  let event: unknown;
  try {
    event = JSON.parse(withoutManagedFields(line));
  } catch (cause) {
    throw new TransportError(request, 'protocol', `watch: a line of ${line.length} characters is not JSON`, { cause });
  }
  if (isEvent<T>(event)) return event;
  throw new TransportError(request, 'protocol', `watch: a line of ${line.length} characters is not a watch event`);
}

function isEvent<T extends KubeObject>(event: unknown): event is WatchEvent<T> {
  if (typeof event !== 'object' || event === null || !('type' in event) || !TYPES.has(event.type)) return false;
  if (!('object' in event) || typeof event.object !== 'object' || event.object === null) return false;
  if (event.type === 'ERROR') return true;
  const { object } = event;
  if (!('metadata' in object) || typeof object.metadata !== 'object' || object.metadata === null) return false;
  const metadata: { resourceVersion?: unknown; name?: unknown } = object.metadata;
  if (typeof metadata.resourceVersion !== 'string') return false;
  return event.type === 'BOOKMARK' || typeof metadata.name === 'string';
}
