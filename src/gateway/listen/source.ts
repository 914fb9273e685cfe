/** Takes the PROXY protocol header from the start of a connection. */
import type { Socket } from 'node:net';
import { setDeadline, type Timers } from '../../copilot/index.ts';
import { readProxyHeader, type Source } from './proxy-protocol.ts';

/** How long it may take. */
export interface ReadSourceOptions {
  readonly timers: Timers;
  readonly withinMs: number;
}

/**
 * Resolves to where the connection comes from, and leaves the bytes behind the header in the socket, which is paused. Undefined: the
 * balancer speaks for itself. `Invalid`: there is no header, or not in time, or the connection has ended.
 */
export function readSource(
  socket: Socket,
  { timers, withinMs }: ReadSourceOptions,
): Promise<Source | undefined | 'Invalid'> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const deadline = setDeadline(timers, withinMs, () => finish('Invalid'));
    const finish = (source: Source | undefined | 'Invalid'): void => {
      deadline.cancel();
      socket.pause();
      socket.off('data', take);
      socket.off('error', lost);
      socket.off('close', lost);
      // Until its next owner listens, an error must not be one that nobody handles.
      socket.on('error', () => undefined);
      resolve(source);
    };
    const lost = (): void => finish('Invalid');
    const take = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'Incomplete') return;
      if (header.kind === 'Invalid') return finish('Invalid');
      finish(header.source);
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    };
    socket.on('data', take);
    socket.on('error', lost);
    socket.on('close', lost);
  });
}
