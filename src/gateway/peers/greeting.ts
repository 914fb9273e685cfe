/** The first frame in each direction of a stream between replicas: who connects, to whom, and what for. */
import type { Duplex } from 'node:stream';
import { encodeFrame, isObject } from '../../copilot/index.ts';
import { isMemberInfo, type MemberInfo } from './messages.ts';

/** What a stream is for. */
export type Purpose = 'control' | 'forward';

/** Who has connected. */
export interface Greeting {
  readonly from: MemberInfo;
  /** Whom it expects: the process that had this address before may have ended. */
  readonly to: string;
  readonly purpose: Purpose;
}

const MAX_GREETING_BYTES = 4 * 1024;
const END_OF_HEADER = '\r\n\r\n';
const HEADER = /^Content-Length: ([0-9]{1,5})$/;
const WELCOME = 'Welcome';

/** Sends the greeting and waits until it is accepted. Rejects if it is not, or the stream ends. The caller sets a deadline by destroying the stream. */
export async function greet(stream: Duplex, greeting: Greeting): Promise<void> {
  stream.write(encodeFrame(JSON.stringify(greeting)));
  const answer: unknown = JSON.parse(await readOne(stream));
  if (!isObject(answer) || answer['type'] !== WELCOME) throw new Error(`refused: ${JSON.stringify(answer)}`);
}

/** Reads the greeting of who has connected; what follows is still to be read. Rejects if it is none. */
export async function readGreeting(stream: Duplex): Promise<Greeting> {
  const value: unknown = JSON.parse(await readOne(stream));
  if (!isObject(value)) throw new Error('the greeting is no object');
  const { from, to, purpose } = value;
  if (!isMemberInfo(from) || typeof to !== 'string' || (purpose !== 'control' && purpose !== 'forward')) {
    throw new Error('the greeting is not valid');
  }
  return { from, to, purpose };
}

/** Accepts it. */
export function welcome(stream: Duplex): void {
  stream.write(encodeFrame(JSON.stringify({ type: WELCOME })));
}

/** Refuses it, and ends the stream. */
export function refuse(stream: Duplex, id: string): void {
  stream.end(encodeFrame(JSON.stringify({ type: 'Refused', id })));
}

/** The body of one frame. What came behind it is put back: it is of another protocol. */
async function readOne(stream: Duplex): Promise<string> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = stream.read();
    if (chunk === null) {
      await readable(stream);
      continue;
    }
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    const body = bodyEnd(bytes);
    if (body === undefined || bytes.length < body.end) continue;
    if (bytes.length > body.end) stream.unshift(bytes.subarray(body.end));
    return bytes.toString('utf8', body.start, body.end);
  }
}

/** Where the body begins and ends; undefined while the header is not complete. */
function bodyEnd(bytes: Buffer): { readonly start: number; readonly end: number } | undefined {
  const at = bytes.indexOf(END_OF_HEADER);
  if (at === -1 && bytes.length < MAX_GREETING_BYTES) return undefined;
  const length = Number(HEADER.exec(bytes.toString('latin1', 0, Math.max(at, 0)))?.[1] ?? NaN);
  if (!(length > 0 && length <= MAX_GREETING_BYTES)) throw new Error('the greeting is no frame');
  const start = at + END_OF_HEADER.length;
  return { start, end: start + length };
}

function readable(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => (): void => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
      end();
    };
    const onReadable = settle(resolve);
    const onEnd = settle(() => reject(new Error('the stream ended before the greeting')));
    const onError = (error: Error): void => settle(() => reject(error))();
    // It may have ended since something was readable: nobody is told again.
    if (stream.destroyed || stream.readableEnded) return onEnd();
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
  });
}
