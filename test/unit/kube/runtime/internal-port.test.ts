// Operator and gateway to each other: what a network between them sees, and what happens while only one of the two knows a key.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import {
  AnswerError,
  askInternalPort,
  bearerToken,
  InternalPortServer,
  readText,
} from '../../../../src/kube/runtime/internal-port.ts';
import type { NamedKey } from '../../../../src/kube/types/keys.ts';

const TOKEN = 'the-token-of-the-operator';
/** Of this machine like 127.0.0.1, but not what `kubectl port-forward` connects to. */
const NETWORK = '127.0.0.2';
const [OLD, NEW, OTHER] = ['old', 'new', 'other'].map((id) => ({ id, key: randomBytes(32) })) as [
  NamedKey,
  NamedKey,
  NamedKey,
];

let directory: string;
let tokenFile: string;
/** The keys that each side knows. */
let known: Record<'server' | 'client', NamedKey[]>;
/** What was asked: the token, and the body. */
let asked: string[];
let answer: { status: number; text: string };
const open: { close(): unknown }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'internal-port-'));
  tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`);
  known = { server: [OLD], client: [OLD] };
  [asked, answer] = [[], { status: 200, text: 'it is' }];
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  rmSync(directory, { recursive: true });
});

/** Resolves to the port. */
async function start({ isOpenToLoopback = false } = {}): Promise<number> {
  const server = new InternalPortServer({
    keys: {
      get all() {
        return known.server;
      },
    },
    isOpenToLoopback,
    log: pino({ level: 'silent' }),
    handle: async (request, response) => {
      asked.push(`${request.method} ${request.url} ${bearerToken(request)} ${await readText(request, 1_000)}`.trim());
      response.writeHead(answer.status).end(answer.text);
    },
  });
  open.push(server);
  return server.listen({ port: 0 });
}

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, NETWORK), 'listening');
  open.push(server);
  return (server.address() as AddressInfo).port;
}

const ask = (port: number, body?: object, stop = new AbortController().signal): Promise<string> =>
  askInternalPort(`${NETWORK}:${port}`, { keys: { all: known.client }, tokenFile }, stop, {
    path: '/wakes',
    ...(body && { body }),
  });

describe('who asks an internal port', () => {
  it('is answered, without that the network between them sees the token or what is said', async () => {
    const target = await start();
    const seen: Buffer[] = [];
    const proxy = createServer((client) => {
      const server = connect(target, NETWORK);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.on('data', (bytes) => void seen.push(bytes)).on('error', () => undefined);
        from.pipe(to);
      }
    });
    expect(await ask(await listening(proxy), { tenants: ['acme'] })).toBe('it is');
    expect(asked).toEqual([`POST /wakes ${TOKEN} {"tenants":["acme"]}`]);
    const bytes = Buffer.concat(seen).toString('latin1');
    expect(bytes.length).toBeGreaterThan(500);
    for (const secret of [TOKEN, 'acme', '/wakes', 'it is']) expect(bytes).not.toContain(secret);
  });

  it('asks by GET where nothing is to be sent, again and again', async () => {
    const port = await start();
    expect([await ask(port), await ask(port)]).toEqual(['it is', 'it is']);
    expect(asked).toEqual([`GET /wakes ${TOKEN}`, `GET /wakes ${TOKEN}`]);
  });

  it('is told the answer that is not 2xx', async () => {
    answer = { status: 403, text: 'it needs a right\n' };
    const refused = await ask(await start()).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AnswerError);
    expect(refused).toMatchObject({ status: 403, message: 'HTTP 403: it needs a right' });
  });

  it('takes no answer without end', async () => {
    answer = { status: 200, text: 'x'.repeat(9 * 1024 * 1024) };
    await expect(ask(await start())).rejects.toThrow('the answer has more than');
  });

  it('is told that nothing listens there', async () => {
    const server = createServer();
    const port = await listening(server);
    server.close();
    await expect(ask(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('stops at once when the process does', async () => {
    const stop = new AbortController();
    const asking = ask(await listening(createServer()), undefined, stop.signal);
    stop.abort(new Error('the process stops'));
    await expect(asking).rejects.toThrow('the process stops');
  });
});

describe('a key', () => {
  it.each<[string, Record<'server' | 'client', NamedKey[]>]>([
    ['the server has read first', { server: [NEW, OLD], client: [OLD] }],
    ['the client has read first', { server: [OLD], client: [NEW, OLD] }],
    ['both have read', { server: [NEW, OLD], client: [NEW, OLD] }],
    ['both have, and the one before is gone', { server: [NEW], client: [NEW] }],
  ])('that %s is no hindrance', async (_, keys) => {
    known = keys;
    expect(await ask(await start())).toBe('it is');
  });

  it('that was replaced is used by the next request', async () => {
    const port = await start();
    expect(await ask(port)).toBe('it is');
    known.server = [NEW];
    await expect(ask(port)).rejects.toThrow('no TLS by a key that both know');
    known.client = [NEW];
    expect(await ask(port)).toBe('it is');
  });

  it.each<[string, NamedKey[], RegExp]>([
    ['another one', [OTHER], /^no TLS by a key that both know: .*psk identity/],
    ['another one of the same name', [{ ...OTHER, id: OLD.id }], /^no TLS by a key that both know: /],
    ['none yet', [], /^there is no key yet$/],
  ])('is needed: who has %s asks nothing', async (_, keys, message) => {
    known.client = keys;
    await expect(ask(await start())).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });

  it('is needed to answer, too: no token goes to who has none', async () => {
    known.server = [];
    await expect(ask(await start())).rejects.toThrow('no TLS by a key that both know');
    let requests = 0;
    const heard: Buffer[] = [];
    const earlier = createHttpServer(() => (requests += 1));
    earlier.on('connection', (socket) => socket.on('data', (bytes) => void heard.push(bytes)));
    await expect(ask(await listening(earlier))).rejects.toThrow('it does not speak TLS: it is of an earlier version');
    expect([requests, Buffer.concat(heard).includes(TOKEN)]).toEqual([0, false]);
  });
});

it('closes while somebody is in the middle of the handshake', async () => {
  const port = await start();
  const stranger = connect(port, NETWORK);
  await once(stranger, 'connect');
  // Answered after it: so the server has the connection of the stranger, too.
  expect(await ask(port)).toBe('it is');
  const ended = once(stranger.resume(), 'close');
  await open.splice(0)[0]?.close();
  await ended;
}, 3_000);

describe('plain HTTP', () => {
  const plain = async (host: string, port: number) => {
    const response = await fetch(`http://${host}:${port}/clients`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return response.text();
  };

  it.each([
    ['the network, though the loopback is open', NETWORK, true],
    ['the loopback, which is not open', '127.0.0.1', false],
  ])('is not answered from %s', async (_, host, isOpenToLoopback) => {
    await expect(plain(host, await start({ isOpenToLoopback }))).rejects.toThrow('fetch failed');
    expect(asked).toEqual([]);
  });

  it('is answered from the loopback where that is open', async () => {
    expect(await plain('127.0.0.1', await start({ isOpenToLoopback: true }))).toBe('it is');
    expect(asked).toEqual([`GET /clients ${TOKEN}`]);
  });
});
