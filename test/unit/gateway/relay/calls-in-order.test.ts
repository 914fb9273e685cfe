// Calls of one client about one session that wait for several things come to a server in their order, whichever server that is.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { GuardedServers } from '../../../support/guarded-servers.ts';
import { RelayWorld, type ClientEnd, type ServerEnd } from '../../../support/relay-world.ts';

let world: RelayWorld;
let client: ClientEnd;

const lose = (): void => {
  const end = world.serverAt(0);
  world.down.add(end.host);
  end.events.closed(undefined);
};
const prompt = (text: string) => client.call('session.send', { sessionId: 's', prompt: text });
const promptsAt = (end: ServerEnd) => end.all('session.send').map(({ params }) => params?.['prompt']);

async function created(sessionId: string): Promise<void> {
  client.call('session.create', { sessionId });
  await settle();
}

function drain(comesBack: boolean): void {
  const key = 'team/acme-0';
  const podUID = world.fleet.find({ namespace: 'team', name: 'acme' })?.servers[0]?.podUID ?? '';
  world.fleet.change({ drains: [{ server: key, epoch: 1, podUID, timeoutMs: 300_000, comesBack }] });
}

describe('where servers share a volume', () => {
  let guards: GuardedServers;

  beforeEach(() => {
    const clock = new FakeClock();
    guards = new GuardedServers();
    world = new RelayWorld({ failoverMs: 60_000 }, { clock, shared: guards.means });
    guards.play(world, 2);
    client = world.client();
  });

  afterEach(() => expect(guards.violations).toEqual([]));

  it('a prompt that waits for a load does not end up behind one that waits for the drain', async () => {
    await created('s');
    lose();
    await settle();
    const first = prompt('one');
    await settle();
    drain(false);
    await settle();
    const second = prompt('two');
    world.down.clear();
    await world.clock.advance(2500);
    expect(promptsAt(world.serverAt(1))).toEqual(['one', 'two']);
    for (const id of [first, second]) expect(client.answer(id)?.result).toMatchObject({ at: '10.0.0.2' });
  });

  it('an abort, and an answer, wait for no call that is held where the session was', async () => {
    for (const sessionId of ['s', 't', 'u']) await created(sessionId);
    const { answers } = world;
    const close = answers.get('sessions.close');
    const closes: (() => void)[] = [];
    answers.set('sessions.close', (end, frame) => {
      if (frame.params?.['sessionId'] === 's') closes.push(() => close?.(end, frame));
    });
    drain(false);
    await settle();
    const held = client.call('session.mode.get', { sessionId: 's' });
    await settle();
    closes.forEach((goOn) => goOn());
    await settle();
    const behind = client.call('session.mode.get', { sessionId: 's' });
    const answer = 'session.permissions.handlePendingPermissionRequest';
    for (const method of ['session.abort', answer]) client.call(method, { sessionId: 's', requestId: 'r', result: {} });
    await world.clock.advance(100);
    const [{ received }, calls] = [world.serverAt(1), ['session.abort', answer, 'session.mode.get']];
    const came = () => received.flatMap(({ method = '' }) => (calls.includes(method) ? [method] : []));
    expect(came()).toEqual(['session.abort', answer]);
    await world.clock.advance(10_000);
    expect(came()).toEqual(['session.abort', answer, 'session.mode.get', 'session.mode.get']);
    expect([held, behind].map((id) => client.answer(id)?.result)).toMatchObject([
      { at: '10.0.0.2' },
      { at: '10.0.0.2' },
    ]);
  });

  it('a call about a session that has moved waits for those that are held where it was', async () => {
    for (const sessionId of ['s', 't', 'u']) await created(sessionId);
    expect(['s', 'u'].map((id) => guards.loadedAt(id))).toEqual([['pod-of-0'], ['pod-of-0']]);
    client.call('session.send', { sessionId: 'u', prompt: 'of u' });
    await settle();
    world.serverAt(0).event('u', 'assistant.turn_start');
    drain(false);
    await settle();
    prompt('one');
    await settle();
    // The server takes its time to close the other session.
    const { answers } = world;
    const close = answers.get('sessions.close');
    answers.set('sessions.close', (end, frame) => {
      if (frame.params?.['sessionId'] !== 'u') close?.(end, frame);
    });
    world.serverAt(0).event('u', 'session.idle');
    await world.clock.advance(500);
    expect(guards.loadedAt('s')).toEqual(['pod-of-1']);
    prompt('two');
    await world.clock.advance(100);
    expect(promptsAt(world.serverAt(1))).toEqual([]);
    await world.clock.advance(10_000);
    expect(promptsAt(world.serverAt(1))).toEqual(['one', 'two']);
  });
});

describe('where the server is replaced', () => {
  beforeEach(async () => {
    world = new RelayWorld({ failoverMs: 60_000 });
    client = await world.attached('s');
    for (const method of ['session.resume', 'sessions.close', 'session.abort'])
      world.answers.set(method, (end, { id }) => end.answer(id, {}));
    world.answers.set('session.send', (end, { id, params }) => end.answer(id, { messageId: params?.['prompt'] }));
  });

  async function follow(): Promise<void> {
    const { servers = [] } = world.fleet.find({ namespace: 'team', name: 'acme' }) ?? {};
    world.fleet.change({ servers: servers.map((server) => ({ ...server, podUID: 'pod-2' })), drains: undefined });
    await world.clock.advance(1000);
  }

  it('a prompt that waited for a load comes to the next pod before one that waited for the drain', async () => {
    lose();
    await settle();
    const first = prompt('one');
    await settle();
    drain(true);
    await settle();
    const second = prompt('two');
    world.down.clear();
    await world.clock.advance(2500);
    expect(promptsAt(world.server)).toEqual([]);
    await follow();
    expect(promptsAt(world.server)).toEqual(['one', 'two']);
    expect([first, second].map((id) => client.answer(id)?.result)).toEqual([
      { messageId: 'one' },
      { messageId: 'two' },
    ]);
  });

  it('a prompt that is held after its load is not sent if its client has aborted it', async () => {
    const other = world.client();
    other.call('session.resume', { sessionId: 'u' });
    await settle();
    other.call('session.send', { sessionId: 'u', prompt: 'of u' });
    await settle();
    world.server.event('u', 'assistant.turn_start');
    world.server.event('s', 'session.shutdown');
    world.answers.delete('session.resume');
    const held = prompt('one');
    await settle();
    drain(true);
    await settle();
    world.server.answer(world.server.last('session.resume').id, {});
    await settle();
    expect(promptsAt(world.server)).toEqual(['of u']);
    const abort = client.call('session.abort', { sessionId: 's' });
    await settle();
    expect(client.answer(abort)?.result).toBeDefined();
    world.answers.set('session.resume', (end, { id }) => end.answer(id, {}));
    world.server.event('u', 'session.idle');
    await world.clock.advance(1000);
    await follow();
    expect(client.answer(held)?.error?.data).toMatchObject({ outcome: 'NotSent' });
    expect(promptsAt(world.server)).toEqual([]);
  });
});
