// What the gateway is compared to: other programs between a client and a server.
import type { AddressInfo } from 'node:net';
import type { Keys } from '../../src/kube/types/keys.ts';
import { startChild } from './child.ts';

export interface Proxy extends AsyncDisposable {
  readonly pid: number;
  /** Where it listens on the loopback. */
  readonly port: number;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface PipeOptions {
  /** Where it listens; default: any port of the loopback. */
  readonly at?: Address;
  /** The side on which it speaks TLS, as replicas of the gateway do with each other; default: neither. */
  readonly tls?: 'in' | 'out';
}

/** The key by which two pipes know each other. */
export const PIPE_KEYS: Keys = { all: [{ id: 'bench', key: Buffer.alloc(32, 'bench') }] };

/** A bare Node pipe to the server. */
export async function startPipe(
  to: Address,
  { at = { host: '127.0.0.1', port: 0 }, tls }: PipeOptions = {},
): Promise<Proxy> {
  const addresses = [to, at].flatMap(({ host, port }) => [host, String(port)]);
  const child = startChild('pipe-process.ts', [...addresses, tls ?? 'neither']);
  const { port } = await child.message<AddressInfo>();
  return { pid: child.pid, port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

/** A prompt for a server with a script, as JSON: its turn again and again, at this pace. */
export interface StreamOrder {
  readonly bytes: number;
  readonly bytesPerSecond: number;
}

/** The least relay of calls that a Node program can be, with its connection to the server. */
export async function startLeastRelay(to: {
  readonly host: string;
  readonly port: number;
  readonly token: string;
}): Promise<Proxy> {
  const child = startChild('least-relay-process.ts', [to.host, String(to.port), to.token]);
  const { port } = await child.message<AddressInfo>();
  return { pid: child.pid, port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

/** A server with a script; `recording` is the file with the turn that it repeats. */
export async function startScriptedServer(
  at: { readonly host: string; readonly port: number; readonly token: string },
  recording = '',
): Promise<Proxy> {
  const child = startChild('scripted-server-process.ts', [at.host, String(at.port), at.token, recording]);
  const { port } = await child.message<AddressInfo>();
  return { pid: child.pid, port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}
