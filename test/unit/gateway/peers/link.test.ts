// The link to a peer of which nothing is heard although no connection has ended, as when the network between them was lost.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import { ControlStream } from '../../../../src/gateway/peers/control-stream.ts';
import { readGreeting, welcome } from '../../../../src/gateway/peers/greeting.ts';
import { Link } from '../../../../src/gateway/peers/link.ts';
import type { Message } from '../../../../src/gateway/peers/messages.ts';
import { serverByKeys } from '../../../../src/kube/runtime/keyed-tls.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { waitFor } from '../../../support/wait.ts';

const keys = { all: [{ id: 'first', key: randomBytes(32) }] };
const ALIVE: Message = { type: 'Alive', at: 1, gossip: { members: [], dead: [], isDraining: false } };

let clock: FakeClock;
let server: Server;
/** The peer's ends of all streams so far. */
let streams: ControlStream[];
let sockets: TLSSocket[];
let link: Link;
let seen: string[];

beforeEach(async () => {
  clock = new FakeClock();
  [streams, sockets, seen] = [[], [], []];
  server = serverByKeys(keys, 30_000, (socket) => {
    sockets.push(socket);
    void readGreeting(socket).then(() => {
      welcome(socket);
      streams.push(new ControlStream(socket, { message: () => undefined, ended: () => undefined }));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  link = new Link({
    keys,
    clock,
    random: () => 0,
    self: () => ({ id: 'a.1', lease: 'a', address: 'a:1' }),
    member: { id: 'b.1', lease: 'b', address },
    up: () => void seen.push('up'),
    message: ({ type }) => void seen.push(type),
    down: (why) => void seen.push(why),
    quiet: () => void seen.push('quiet'),
  });
  await waitFor('the link is up', () => seen.includes('up'));
});

afterEach(() => {
  link.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

/** The peer says something. */
async function hear(): Promise<void> {
  const before = seen.length;
  streams.at(-1)?.send(ALIVE);
  await waitFor('it was heard', () => seen.length > before);
}

describe('a link', () => {
  it('stays while its peer is heard, however seldom', async () => {
    for (let count = 0; count < 5; count += 1) {
      await clock.advance(9_900);
      await hear();
    }
    expect(seen).toEqual(['up', ...Array.from({ length: 5 }, () => 'Alive')]);
  });

  it('on which nothing is heard is ended and dialled again, and what else is connected to the peer is told so', async () => {
    await clock.advance(11_000);
    expect(seen).toEqual(['up', 'quiet', 'nothing was heard of it for 11 s']);
    await waitFor('it is up again', async () => {
      await clock.advance(100);
      return seen.filter((each) => each === 'up').length === 2;
    });
    await hear();
    expect(seen.at(-1)).toBe('Alive');
  });

  it('stays if it was this process that did not run', async () => {
    streams.at(-1)?.send(ALIVE);
    await clock.pause(60_000);
    await waitFor('what had come is read', () => seen.includes('Alive'));
    await clock.advance(9_900);
    expect(seen).toEqual(['up', 'Alive']);
  });

  it('leaves no timer behind when it is closed', async () => {
    link.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
