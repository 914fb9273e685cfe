// A bare pipe: the least that a Node program between two sockets does. One of its sides may speak TLS as replicas of the gateway do.
import { connect, createServer, type Socket } from 'node:net';
import { connectByKeys, serverByKeys } from '../../src/kube/runtime/keyed-tls.ts';
import { PIPE_KEYS } from './proxies.ts';

const HANDSHAKE_MS = 5000;
const [host = '', port = '', at = '', atPort = '', tls = ''] = process.argv.slice(2);
const to = { host, port: Number(port) };

async function pipe(client: Socket): Promise<void> {
  // Clients may reset their connections.
  client.on('error', () => client.destroy());
  const upstream =
    tls === 'out'
      ? await connectByKeys(to, PIPE_KEYS, new AbortController().signal)
      : connect({ ...to, noDelay: true });
  client.pipe(upstream).pipe(client);
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.on('close', () => upstream.destroy());
}

const accept = (client: Socket): void => void pipe(client);
const server = tls === 'in' ? serverByKeys(PIPE_KEYS, HANDSHAKE_MS, accept) : createServer({ noDelay: true }, accept);
server.listen({ host: at, port: Number(atPort), backlog: 4096 }, () => process.send?.(server.address()));
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
