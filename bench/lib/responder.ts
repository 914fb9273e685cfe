import type { AddressInfo } from 'node:net';
import { startChild } from './child.ts';

export interface Responder extends AsyncDisposable {
  pid: number;
  port: number;
}

/** Starts the process that answers for any number of Copilot servers, with any token, at every address of the machine. */
export async function startResponder({ host = '0.0.0.0', port = 4321 } = {}): Promise<Responder> {
  const child = startChild('responder-process.ts', [host, String(port)]);
  const address = await child.message<AddressInfo>();
  return { pid: child.pid, port: address.port, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}
