// What happens to a client while it is on its way from one home to the next.
import { describe, expect, it } from '@jest/globals';
import { ModelUnavailableError } from '../../../../src/gateway/model.ts';
import type { ClientEnd } from '../../../support/relay-world.ts';
import { RoutedWorld, type Replica } from '../../../support/routed-world.ts';

const HOOK = { sessionId: 's', hookType: 'sessionStart' };

/** The servers of the replica answer attaching to this session when the test says so. */
function holdsBack(replica: Replica, held: string): () => void {
  const { answers } = replica.local;
  const ids: unknown[] = [];
  answers.set('session.resume', (end, { id, params }) => {
    const sessionId = params?.['sessionId'];
    if (sessionId === held) ids.push(id);
    else end.answer(id, { sessionId });
  });
  return () => {
    for (const id of ids) replica.local.server.answer(id as number, { sessionId: held });
  };
}

describe('a client that a home takes over', () => {
  it('answers what the server asks before all its sessions are there', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's', { hooks: true });
    client.call('session.resume', { sessionId: 'slow' });
    await world.settle();
    const c = world.replica('c');
    holdsBack(c, 'slow');
    world.kill('b', 'c');
    await world.settle();
    c.local.server.request(1, 'hooks.invoke', HOOK);
    await world.settle();
    client.send(JSON.stringify({ jsonrpc: '2.0', id: client.asked('hooks.invoke')?.id, result: {} }));
    await world.settle();
    expect(c.local.server.answered(1)?.result).toEqual({});
  });

  it('sends nothing that is to wait if that home stops meanwhile', async () => {
    const world = new RoutedWorld();
    const client = await world.attached('a', 's');
    const c = world.replica('c');
    const answer = holdsBack(c, 's');
    world.kill('b', 'c');
    await world.settle();
    world.directory.next = 'a';
    const stopped = c.relay.drain(60_000);
    await world.settle();
    client.call('session.send', { sessionId: 's', prompt: 'held' });
    answer();
    await world.settle();
    await world.clock.advance(1000);
    await world.settle();
    expect([c.received('session.send'), world.replica('a').received('session.send')]).toMatchObject([
      [],
      [{ params: { prompt: 'held' } }],
    ]);
    await stopped;
  });
});

describe('of several sessions', () => {
  const SEND = 'session.send';
  const errorOf = (client: ClientEnd): unknown =>
    client.received.flatMap(({ params }) => {
      const event = params?.['event'] as { type: string; data: { message?: string } } | undefined;
      return event?.type === 'session.error' ? [[params?.['sessionId'], event.data.message]] : [];
    });

  /** A client of `a` with two sessions. */
  async function withTwo(): Promise<{ world: RoutedWorld; client: ClientEnd; c: Replica }> {
    const world = new RoutedWorld({}, { awayMs: 5000 });
    const client = await world.attached('a', 'good');
    client.call('session.resume', { sessionId: 'bad' });
    await world.settle();
    return { world, client, c: world.replica('c') };
  }

  it.each(['a', 'c'])(
    'one that is slow keeps no call about another one waiting, nor about none, at the home %s',
    async (at) => {
      const { world, client } = await withTwo();
      const home = world.replica(at);
      const answer = holdsBack(home, 'bad');
      home.answers(SEND, () => ({ messageId: 'm' }));
      home.answers('models.list', () => ({ models: [] }));
      world.kill('b', at);
      const early = ['bad', 'good'].map((sessionId) => client.call(SEND, { sessionId, prompt: 'early' }));
      await world.settle();
      const calls = ['bad', 'good'].map((sessionId) => client.call(SEND, { sessionId, prompt: 'late' }));
      const list = client.call('models.list');
      await world.settle();
      const done = () => [...early, ...calls, list].map((id) => client.answer(id)?.result !== undefined);
      expect(done()).toEqual([false, true, false, true, true]);
      answer();
      await world.settle();
      expect(done()).toEqual([true, true, true, true, true]);
      const sent = home.received(SEND).map(({ params }) => [params?.['sessionId'], params?.['prompt']]);
      expect(sent.filter(([id]) => id === 'bad')).toEqual([
        ['bad', 'early'],
        ['bad', 'late'],
      ]);
    },
  );

  it('one that is slow is taken over by the next home, with those that are there', async () => {
    const { world, client, c } = await withTwo();
    holdsBack(c, 'bad');
    world.kill('b', 'c');
    await world.settle();
    const prompt = client.call(SEND, { sessionId: 'good', prompt: 'p' });
    await world.settle();
    expect(c.received(SEND)).toHaveLength(1);
    const a = world.replica('a');
    a.answers(SEND, () => ({ messageId: 'm' }));
    world.kill('c', 'a');
    await world.settle();
    await world.clock.advance(3000);
    await world.settle();
    expect(client.answer(prompt)?.result).toEqual({ messageId: 'm' });
    const resumed = a.received('session.resume').map(({ params }) => params?.['sessionId']);
    expect([resumed.length, new Set(resumed)]).toEqual([2, new Set(['bad', 'good'])]);
    expect([errorOf(client), client.work]).toMatchObject([[], { sessions: 2 }]);
  });

  it('one that the server refuses to load is told so alone', async () => {
    const { world, client, c } = await withTwo();
    c.local.answers.set('session.resume', (end, { id, params }) => {
      if (params?.['sessionId'] === 'bad') end.refuse(id, 'the journal is truncated');
      else end.answer(id, { sessionId: 'good' });
    });
    c.answers(SEND, () => ({ messageId: 'm' }));
    world.kill('b', 'c');
    const [good, bad] = ['good', 'bad'].map((sessionId) => client.call(SEND, { sessionId, prompt: 'p' }));
    await world.settle();
    expect(errorOf(client)).toEqual([['bad', expect.stringMatching(/^The server has refused to load the session/)]]);
    expect([client.cuts, client.answer(good ?? 0)?.result, client.answer(bad ?? 0)?.error?.code]).toEqual([
      [],
      { messageId: 'm' },
      -32050,
    ]);
    expect(world.replica('a').observed.toSorted()).toEqual(['client PeerLost', 'session Lost', 'session Restored']);
  });

  it('one that brings its server down is tried a few times, and the others go on', async () => {
    const { world, client, c } = await withTwo();
    let loads = 0;
    c.local.answers.set('session.resume', (end, { id, params }) => {
      if (params?.['sessionId'] !== 'bad') return end.answer(id, { sessionId: 'good' });
      loads += 1;
      end.events.closed(undefined);
    });
    c.answers(SEND, () => ({ messageId: 'm' }));
    world.kill('b', 'c');
    const bad = client.call(SEND, { sessionId: 'bad', prompt: 'p' });
    for (let ms = 0; ms < 30_000; ms += 1000) {
      await world.clock.advance(1000);
      await world.settle();
    }
    const good = client.call(SEND, { sessionId: 'good', prompt: 'p' });
    await world.settle();
    expect(client.answer(good)?.result).toEqual({ messageId: 'm' });
    expect(errorOf(client)).toEqual([['bad', expect.stringMatching(/^Its server was lost each time/)]]);
    expect([loads, client.answer(bad)?.error?.code, client.cuts]).toEqual([8, -32050, []]);
  });

  it('one that cannot be had now is asked for again, and what is about it waits in its order', async () => {
    const { world, client, c } = await withTwo();
    // As if the login of the tenant could not be read.
    let isReady = false;
    const { fleet } = c.local;
    const model = { read: () => Promise.reject(new ModelUnavailableError('not now')) };
    c.local.answers.set('session.resume', (end, { id, params }) => {
      if (params?.['sessionId'] === 'good' && !isReady) fleet.change({ model });
      end.answer(id, { sessionId: params?.['sessionId'] });
    });
    c.answers(SEND, () => ({ messageId: 'm' }));
    c.answers('session.mode.get', () => ({ mode: 'plan' }));
    world.kill('b', 'c');
    await world.settle();
    isReady = true;
    expect(c.received('session.resume').map(({ params }) => params?.['sessionId'])).toContain('good');
    const prompts = ['one', 'two'].map((prompt) => client.call(SEND, { sessionId: 'bad', prompt }));
    await world.settle();
    fleet.change({ model: undefined });
    await world.clock.advance(5000);
    await world.settle();
    expect(prompts.map((id) => client.answer(id)?.result)).toEqual([{ messageId: 'm' }, { messageId: 'm' }]);
    expect(c.received(SEND).map(({ params }) => params?.['prompt'])).toEqual(['one', 'two']);
    expect(errorOf(client)).toEqual([]);
  });

  it('one that a lost home did not have yet is at the next one', async () => {
    const { world, client, c } = await withTwo();
    let loads = 0;
    c.local.answers.set('session.resume', (end, { id, params }) => {
      if (params?.['sessionId'] !== 'bad') return end.answer(id, { sessionId: 'good' });
      loads += 1;
      // Then it is tried again, and not answered.
      if (loads <= 4) end.events.closed(undefined);
    });
    world.kill('b', 'c');
    for (let ms = 0; ms < 3000; ms += 500) {
      await world.clock.advance(500);
      await world.settle();
    }
    expect([loads, errorOf(client)]).toEqual([5, []]);
    world.kill('c', 'a');
    await world.settle();
    await world.clock.advance(3000);
    await world.settle();
    const resumed = world.replica('a').received('session.resume');
    expect(new Set(resumed.map(({ params }) => params?.['sessionId']))).toEqual(new Set(['bad', 'good']));
    expect([errorOf(client), client.work]).toMatchObject([[], { sessions: 2 }]);
  });
});
