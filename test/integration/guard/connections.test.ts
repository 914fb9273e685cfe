// Connections of a guard: whoever reaches its port can open as many as he likes, and keeps nobody out.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { pino } from 'pino';
import { encodeFrame } from '../../../src/copilot/index.ts';
import { Guard } from '../../../src/guard/guard.ts';
import { Sessions } from '../../../src/guard/sessions.ts';
import { Stamps } from '../../../src/guard/stamps.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import type { SessionGrant } from '../../../src/resources/session-grant.ts';
import { MemoryFences, MemoryFiles } from '../../support/guard-world.ts';
import { waitFor } from '../../support/wait.ts';

const SELF = { tenant: 't/t', server: 't/s', pod: 'p' };
const MOST = 3;
const MIB = 1024 * 1024;

describe('a guard with as many connections as it takes', () => {
  let server: Server;
  let guard: Guard;
  let port: number;
  let received = 0;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    received = 0;
    server = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined).on('data', () => (received += 1)));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const sessions = new Sessions({
      self: SELF,
      fences: new MemoryFences(),
      stamps: new Stamps(new MemoryFiles(), SELF),
      failed: () => undefined,
    });
    guard = new Guard({
      listen: { port: 0, host: '127.0.0.1' },
      server: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
      sessions,
      readGrant: (text) => JSON.parse(String(text)) as SessionGrant,
      unreachable: () => undefined,
      clock: systemClock,
      log: pino({ level: 'silent' }),
      mostConnections: MOST,
    });
    port = await guard.listen();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await guard.close();
    server.close();
  });

  async function open(): Promise<Socket> {
    const before = guard.connections;
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    await waitFor('the guard has the connection', () => guard.connections > before || before === MOST);
    return socket;
  }

  /** Sends a frame that is for the server, and waits until it is there. */
  async function speak(socket: Socket): Promise<void> {
    const before = received;
    socket.write(encodeFrame('{"jsonrpc":"2.0","id":1,"method":"ping"}'));
    await waitFor('the server has it', () => received > before);
  }

  async function grant(socket: Socket): Promise<void> {
    const signed = { ...SELF, session: 'a', epoch: 1, intent: 'load', issuedAt: '' };
    const params = { grant: JSON.stringify(signed) };
    socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'guard.grant', params })));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toContain('"epoch":1');
  }

  it('closes the one that was silent for the longest time, and none that had a grant', async () => {
    const granted = await open();
    await grant(granted);
    const spoke = await open();
    const silent = await open();
    await speak(spoke);
    const closed = once(silent, 'close');
    const next = await open();
    silent.resume();
    await closed;
    const closedToo = once(spoke.resume(), 'close');
    await open();
    await closedToo;
    for (const socket of [granted, next]) await speak(socket);
    expect(guard.connections).toBe(MOST);
  });

  it('takes no more when all of them have had grants', async () => {
    for (let made = 0; made < MOST; made += 1) await grant(await open());
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket.resume(), 'close');
    expect(guard.connections).toBe(MOST);
  });

  it('keeps no more of large frames than one and a part of another, and drops who has sent nothing for the longest time', async () => {
    const large = Buffer.alloc(60 * MIB, 'x');
    large.write('{"jsonrpc":"2.0","id":1,"method":"ping","x":"');
    large.write('"}', large.length - 2);
    const [start, rest] = [large.subarray(0, 50 * MIB), large.subarray(50 * MIB)];
    const [first, second] = [await open(), await open()];
    for (const socket of [first, second]) socket.write(`Content-Length: ${large.length}\r\n\r\n`);
    first.write(start);
    await waitFor('it has sent that', () => first.writableLength === 0);
    const closed = once(first.resume(), 'close');
    second.write(start);
    await closed;
    second.write(rest);
    await waitFor('the frame of the other is passed on', () => received > 0);
  }, 30_000);
});
