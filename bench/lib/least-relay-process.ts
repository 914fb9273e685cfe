// The least that a Node program does which carries the calls of its clients over one connection to a server: it splits frames, parses each call,
// because it must know what it passes on, and puts another id in place of the client's, and back. It checks nothing, and keeps nothing else.
import { connect, createServer, type Socket } from 'node:net';
import {
  FrameDecoder,
  answerFor,
  encodeFrame,
  formatAnswer,
  formatRequest,
  scanAnswer,
} from '../../src/copilot/index.ts';

const [host = '', port = '', token = ''] = process.argv.slice(2);

interface Call {
  readonly id: number | string;
  readonly method: string;
  readonly params: object;
}

/** Who waits for the answer to which call, by the id on the server's connection. */
const waiting = new Map<number, { readonly client: Socket; readonly id: number | string }>();
let lastId = 0;

const upstream = connect({ host, port: Number(port), noDelay: true });

function ask(method: string, params: object): void {
  lastId += 1;
  upstream.write(encodeFrame(formatRequest(lastId, method, params)));
}

const answers = new FrameDecoder((body) => {
  const head = scanAnswer(body);
  const asked = head && waiting.get(head.id);
  if (head === undefined || asked === undefined) return;
  waiting.delete(head.id);
  asked.client.write(encodeFrame(answerFor(asked.id, body, head).toString()));
});
upstream.on('data', (chunk) => answers.push(chunk));
ask('connect', { token });

const server = createServer({ noDelay: true }, (client) => {
  const calls = new FrameDecoder((body) => {
    const { id, method, params } = JSON.parse(body.toString()) as Call;
    if (method === 'connect') {
      client.write(encodeFrame(formatAnswer(id, { ok: true })));
    } else {
      ask(method, params);
      waiting.set(lastId, { client, id });
    }
  });
  client.on('data', (chunk) => calls.push(chunk));
  // Clients may reset their connections.
  client.on('error', () => client.destroy());
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => process.send?.(server.address()));
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
