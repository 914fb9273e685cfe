// A client that its home has to cut, at a holder that has much to read of it.
import { expect, it } from '@jest/globals';
import { RoutedWorld } from '../../../support/routed-world.ts';

const PIECE = 'x'.repeat(50_000);

it('is closed with the reason, although its holder cannot read that on the stream', async () => {
  const world = new RoutedWorld({}, { hardQueueBytes: 200_000 });
  const client = await world.attached('a', 's');
  const [holder, home] = [world.replica('a'), world.replica('b')];
  const [stream] = holder.streams;
  stream?.pause();
  for (let count = 0; count < 10; count += 1) home.local.server.event('s', 'assistant.message', { content: PIECE });
  await world.settle();
  expect(home.relay.counts.fromPeers).toBe(0);
  stream?.resume();
  await world.settle();
  await world.clock.advance(3000);
  expect(client.cuts).toEqual([{ reason: 'SlowClient', message: expect.stringContaining('bytes to read') }]);
  // It is not attached again anywhere.
  expect([holder.relay.counts.toPeers, home.relay.counts.fromPeers]).toEqual([0, 0]);
  expect(home.received('session.resume')).toHaveLength(1);
});

it('has another one of the same holder served', async () => {
  const world = new RoutedWorld({}, { hardQueueBytes: 200_000 });
  await world.attached('a', 's');
  world.replica('a').streams[0]?.pause();
  const { server } = world.replica('b').local;
  for (let count = 0; count < 10; count += 1) server.event('s', 'assistant.message', { content: PIECE });
  await world.settle();
  const other = await world.attached('a', 'other');
  expect(other.cuts).toEqual([]);
});
