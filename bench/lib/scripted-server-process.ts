// A server with a script in place of an agent, for more load than the CLI takes: it answers each request with a write of its own, and a
// prompt with the frames of a turn that was recorded of the CLI.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import { credentialHash } from '../../src/resources/binding.ts';
import { RECORDED_SESSION } from './recorded-turn.ts';

const [host = '', port = '', token = '', recording = ''] = process.argv.slice(2);
/** As many bytes as a reader takes at once. */
const WRITE_BYTES = 64 * 1024;
const tokenHash = credentialHash(token);

const turn = recording === '' ? '' : readFileSync(recording, 'latin1');
const turns = new Map<string, Buffer>();

interface Request {
  readonly id: number | string;
  readonly method: string;
  readonly params: { readonly token?: string; readonly sessionId?: string };
}

function turnOf(sessionId: string): Buffer {
  const known = turns.get(sessionId);
  if (known !== undefined) return known;
  const frames = Buffer.from(turn.replaceAll(RECORDED_SESSION, sessionId), 'latin1');
  turns.set(sessionId, frames);
  return frames;
}

async function stream(socket: Socket, frames: Buffer): Promise<void> {
  for (let at = 0; at < frames.length && !socket.destroyed; at += WRITE_BYTES) {
    if (!socket.write(frames.subarray(at, at + WRITE_BYTES)))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
}

function answer(socket: Socket, id: number | string, answer: object): void {
  socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, ...answer })));
}

function take(socket: Socket, { id, method, params }: Request): void {
  const { sessionId = '' } = params;
  switch (method) {
    case 'connect': {
      const isRight =
        createHash('sha256')
          .update(params.token ?? '')
          .digest('hex') === tokenHash;
      if (!isRight) return answer(socket, id, { error: { code: -32000, message: 'AUTHENTICATION_FAILED' } });
      return answer(socket, id, {
        result: { ok: true, protocolVersion: 3, version: '1.0.102', taskKinds: ['agent', 'shell'] },
      });
    }
    case 'session.send':
      answer(socket, id, { result: { messageId: `message-of-${sessionId}` } });
      return void stream(socket, turnOf(sessionId));
    case 'session.create':
    case 'session.resume':
      return answer(socket, id, { result: { sessionId, workspacePath: '/' } });
    case 'sessions.getMetadata':
      return answer(socket, id, { result: {} });
    default:
      return answer(socket, id, { result: { version: '1.0.102', protocolVersion: 3 } });
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const decoder = new FrameDecoder((body) => take(socket, JSON.parse(body.toString()) as Request));
  socket.on('data', (chunk) => decoder.push(chunk));
  // Clients may reset their connections.
  socket.on('error', () => socket.destroy());
});
server.listen({ host, port: Number(port), backlog: 4096 }, () => process.send?.(server.address()));
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
