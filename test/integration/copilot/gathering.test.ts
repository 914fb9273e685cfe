// What is written to a server in one turn of the event loop, on real connections.
import { expect, it } from '@jest/globals';
import { dialTcpGathering, type Wire } from '../../../src/copilot/index.ts';
import { RawPeer } from '../../support/raw-peer.ts';
import { waitFor } from '../../support/wait.ts';

const FRAMES = Array.from({ length: 100 }, (_, index) => `frame ${index};`);

/** A wire to a peer that keeps what arrives, once it is connected. */
async function dialled(): Promise<{ wire: Wire; chunks: string[] } & AsyncDisposable> {
  const chunks: string[] = [];
  const peer = await RawPeer.listen((socket) => socket.on('data', (chunk) => chunks.push(chunk.toString())));
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const events = { connected: resolve, data: () => undefined, drained: () => undefined, closed: () => undefined };
  const wire = dialTcpGathering(peer, events);
  await connected;
  return { wire, chunks, [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose]() };
}

it('arrives at once, in its order', async () => {
  await using end = await dialled();
  for (const frame of FRAMES) end.wire.write(frame);
  await waitFor('all frames', () => end.chunks.join('') === FRAMES.join(''));
  expect(end.chunks).toEqual([FRAMES.join('')]);
  end.wire.write('later');
  await waitFor('what is written later', () => end.chunks.join('').endsWith('later'));
  end.wire.destroy();
});

it('arrives although the connection is closed in the same turn', async () => {
  await using end = await dialled();
  for (const frame of FRAMES) end.wire.write(frame);
  end.wire.destroy();
  await waitFor('all frames', () => end.chunks.join('') === FRAMES.join(''));
});
