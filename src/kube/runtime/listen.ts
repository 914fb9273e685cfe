/** How servers of this project listen and end: what happens when one cannot, or cannot accept a connection later. */
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';

/** Where a server listens. */
export interface Address {
  /** Default: all addresses of the pod, IPv4 and IPv6. */
  readonly host?: string | undefined;
  /** 0 for any free port. */
  readonly port: number;
}

/** How a server listens. */
export interface ListenOptions {
  /** Connections that wait in the kernel to be accepted; default: Node's. */
  readonly backlog?: number | undefined;
}

/**
 * Resolves to the port; rejects if it is in use. `failed` is told of each connection that cannot be accepted later, because this process has no
 * file descriptor left for it: without a listener for that error the process would end.
 */
export function listen(
  server: Server,
  { host, port }: Address,
  failed: (error: Error) => void,
  { backlog }: ListenOptions = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, backlog }, () => {
      server.off('error', reject);
      server.on('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Resolves once it has ended, which open connections do not hold up: they are closed, too. */
export function closeAll(server: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
