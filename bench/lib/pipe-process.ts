// A bare pipe: the least that a Node program between two sockets does.
import { connect, createServer } from 'node:net';

const [host = '', port = '', at = '127.0.0.1', atPort = '0'] = process.argv.slice(2);

const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ host, port: Number(port), noDelay: true });
  client.pipe(upstream).pipe(client);
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.on('close', () => upstream.destroy());
});
server.listen({ host: at, port: Number(atPort), backlog: 4096 }, () => process.send?.(server.address()));
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
