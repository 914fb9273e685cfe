/**
 * TLS by a key that both sides read from one Secret: who does not have it can neither connect nor answer, and no certificates have to be
 * issued (docs/adr/0037-one-home-a-tenant.md, docs/adr/0050-operator-and-gateway-by-key.md).
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { onAbort } from '../clock/abort.ts';
import { toError } from '../types/errors.ts';
import type { Keys, NamedKey } from '../types/keys.ts';

/** Node takes keys of this kind in TLS 1.2 only. The ephemeral Diffie-Hellman keeps what was recorded secret if the key becomes known. */
const COMMON = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
} as const satisfies TlsOptions;

/** A node that is lost ends no connection, and a stream may be silent for long, ms. */
const KEEPALIVE_MS = 10_000;

/** What OpenSSL finds in the answer of a server that does not speak TLS. */
const NO_TLS: ReadonlySet<unknown> = new Set(['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'ERR_SSL_WRONG_VERSION_NUMBER']);

/**
 * What listeners of `data` are given. `Keeps`: memory of its own. `Lends`: bytes that are valid only during the call, for streams of many bytes, after
 * which V8 would have garbage to collect.
 */
export type Reading = 'Keeps' | 'Lends';

/** What was read of any of the streams that lend: it is handed on before anything else is read. */
const lent = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Connects with the first key that the other side knows, too: while one is rotated, one of the two may not have read the new one yet. Rejects with
 * what went wrong with the last of them, or the reason of `signal`.
 */
export async function connectByKeys(
  at: { readonly host: string; readonly port: number },
  keys: Keys,
  signal: AbortSignal,
  reading: Reading = 'Keeps',
): Promise<TLSSocket> {
  let problem = new Error('there is no key yet');
  for (const key of keys.all) {
    const socket = connectByKey(at, key, reading);
    using _aborted = onAbort(signal, (reason) => socket.destroy(toError(reason)));
    try {
      await once(socket, 'secureConnect');
      return socket;
    } catch (error) {
      socket.destroy();
      problem = explain(toError(error));
      if (signal.aborted) break;
    }
  }
  throw problem;
}

/** Begins to connect with this key. */
function connectByKey(
  at: { readonly host: string; readonly port: number },
  { id, key }: NamedKey,
  reading: Reading,
): TLSSocket {
  const socket: TLSSocket = connect({
    ...COMMON,
    ...at,
    ...(reading === 'Lends' && { onread: { buffer: lent, callback: (bytes: number) => lend(socket, bytes) } }),
    // There are no certificates: the key says who the other side is.
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk: key, identity: id }),
  });
  return ready(socket);
}

/** Hands on what was read, without a copy if somebody takes it now. */
function lend(socket: TLSSocket, bytes: number): boolean {
  const read = lent.subarray(0, bytes);
  if (socket.readableFlowing !== true || socket.readableLength > 0) return socket.push(Buffer.from(read));
  socket.emit('data', read);
  return true;
}

/** A server that takes connections with any of the keys, also while one is rotated. */
export function serverByKeys(keys: Keys, handshakeTimeout: number, accepted: (socket: TLSSocket) => void): Server {
  const pskCallback: NonNullable<TlsOptions['pskCallback']> = (_socket, identity) =>
    keys.all.find(({ id }) => id === identity)?.key ?? null;
  return createServer({ ...COMMON, pskCallback, handshakeTimeout }, (socket) => {
    accepted(ready(socket));
  });
}

/** Whoever has the stream hears of its end by `close`; an error of a stream that nobody has yet must not end the process. */
function ready(socket: TLSSocket): TLSSocket {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_MS);
  socket.on('error', () => undefined);
  return socket;
}

/** OpenSSL's own messages are for who wrote it. */
function explain(error: Error & { readonly code?: unknown; readonly reason?: unknown }): Error {
  if (NO_TLS.has(error.code)) return new Error('it does not speak TLS: it is of an earlier version', { cause: error });
  if (typeof error.reason !== 'string') return error;
  return new Error(`no TLS by a key that both know: ${error.reason}`, { cause: error });
}

/** Host and port of an address such as `[::1]:80`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) };
}
