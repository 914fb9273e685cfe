// A peer as the server end of a real TCP connection, with our client at the other end.
import { afterEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Client, Peer, acceptedWire, type ClientOptions, type PeerOptions } from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const host = '127.0.0.1';
const timeoutMs = 5000;
const before = openSockets();

interface Pair extends AsyncDisposable {
  readonly peer: Peer;
  readonly client: Client;
}

/** A client that is connected to a peer. */
async function connected(options: Partial<PeerOptions>, ofClient: Partial<ClientOptions> = {}): Promise<Pair> {
  const { promise: accepted, resolve } = Promise.withResolvers<Peer>();
  const listener = createServer((socket) => {
    const peer = new Peer((events) => acceptedWire(socket, events), {
      address: 'the client',
      otherSide: 'client',
      timers: systemClock,
      onRequest: () => ({ ok: true }),
      ...options,
    });
    resolve(peer);
  }).listen(0, host);
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const client = new Client({ host, port, token: 'sesame', timers: systemClock, ...ofClient });
  await client.open({ timeoutMs });
  return {
    client,
    peer: await accepted,
    [Symbol.asyncDispose]: async () => {
      client.close();
      listener.close();
      await once(listener, 'close');
    },
  };
}

afterEach(async () => {
  await socketsLeft(before);
});

it('answers the handshake and requests, and makes requests itself', async () => {
  const seen: unknown[] = [];
  await using pair = await connected(
    { onRequest: (method, params) => void seen.push([method, params]) },
    { onRequest: (method, params) => ({ method, params }) },
  );
  const { peer, client } = pair;
  expect(await client.request('send', { prompt: 'x'.repeat(200_000) }, { timeoutMs })).toBeNull();
  expect(seen).toEqual([
    ['connect', { token: 'sesame' }],
    ['send', { prompt: 'x'.repeat(200_000) }],
  ]);
  expect(await peer.request('approve', { tool: 'shell' })).toEqual({ method: 'approve', params: { tool: 'shell' } });
});

it('is notified when its client closes the connection', async () => {
  const { promise: lost, resolve } = Promise.withResolvers<Error>();
  await using pair = await connected({ onLost: resolve });
  pair.client.close();
  expect((await lost).message).toBe('the client: the client closed the connection');
});

it('puts back-pressure on its client while it is paused, and reads everything afterwards', async () => {
  let seen = 0;
  await using pair = await connected({ onRequest: () => (seen += 1) });
  const { peer, client } = pair;
  peer.pause();
  const prompt = 'x'.repeat(1_000_000);
  const answers = Array.from({ length: 20 }, () => client.request('send', { prompt }, { timeoutMs: 30_000 }));
  await systemClock.sleep(200);
  // What had arrived when it paused, and not the 20 MB.
  expect(seen).toBeLessThan(3);
  peer.resume();
  await Promise.all(answers);
  expect(seen).toBe(21);
});

it('is not writable until its client has read', async () => {
  let drained = 0;
  let received = 0;
  await using pair = await connected({ onDrained: () => (drained += 1) }, { onNotification: () => (received += 1) });
  const { peer } = pair;
  for (let sent = 0; sent < 20; sent += 1) peer.notify('session.event', { text: 'x'.repeat(1_000_000) });
  expect(peer.isWritable).toBe(false);
  await waitFor('the client has read everything', () => received === 20 && peer.isWritable, { withinMs: 10_000 });
  expect(drained).toBeGreaterThan(0);
});
