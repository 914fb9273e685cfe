// What a listener of a stream that lends its bytes is given.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server, TLSSocket } from 'node:tls';
import { connectByKeys, serverByKeys, type Reading } from '../../../../src/kube/runtime/keyed-tls.ts';
import { listen } from '../../../../src/kube/runtime/listen.ts';

const keys = { all: [{ id: 'key', key: randomBytes(32) }] };
/** Many records of TLS, and more than a stream of node keeps for a reader. */
const SENT = randomBytes(1_000_000);

let server: Server;
let port: number;
let accepted: Promise<TLSSocket>;

beforeEach(async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  accepted = promise;
  server = serverByKeys(keys, 5_000, resolve);
  port = await listen(server, { host: '127.0.0.1', port: 0 }, () => undefined);
});
afterEach(() => void server.close());

async function connected(reading: Reading): Promise<{ near: TLSSocket; far: TLSSocket }> {
  const near = await connectByKeys({ host: '127.0.0.1', port }, keys, new AbortController().signal, reading);
  return { near, far: await accepted };
}

/** Copies what is read. */
function readAll(socket: TLSSocket): { readonly copies: Buffer[]; readonly memory: Set<ArrayBufferLike> } {
  const [copies, memory] = [[] as Buffer[], new Set<ArrayBufferLike>()];
  socket.on('data', (chunk: Buffer) => {
    copies.push(Buffer.from(chunk));
    memory.add(chunk.buffer);
  });
  return { copies, memory };
}

describe('a stream that lends what was read', () => {
  it('has all in its order, and uses the same memory again', async () => {
    const { near, far } = await connected('Lends');
    const { copies, memory } = readAll(near);
    far.end(SENT);
    await once(near, 'end');
    expect(Buffer.concat(copies).equals(SENT)).toBe(true);
    expect(copies.length).toBeGreaterThan(10);
    expect(memory.size).toBe(1);
  });

  it('keeps what comes before anybody listens, or while it is paused', async () => {
    const { near, far } = await connected('Lends');
    far.end(SENT);
    // As the greeting is read.
    await once(near, 'readable');
    const first = near.read() as Buffer;
    near.removeAllListeners('readable');
    const { copies } = readAll(near);
    near.on('data', () => {
      near.pause();
      setImmediate(() => near.resume());
    });
    near.resume();
    await once(near, 'end');
    expect(Buffer.concat([first, ...copies]).equals(SENT)).toBe(true);
  });
});

it('a stream that keeps what was read gives each listener memory of its own', async () => {
  const { near, far } = await connected('Keeps');
  const { copies, memory } = readAll(near);
  far.end(SENT);
  await once(near, 'end');
  expect(Buffer.concat(copies).equals(SENT)).toBe(true);
  expect(memory.size).toBeGreaterThan(1);
});
