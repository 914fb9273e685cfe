// What a replica hears from one of another version.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { duplexPair, type Duplex } from 'node:stream';
import { encodeFrame } from '../../../../src/copilot/index.ts';
import { ControlStream } from '../../../../src/gateway/peers/control-stream.ts';
import type { Message } from '../../../../src/gateway/peers/messages.ts';
import { settle } from '../../../support/fake-clock.ts';

const gossip = { members: [{ id: 'a.1', lease: 'a', address: 'a:1' }], dead: [], isDraining: false };
const HEARTBEAT = { type: 'Heartbeat', at: 7, gossip } as const;

let stream: ControlStream;
let far: Duplex;
let heard: Message[];
let ends: string[];

beforeEach(() => {
  const [near, other] = duplexPair();
  far = other;
  heard = [];
  ends = [];
  stream = new ControlStream(near, {
    message: (message) => void heard.push(message),
    ended: (why) => void ends.push(why),
  });
});
afterEach(() => stream.destroy());

async function says(...messages: object[]): Promise<void> {
  for (const message of messages) far.write(encodeFrame(JSON.stringify(message)));
  await settle();
}

describe('a control stream', () => {
  it('takes what is known with more in it', async () => {
    await says({ ...HEARTBEAT, later: 1, gossip: { ...gossip, later: [2] } });
    expect([heard, ends]).toMatchObject([[HEARTBEAT], []]);
  });

  it.each([
    ['is of a kind that is not known', { type: 'Later' }, '"Later"'],
    ['lacks something', { type: 'Heartbeat', at: 7 }, '"Heartbeat"'],
    ['has an answer that is not known', { type: 'Answer', tenant: 't', nonce: 1, answer: 'Later', gossip }, '"Answer"'],
  ])(
    'ends at what %s, and says which, so that nothing is decided by half of what was said',
    async (_, message, word) => {
      await says(HEARTBEAT, message, HEARTBEAT);
      expect(heard).toEqual([HEARTBEAT]);
      expect(ends).toEqual([`a message of a peer is not valid: ${word}`]);
    },
  );
});
