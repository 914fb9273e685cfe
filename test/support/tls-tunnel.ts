/** What speaks TLS for a client that does not, as stunnel does: SDKs connect to it in plain TCP. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Forward } from './port-forward.ts';

/** Listens on 127.0.0.1 until disposed, and connects as told for each of its clients. */
export async function tlsTunnel(to: ConnectionOptions): Promise<Forward> {
  const sockets = new Set<Socket>();
  const track = <T extends Socket>(socket: T, other: () => Socket): T => {
    sockets.add(socket);
    // Either end may go first.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      sockets.delete(socket);
      other().destroy();
    });
    return socket;
  };
  const server = createServer({ noDelay: true }, (plain) => {
    const secure: TLSSocket = track(connect(to), () => plain);
    track(plain, () => secure);
    plain.pipe(secure).pipe(plain);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
