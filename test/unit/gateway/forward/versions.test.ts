// Replicas of two versions, while one takes the place of the other.
import { describe, expect, it } from '@jest/globals';
import { encodeFrame } from '../../../../src/copilot/index.ts';
import { RoutedWorld } from '../../../support/routed-world.ts';

const TOOL = { tools: [{ name: 'lookup' }], model: 'm' };
const NOT_SENT = { code: -32050, data: { retryable: true, outcome: 'NotSent' } };

describe('a client whose home does not know the form in which its replica speaks of it', () => {
  it('is not taken there, which is logged once; what it sends waits, and is done by the next home', async () => {
    const world = new RoutedWorld();
    world.ofEarlierForm.add('b');
    const client = world.replica('a').client();
    const id = client.call('session.resume', { sessionId: 's', ...TOOL });
    await world.clock.advance(10_000);
    const ping = client.call('ping');
    await world.settle();
    const b = world.replica('b');
    expect([b.received('session.resume'), b.logged]).toEqual([[], [{ peer: 'a' }]]);
    expect(client.answer(ping)?.result).toBeDefined();
    expect(client.answer(id)).toBeUndefined();
    // The roll-out goes on.
    world.kill('b', 'c');
    await world.clock.advance(3_000);
    expect(world.replica('c').received('session.resume')).toMatchObject([{ params: { sessionId: 's', ...TOOL } }]);
    expect(client.answer(id)?.result).toMatchObject({ sessionId: 's' });
  });

  it('is told that nothing was sent if that takes too long, and may try again', async () => {
    const world = new RoutedWorld({ heldMs: 5_000 });
    world.ofEarlierForm.add('b');
    const client = world.replica('a').client();
    const id = client.call('session.send', { sessionId: 's', prompt: 'p' });
    await world.clock.advance(5_000);
    expect(client.answer(id)?.error).toMatchObject(NOT_SENT);
  });
});

it('what a later version says beside what is known here is no matter to either side', async () => {
  const world = new RoutedWorld();
  const client = await world.attached('a', 's', TOOL);
  for (const replica of ['a', 'b'])
    for (const stream of world.replica(replica).streams) stream.write(encodeFrame('M{"type":"Later","what":1}'));
  const b = world.replica('b');
  b.answers('session.mode.get', () => ({ mode: 'interactive' }));
  const id = client.call('session.mode.get', { sessionId: 's' });
  await world.settle();
  expect(client.answer(id)?.result).toEqual({ mode: 'interactive' });
  b.local.server.event('s', 'session.idle');
  await world.settle();
  expect(client.events).toEqual(['session.idle']);
});
