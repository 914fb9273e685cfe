// What the gateway is compared to: other programs between a client and a server.
import type { AddressInfo } from 'node:net';
import type { Keys } from '../../src/kube/types/keys.ts';
import { startChild } from './child.ts';

export interface Proxy extends AsyncDisposable {
  readonly pid: number;
  /** Where it listens on the loopback. */
  readonly port: number;
}

/** The key by which two pipes know each other. */
export const PIPE_KEYS: Keys = { all: [{ id: 'bench', key: Buffer.alloc(32, 'bench') }] };

/** A bare Node pipe to the server. `tls`: the side on which it speaks TLS, as replicas of the gateway do with each other. */
export async function startPipe(
  to: { readonly host: string; readonly port: number },
  tls: 'neither' | 'in' | 'out' = 'neither',
): Promise<Proxy> {
  const child = startChild('pipe-process.ts', [to.host, String(to.port), tls]);
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
