// What is written to a server in one turn of the event loop, on real connections.
import { describe, expect, it } from '@jest/globals';
import { dialTcp, dialTcpGathering, dialTcpWhile, type Dial, type Wire } from '../../../src/copilot/index.ts';
import { RawPeer } from '../../support/raw-peer.ts';
import { probedIn } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const FRAMES = Array.from({ length: 100 }, (_, index) => `frame ${index};`);

interface Dialled extends AsyncDisposable {
  readonly wire: Wire;
  readonly chunks: string[];
  /** How the connection ended at the peer. */
  readonly ends: string[];
  readonly isClosed: boolean;
  /** How often it was said that the peer has read what was written. */
  readonly drains: number;
}

/** A wire to a peer that keeps what arrives, once it is connected. */
async function dialled(dial: Dial = dialTcpGathering): Promise<Dialled> {
  const chunks: string[] = [];
  let isClosed = false;
  let drains = 0;
  const ends: string[] = [];
  const peer = await RawPeer.listen((socket) => {
    socket.on('data', (chunk) => chunks.push(chunk.toString()));
    socket.on('end', () => ends.push('end'));
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => ends.push(code));
  });
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const events = {
    connected: resolve,
    data: () => undefined,
    drained: () => void (drains += 1),
    closed: () => void (isClosed = true),
  };
  const wire = dial(peer, events);
  await connected;
  return {
    wire,
    chunks,
    ends,
    get isClosed() {
      return isClosed;
    },
    get drains() {
      return drains;
    },
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
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

it('is too much at some time, until it was read', async () => {
  await using end = await dialled();
  const large = FRAMES.map((frame) => frame.padEnd(10_000, '.'));
  const taken = large.map((frame) => end.wire.write(frame));
  expect([taken[0], taken.at(-1), end.drains]).toEqual([true, false, 0]);
  await waitFor('all frames', () => end.chunks.join('') === large.join(''));
  await waitFor('what is told of it', () => end.drains > 0);
  expect([end.drains, end.wire.write('later')]).toEqual([1, true]);
  end.wire.destroy();
});

it('arrives although the connection is closed in the same turn', async () => {
  await using end = await dialled();
  for (const frame of FRAMES) end.wire.write(frame);
  end.wire.destroy();
  await waitFor('all frames', () => end.chunks.join('') === FRAMES.join(''));
});

describe('who may write no more', () => {
  it.each(['at the end of the turn', 'by the next frame', 'by a close'])(
    'has sent nothing of the turn, and nothing that is on its way comes any more: %s',
    async (how) => {
      let may = true;
      await using end = await dialled(dialTcpWhile(() => may));
      end.wire.write('before');
      await waitFor('what was written before', () => end.chunks.join('') === 'before');
      end.wire.write('gathered');
      may = false;
      if (how === 'by the next frame') end.wire.write('too late');
      if (how === 'by a close') end.wire.destroy();
      await waitFor('the connection is closed', () => end.isClosed);
      // So the kernel of this machine has nothing left to send, however long the network is away.
      await waitFor('the end at the peer', () => end.ends.length > 0);
      expect([end.chunks, end.ends]).toEqual([['before'], ['ECONNRESET']]);
    },
  );
});

describe('a connection on which nothing is heard', () => {
  it.each([dialTcp, dialTcpGathering])('is probed after a minute, so that one that is half open ends', async (dial) => {
    await using peer = await RawPeer.listen(() => undefined);
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const nothing = () => undefined;
    const wire = dial(peer, { connected: resolve, data: nothing, drained: nothing, closed: nothing });
    await connected;
    const seconds = probedIn({ remote: peer.port });
    wire.destroy();
    expect(seconds).toBeGreaterThan(55);
    expect(seconds).toBeLessThanOrEqual(60);
  });
});
