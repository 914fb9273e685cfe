// A load balancer: passes connections on to HOST:PORT, on port 4001 and 4002 behind a PROXY protocol header of that version, on 4000
// behind none. Who only wants to know whether it runs connects to 8080.
import { connect, createServer } from 'node:net';

const [host, port] = process.argv.slice(2);
// Whose connections they are, of an address for documentation.
const HEADERS = {
  4000: Buffer.alloc(0),
  4001: Buffer.from('PROXY TCP4 198.51.100.1 192.0.2.1 40001 4321\r\n'),
  // Signature, version 2 and PROXY, TCP over IPv4, 12 bytes: both addresses and both ports.
  4002: Buffer.from(
    ['0d0a0d0a000d0a515549540a', '21', '11', '000c', 'c6336402', 'c0000201', '9c42', '10e1'].join(''),
    'hex',
  ),
};

for (const [own, header] of Object.entries(HEADERS)) {
  createServer({ noDelay: true }, (client) => {
    const gateway = connect({ host, port: Number(port), noDelay: true });
    gateway.write(header);
    client.pipe(gateway).pipe(client);
    // Either end may go first.
    client.on('error', () => gateway.destroy()).on('close', () => gateway.destroy());
    gateway.on('error', () => client.destroy()).on('close', () => client.destroy());
  }).listen(Number(own));
}
createServer((asker) => asker.on('error', () => undefined).end()).listen(8080);
