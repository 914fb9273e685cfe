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

it('takes the handshake and requests, and makes some of its own', async () => {
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

it('learns that its client is gone', async () => {
  const { promise: lost, resolve } = Promise.withResolvers<Error>();
  await using pair = await connected({ onLost: resolve });
  pair.client.close();
  expect((await lost).message).toBe('the client: the client closed the connection');
});

it('makes a client wait that it does not read from, and reads all of it afterwards', async () => {
  let seen = 0;
  await using pair = await connected({ onRequest: () => (seen += 1) });
  const { peer, client } = pair;
  peer.pause();
  const prompt = 'x'.repeat(1_000_000);
  const answers = Array.from({ length: 20 }, () => client.request('send', { prompt }, { timeoutMs: 30_000 }));
  await systemClock.sleep(200);
  // What was read when it paused, and not the 20 MB.
  expect(seen).toBeLessThan(3);
  peer.resume();
  await Promise.all(answers);
  expect(seen).toBe(21);
});

it('finds that its client has not read yet, and when it has', async () => {
  let drained = 0;
  let received = 0;
  await using pair = await connected(
    { onDrained: () => (drained += 1) },
    {
      onNotification: () => {
        // As a client that is busy: nothing is read meanwhile.
        if (received === 0) for (const until = performance.now() + 300; performance.now() < until;);
        received += 1;
      },
    },
  );
  const { peer } = pair;
  for (let sent = 0; sent < 20; sent += 1) peer.notify('session.event', { text: 'x'.repeat(1_000_000) });
  expect(peer.isWritable).toBe(false);
  await waitFor('the client has read everything', () => received === 20 && peer.isWritable, { withinMs: 10_000 });
  expect(drained).toBeGreaterThan(0);
});
