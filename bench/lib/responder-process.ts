// Simulates many Copilot servers: one socket on all addresses of the machine, so that each address is a server of its own.
// A thousand real ones do not fit on one machine; bench/pinger.ts compares it to a real one.
import { createServer } from 'node:net';
import { FrameDecoder, WRITE_CHECK_ID, encodeFrame } from '../../src/copilot/index.ts';

const [host = '0.0.0.0', port = '4321'] = process.argv.slice(2);

const RESULTS: Record<string, object> = {
  connect: { ok: true, protocolVersion: 3, version: '1.0.102', taskKinds: ['agent', 'shell'] },
  'status.get': { version: '1.0.102', protocolVersion: 3 },
  'sessions.list': { sessions: [] },
  'sessions.getSizes': { sizes: {} },
  'sessions.bulkDelete': { freedBytes: { [WRITE_CHECK_ID]: 0 } },
  'session.delete': { success: false, error: 'Session file not found for it' },
  ping: { message: 'pong', timestamp: '2026-01-01T00:00:00.000000000Z', protocolVersion: 3 },
};

const server = createServer({ noDelay: true }, (socket) => {
  const decoder = new FrameDecoder((body) => {
    const { id, method } = JSON.parse(body.toString()) as { id: number; method: string };
    const result = RESULTS[method];
    const answer =
      result === undefined ? { error: { code: -32601, message: `Unhandled method ${method}` } } : { result };
    socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, ...answer })));
  });
  socket.on('data', (chunk) => decoder.push(chunk));
  // Clients may reset their connections.
  socket.on('error', () => socket.destroy());
});
server.listen({ host, port: Number(port), backlog: 4096 }, () => process.send?.(server.address()));
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
