import { describe, expect, it } from '@jest/globals';
import { encodeFrame } from '../../../../src/copilot/index.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';

const prompt = { sessionId: 's', prompt: 'p' };

/** The one value of a metric without labels. */
async function valueOf(world: RelayWorld, name: string): Promise<number> {
  return (await world.counted(name))[''] ?? 0;
}

describe('traffic with servers', () => {
  it('is counted in frames and in bytes of their bodies, each way', async () => {
    const world = new RelayWorld();
    const client = world.client();
    client.call('status.get', { text: 'é' });
    await settle();
    const sent = world.server.received.map((frame) => Buffer.byteLength(JSON.stringify(frame)));
    expect(sent).toHaveLength(2);
    expect(await valueOf(world, 'server_sent_frames_total')).toBe(2);
    expect(await valueOf(world, 'server_sent_bytes_total')).toBe((sent[0] ?? 0) + (sent[1] ?? 0));
    const before = await valueOf(world, 'server_received_bytes_total');
    const event = '{"jsonrpc":"2.0","method":"session.lifecycle","params":{"text":"é"}}';
    // However it is cut.
    for (const byte of Buffer.from(encodeFrame(event))) world.server.events.data(Buffer.from([byte]));
    expect(await valueOf(world, 'server_received_bytes_total')).toBe(before + Buffer.byteLength(event));
    expect(await valueOf(world, 'server_received_frames_total')).toBe(2);
  });

  it('includes answers to requests of servers', async () => {
    const world = new RelayWorld();
    await world.attached('s');
    const before = await valueOf(world, 'server_sent_frames_total');
    world.server.request(1, 'userInput.request', { sessionId: 'nobody' });
    expect(await valueOf(world, 'server_sent_frames_total')).toBe(before + 1);
  });

  it('counts a frame that is too large as skipped, and not as received', async () => {
    const world = new RelayWorld({ serverFrameBytes: 100 });
    await world.attached('s');
    const before = await valueOf(world, 'server_received_frames_total');
    world.server.event('s', 'assistant.message', { text: 'x'.repeat(200) });
    expect(await valueOf(world, 'server_oversize_frames_total')).toBe(1);
    expect(await valueOf(world, 'server_received_frames_total')).toBe(before);
  });
});

describe('connections to servers', () => {
  it('are counted by how dials went and by why they ended', async () => {
    const world = new RelayWorld();
    const client = world.client();
    world.isUp = false;
    client.call('status.get');
    await settle();
    expect(await world.counted('server_dials_total')).toEqual({ Unreachable: 1 });
    world.isUp = true;
    await world.clock.advance(250);
    expect(await world.counted('server_dials_total')).toEqual({ Unreachable: 1, Connected: 1 });
    expect(await world.counted('server_disconnects_total')).toEqual({});
    world.server.events.closed(undefined);
    client.call('status.get');
    await settle();
    world.server.events.data(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    client.call('status.get');
    await settle();
    const { servers = [] } = world.fleet.find({ namespace: 'team', name: 'acme' }) ?? {};
    world.fleet.change({ servers: servers.map((server) => ({ ...server, podUID: 'pod-2' })) });
    client.call('status.get');
    await settle();
    world.relay.close();
    expect(await world.counted('server_disconnects_total')).toEqual({
      Unreachable: 1,
      ProtocolError: 1,
      Replaced: 1,
      Closed: 1,
    });
    expect(await world.counted('server_dials_total')).toEqual({ Unreachable: 1, Connected: 4 });
  });

  it('count no dial for a tenant without a server', async () => {
    const world = new RelayWorld({ failoverMs: 0 });
    world.fleet.change({ servers: [] });
    world.client().call('status.get');
    expect(await world.counted('server_dials_total')).toEqual({});
    expect(await world.counted('refused_calls_total')).toEqual({ Unavailable: 1 });
  });
});

describe('turns', () => {
  it('are counted when they end, with the prompts that had to wait for them', async () => {
    const world = new RelayWorld({ heldSends: 1, failoverMs: 0 });
    const [a, b] = [await world.attached('s'), await world.attached('s')];
    a.call('session.send', prompt);
    b.call('session.send', prompt);
    b.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm1' });
    world.server.event('s', 'user.message');
    world.server.event('s', 'assistant.turn_start');
    expect(await world.counted('turns_total')).toEqual({});
    world.server.event('s', 'session.idle');
    expect(await world.counted('turns_total')).toEqual({ Finished: 1 });
    expect(await world.counted('held_prompts_total')).toEqual({ Sent: 1, TooMany: 1 });
    expect(await world.counted('refused_calls_total')).toEqual({ TooManyPrompts: 1 });
    world.server.event('s', 'user.message');
    world.isUp = false;
    world.server.events.closed(undefined);
    await settle();
    expect(await world.counted('turns_total')).toEqual({ Finished: 1, ServerLost: 1 });
  });

  it('of a session that is deleted are told from those of a lost server', async () => {
    const world = new RelayWorld();
    const a = await world.attached('s');
    world.server.event('s', 'user.message');
    a.call('session.delete', { sessionId: 's' });
    world.server.answer(world.server.last('session.delete').id, { success: true });
    expect(await world.counted('turns_total')).toEqual({ SessionDeleted: 1 });
  });
});

describe('calls that are refused', () => {
  it('are counted by reason', async () => {
    const world = new RelayWorld({ openRequests: 2, attachedSessions: 1, failoverMs: 0 });
    const client = await world.attached('s');
    client.send('{"jsonrpc":"2.0","id":"a","method":"status.get","params":[1]}');
    client.call('session.resume', { sessionId: 't' });
    client.send('{"jsonrpc":"2.0","id":"a","method":"status.get"}');
    client.send('{"jsonrpc":"2.0","id":"a","method":"status.get"}');
    client.call('status.get');
    client.call('status.get');
    expect(await world.counted('refused_calls_total')).toEqual({ Invalid: 2, TooManySessions: 1, TooManyCalls: 1 });
    world.isUp = false;
    world.server.events.closed(undefined);
    await settle();
    expect((await world.counted('refused_calls_total'))['Unavailable']).toBe(2);
  });
});

it('what the gateway answers in place of clients is counted by what was asked', async () => {
  const world = new RelayWorld({ permissionTimeoutMs: 1000, detachAfterMs: 1e9 });
  const client = await world.attached('s', { hooks: true });
  world.server.event('s', 'permission.requested', { requestId: 'p' });
  world.server.request(1, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
  world.server.request(2, 'userInput.request', { sessionId: 'nobody' });
  client.leave();
  expect(await world.counted('unattended_total')).toEqual({ 'userInput.request': 1 });
  await world.clock.advance(1000);
  expect(await world.counted('unattended_total')).toEqual({
    'userInput.request': 1,
    'permission.requested': 1,
    'hooks.invoke': 1,
  });
});

it('names that a server or a client makes up become no series', async () => {
  const world = new RelayWorld();
  const seriesOf = async () =>
    (await world.registry.metrics()).split('\n').filter((line) => !line.startsWith('#')).length;
  const client = await world.attached('s');
  const before = await seriesOf();
  for (let n = 0; n < 100; n += 1) {
    world.server.request(n, `made.up${n}`, { sessionId: 's' });
    world.server.event('s', `made.up${n}`, { requestId: `${n}` });
    client.call(`made.up${n}`);
    await world.attach(client, `session-${n}`);
  }
  expect(await seriesOf()).toBe(before);
});

it('events that a slow client was spared are counted, and those that it was sent are not', async () => {
  const world = new RelayWorld({ softQueueBytes: 10 });
  const [slow] = [await world.attached('s'), await world.attached('s')];
  slow.queuedBytes = 11;
  world.server.event('s', 'assistant.message_delta');
  world.server.event('s', 'assistant.message');
  expect(await valueOf(world, 'dropped_events_total')).toBe(1);
});
