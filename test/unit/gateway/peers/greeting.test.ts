// The first frame of a stream between replicas, from streams that end in awkward moments.
import { describe, expect, it } from '@jest/globals';
import { Duplex } from 'node:stream';
import { greet } from '../../../../src/gateway/peers/greeting.ts';

const FROM = { id: 'a.1', lease: 'a', address: 'a:1' };

describe('a greeting', () => {
  it('fails if the stream is closed as soon as something has come', async () => {
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const greeted = greet(stream, { from: FROM, to: 'b.1', purpose: 'control' });
    // All before the one who waits has its turn.
    stream.once('readable', () => process.nextTick(() => stream.destroy()));
    stream.push('Content-Le');
    await expect(greeted).rejects.toThrow('the stream ended before the greeting');
  });
});
