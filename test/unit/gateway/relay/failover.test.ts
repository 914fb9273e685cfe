import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, journalEvent, type ClientEnd } from '../../../support/relay-world.ts';

const PERMISSION = 'session.permissions.handlePendingPermissionRequest';
const prompt = { sessionId: 's', prompt: 'p' };

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

/** A client with a turn of which the server has shown the beginning. */
async function inTurn(params: object = {}): Promise<{ client: ClientEnd; begun: ReturnType<typeof journalEvent> }> {
  const client = await world.attached('s', params);
  client.call('session.send', prompt);
  world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
  const begun = world.server.event('s', 'user.message', { messageId: 'm', content: 'p' });
  return { client, begun };
}

/** Calls `fn` after so many of them. */
function afterMicrotasks(count: number, fn: () => void): void {
  if (count === 0) fn();
  else queueMicrotask(() => afterMicrotasks(count - 1, fn));
}

/** The server is lost, and the next one has loaded the session. */
async function replaced(): Promise<void> {
  world.server.events.closed(undefined);
  await settle();
  await restored();
}

async function restored(sessionId = 's'): Promise<void> {
  const resume = world.server.all('session.resume').find(({ params }) => params?.['sessionId'] === sessionId);
  world.server.answer(resume?.id, { sessionId });
  await settle();
}

const nobody = (end: { answer(id: unknown, result: object): void }, { id }: { id?: unknown }) =>
  end.answer(id, { items: [] });

describe('a session whose server is lost', () => {
  it('is restored at once as its clients had set it up, also if it is idle', async () => {
    const client = await world.attached('s', { streaming: true, tools: [{ name: 'x' }] });
    world.server.events.closed(undefined);
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(world.server.last('session.resume').params).toMatchObject({
      streaming: true,
      tools: [{ name: 'x' }],
      continuePendingWork: true,
    });
    await restored();
    world.server.event('s', 'assistant.message');
    expect(client.events).toEqual(['assistant.message']);
    expect(world.server.count('session.eventLog.read')).toBe(0);
    expect(await world.counted('failover_sessions_total')).toEqual({ Idle: 1 });
    expect(await world.counted('failovers_total')).toEqual({ Restored: 1 });
  });

  it('has as long for it as for a client that attaches', async () => {
    const { client, begun } = await inTurn();
    world.journal = [begun];
    world.server.events.closed(undefined);
    await world.clock.advance(119_000);
    expect(client.events).toEqual(['user.message']);
    await restored();
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('without clients or work is forgotten', async () => {
    (await world.attached('s')).leave();
    world.server.events.closed(undefined);
    await settle();
    expect(world.relay.sessions()).toEqual([]);
    expect(world.dials).toHaveLength(1);
  });

  it('without a client, but with a turn, goes on with what the last client had set up', async () => {
    const { client, begun } = await inTurn({ tools: [{ name: 'x' }] });
    client.leave();
    world.journal = [begun];
    await replaced();
    expect(world.server.last('session.resume').params).toMatchObject({ tools: [{ name: 'x' }] });
    expect(world.server.last('session.sendMessages').params).toEqual({ sessionId: 's', messages: [] });
  });

  it('is restored beside others, so many at a time, and those that cannot be are told so alone', async () => {
    world = new RelayWorld({ restoredAtOnce: 2 });
    const client = world.client();
    for (const id of ['s', 't', 'u']) await world.attach(client, id);
    const { server } = world;
    for (const id of ['s', 't', 'u']) server.event(id, 'user.message', { messageId: id, content: 'p' });
    world.journal = [journalEvent('user.message', { messageId: 'x' })];
    server.events.closed(undefined);
    await settle();
    expect(world.server.all('session.resume').map(({ params }) => params?.['sessionId'])).toEqual(['s', 't']);
    world.server.refuse(world.server.all('session.resume')[0]?.id, 'damaged');
    await restored('t');
    await restored('u');
    const told = client.received.filter(({ method }) => method === 'session.event').slice(3);
    expect(
      told.map(({ params }) => [params?.['sessionId'], (params?.['event'] as { type?: string } | undefined)?.type]),
    ).toEqual([
      ['s', 'session.error'],
      ['s', 'session.idle'],
    ]);
    expect(JSON.stringify(told[0])).toContain('The session could not be restored');
    for (const { id } of world.server.all('session.sendMessages')) world.server.answer(id, { messageIds: [] });
    await settle();
    expect(await world.counted('failovers_total')).toEqual({ PartlyRestored: 1 });
  });

  it('and that brings down the next ones is given up after ten of them', async () => {
    const { client } = await inTurn();
    for (let dials = 2; dials <= 11; dials += 1) {
      world.server.events.closed(undefined);
      await settle();
      expect(world.dials).toHaveLength(dials);
    }
    expect(client.events).toEqual(['user.message']);
    world.server.events.closed(undefined);
    await settle();
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
  });

  it('is not blamed for what others bring down that are loaded before it', async () => {
    const client = world.client();
    for (const id of ['s', 't']) {
      await world.attach(client, id);
      world.server.event(id, 'user.message', { messageId: id, content: 'p' });
    }
    // From the second time on each is loaded alone, and the other one waits for that.
    for (let losses = 0; losses < 12; losses += 1) {
      world.server.events.closed(undefined);
      await settle();
    }
    const ended = client.received.filter(({ params }) => JSON.stringify(params)?.includes('session.error'));
    expect(ended.map(({ params }) => params?.['sessionId'])).toEqual(['s']);
  });

  it('is answered for at once when its tenant is gone', async () => {
    const { client } = await inTurn();
    world.fleet.change({ uid: 'another' });
    await settle();
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
  });
});

describe('a turn whose server is lost', () => {
  it('is begun again for the prompt in the journal, and its end is that of the new server', async () => {
    const { client, begun } = await inTurn();
    world.journal = [begun];
    await replaced();
    expect(world.server.last('session.sendMessages').params).toEqual({ sessionId: 's', messages: [] });
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    expect(world.server.count('session.send')).toBe(0);
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual(['user.message', 'session.idle']);
    expect(await world.counted('turns_total')).toEqual({ Finished: 1 });
    expect(await world.counted('failover_sessions_total')).toEqual({ Continued: 1 });
  });

  it.each(Array.from({ length: 16 }, (_, turns) => turns))(
    'goes on also if another client was attaching, %i microtasks before',
    async (turns) => {
      const { begun } = await inTurn();
      world.journal = [begun];
      world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
      const { activityAnswer } = world;
      world.activityAnswer = (end, id) => {
        world.activityAnswer = activityAnswer;
        end.answer(id, { hasActiveWork: true });
        afterMicrotasks(turns, () => end.events.closed(undefined));
      };
      const other = world.client();
      const id = other.call('session.resume', { sessionId: 's' });
      await settle(10);
      expect(world.dials).toHaveLength(2);
      expect(world.server.count('session.sendMessages')).toBe(1);
      world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
      await settle(10);
      expect(other.answer(id)?.result).toEqual({ sessionId: 's' });
    },
  );

  it.each(Array.from({ length: 16 }, (_, turns) => turns))(
    'goes on also if the next server is lost %i microtasks after it has begun it again',
    async (turns) => {
      const { client, begun } = await inTurn();
      world.journal = [begun];
      world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
      world.answers.set('session.sendMessages', (end, { id }) => {
        world.answers.set('session.sendMessages', (next, again) => next.answer(again.id, { messageIds: [] }));
        end.answer(id, { messageIds: [] });
        afterMicrotasks(turns, () => end.events.closed(undefined));
      });
      // One that does not have the session says so.
      world.answers.set('session.mode.get', (end, { id }) =>
        end.count('session.resume') > 0 ? end.answer(id, { mode: 'plan' }) : end.refuse(id, 'Session not found: s'),
      );
      const mode = client.call('session.mode.get', { sessionId: 's' });
      world.server.events.closed(undefined);
      await settle(10);
      expect([world.dials.length, world.server.count('session.sendMessages')]).toEqual([3, 1]);
      expect([client.events, client.answer(mode)?.result]).toEqual([['user.message'], { mode: 'plan' }]);
    },
  );

  const aborts = async (client: ClientEnd) => {
    client.call('session.abort', { sessionId: 's' });
    world.server.answer(world.server.last('session.abort').id, {});
    await settle();
  };

  it('that its client had aborted is not begun again, although no event had told so', async () => {
    const { client, begun } = await inTurn();
    await aborts(client);
    world.journal = [begun];
    await replaced();
    expect(world.server.count('session.sendMessages')).toBe(0);
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('is begun again if it was one behind that which was aborted', async () => {
    const { client, begun } = await inTurn();
    await aborts(client);
    client.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'n' });
    world.journal = [begun, world.server.event('s', 'user.message', { messageId: 'n', content: 'p' })];
    await replaced();
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('that had ended is told to its clients, with what they have missed, in order and once', async () => {
    const { client, begun } = await inTurn();
    const [answer, end] = [journalEvent('assistant.message', { toolRequests: [] }), journalEvent('assistant.turn_end')];
    world.journal = [begun, answer, journalEvent('session.shutdown'), end];
    await replaced();
    expect(client.events).toEqual(['user.message', 'assistant.message', 'assistant.turn_end', 'session.idle']);
    expect(world.server.count('session.sendMessages')).toBe(0);
  });

  it('whose prompt is not in the journal is sent again, under the id that its client knows', async () => {
    const { client } = await inTurn();
    await replaced();
    expect(world.server.last('session.send').params).toEqual(prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'other' });
    await settle();
    world.server.event('s', 'user.message', { messageId: 'other', content: 'p' });
    world.server.event('s', 'assistant.message', { originatingMessageId: 'other' });
    expect(JSON.stringify(client.received)).not.toContain('other');
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual(['user.message', 'user.message', 'assistant.message', 'session.idle']);
  });

  it('whose events come before the acknowledgement of what was sent again are told under the id that its client knows', async () => {
    const { client } = await inTurn();
    await replaced();
    world.server.event('s', 'user.message', { messageId: 'other', content: 'p' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'other' });
    await settle();
    expect(client.events).toEqual(['user.message', 'user.message']);
    expect(JSON.stringify(client.received)).not.toContain('other');
  });

  it('which was sent again without an acknowledgement is found by its text, and told under the id that its client knows', async () => {
    const client = await world.attached('s');
    const known = world.server.event('s', 'session.resume');
    client.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.journal = [known];
    await replaced();
    expect(world.server.count('session.send')).toBe(1);
    world.journal = [known, journalEvent('user.message', { messageId: 'other', content: 'p' })];
    await replaced();
    expect(world.server.count('session.send')).toBe(0);
    expect(client.events).toEqual(['session.resume', 'user.message']);
    expect(JSON.stringify(client.received)).not.toContain('other');
  });

  it('that is the first of its session is looked for on the disk, also if nothing was seen of it', async () => {
    const client = world.client();
    client.call('session.create', {});
    await settle();
    const { params } = world.server.last('session.create');
    world.server.answer(world.server.last('session.create').id, params ?? {});
    await settle();
    client.call('session.send', { ...params, prompt: 'p' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.server.events.closed(undefined);
    await settle();
    expect([world.server.count('session.resume'), world.server.count('session.create')]).toEqual([1, 0]);
    world.server.refuse(world.server.last('session.resume').id, 'Session not found');
    await settle();
    expect(world.server.count('session.create')).toBe(1);
  });

  it('and that cannot be begun again is told to its clients', async () => {
    const { client, begun } = await inTurn();
    world.journal = [begun];
    await replaced();
    world.server.refuse(world.server.last('session.sendMessages').id, 'no');
    await settle();
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(await world.counted('failover_sessions_total')).toEqual({ Failed: 1 });
  });

  it('and that is sent again once more when that is lost, too', async () => {
    const { client } = await inTurn();
    await replaced();
    world.server.answer(world.server.last('session.send').id, { messageId: 'other' });
    await settle();
    const known = world.server.event('s', 'session.title_changed');
    world.journal = [known, journalEvent('user.message', { messageId: 'other', content: 'p' })];
    await replaced();
    expect(world.server.count('session.send')).toBe(0);
    expect(world.server.count('session.sendMessages')).toBe(1);
    expect(client.events).toEqual(['user.message', 'session.title_changed', 'user.message']);
  });

  it('and whose prompt is lost with each server is sent again to each, also if their journals have other events by then', async () => {
    const { client } = await inTurn();
    world.server.events.closed(undefined);
    await settle();
    // The second server has made the session anew, and is lost before it has taken the prompt.
    const started = world.server.event('s', 'session.start');
    await restored();
    expect(world.server.count('session.send')).toBe(1);
    world.journal = [started];
    await replaced();
    expect(world.server.last('session.send').params).toEqual(prompt);
    expect(client.events).toEqual(['user.message', 'session.start']);
  });

  it('is not taken for a command because the next servers are lost, too, before they have loaded it', async () => {
    const client = await world.attached('s');
    client.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    for (let losses = 0; losses < 3; losses += 1) {
      world.server.events.closed(undefined);
      await world.clock.advance(5000);
    }
    await restored();
    expect(world.server.count('session.send')).toBe(1);
    expect(client.events).toEqual([]);
  });

  it.each([
    ['has the prompt', true],
    ['does not have it', false],
  ])('before the prompt was acknowledged: the journal %s', async (_, isDurable) => {
    const client = await world.attached('s');
    world.server.event('s', 'session.resume');
    const id = client.call('session.send', prompt);
    const known = world.server.event('s', 'session.title_changed');
    if (isDurable) world.journal = [known, journalEvent('user.message', { messageId: 'm', content: 'p' })];
    else world.journal = [known];
    await replaced();
    if (!isDurable) world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    await settle();
    expect(client.answer(id)?.result).toEqual({ messageId: 'm' });
    expect(world.server.count('session.send')).toBe(isDurable ? 0 : 1);
    expect(world.server.count('session.sendMessages')).toBe(isDurable ? 1 : 0);
  });

  it('has its permissions stay open, and what clients answer meanwhile counts', async () => {
    const { client, begun } = await inTurn();
    const asked = world.server.event('s', 'permission.requested', { requestId: 'p' });
    world.journal = [begun, asked];
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
      end.answer(id, { items: [{ requestId: 'p' }] }),
    );
    world.answers.set('session.tools.listPendingRequests', nobody);
    world.server.events.closed(undefined);
    client.call(PERMISSION, { sessionId: 's', requestId: 'p' });
    await settle();
    await restored();
    expect(world.server.last(PERMISSION).params).toMatchObject({ requestId: 'p' });
    expect(world.server.count('session.sendMessages')).toBe(0);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Waiting' }]);
    // Somebody else is asked, too, as long as it is open.
    expect((await world.attached('s')).events).toContain('permission.requested');
  });

  // First it is looked whether the server waits for nothing, then what its clients have missed.
  it.each([
    [1, 'says so'],
    [2, 'says so'],
    [2, 'says that it works'],
  ])('that ends while its journal is read for the %i. time is over, if its server %s', async (time, says) => {
    const { client, begun } = await inTurn();
    let reads = 0;
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: says !== 'says so' || reads < time });
    for (const method of ['session.permissions.pendingRequests', 'session.tools.listPendingRequests'])
      world.answers.set(method, nobody);
    const answer = journalEvent('assistant.message', { toolRequests: [] });
    world.journalAnswer = (end, id) => {
      reads += 1;
      if (reads === time) end.event('s', 'session.idle');
      end.answer(id, { events: [begun, answer], hasMore: false, cursor: 'c', cursorStatus: 'ok' });
    };
    await replaced();
    expect(client.events).toEqual(['user.message', 'assistant.message', 'session.idle']);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Idle' }]);
  });

  it('ends with an error when the server refuses to go on with it', async () => {
    const { client, begun } = await inTurn();
    world.journal = [begun];
    await replaced();
    world.server.refuse(world.server.last('session.sendMessages').id, 'no');
    await settle();
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
  });

  it('goes on at the next server when this one is lost with its last answer', async () => {
    const { begun } = await inTurn();
    world.journal = [begun];
    await replaced();
    const { server } = world;
    server.answer(server.last('session.sendMessages').id, { messageIds: [] });
    server.events.closed(undefined);
    await settle();
    await restored();
    expect(world.server.last('session.sendMessages').params).toEqual({ sessionId: 's', messages: [] });
  });

  it('has an answer given again that the server had taken and lost', async () => {
    const { client, begun } = await inTurn();
    const asked = world.server.event('s', 'permission.requested', { requestId: 'p' });
    client.call(PERMISSION, { sessionId: 's', requestId: 'p', result: { kind: 'approve-once' } });
    world.server.answer(world.server.last(PERMISSION).id, { success: true });
    world.server.event('s', 'permission.completed', { requestId: 'p' });
    world.journal = [begun, asked];
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
      end.answer(id, { items: [{ requestId: 'p' }] }),
    );
    world.answers.set('session.tools.listPendingRequests', nobody);
    await replaced();
    expect(world.server.last(PERMISSION).params).toMatchObject({ requestId: 'p', result: { kind: 'approve-once' } });
  });

  it('has the answer given again that counted, and not one that came too late', async () => {
    const { client, begun } = await inTurn();
    const asked = world.server.event('s', 'permission.requested', { requestId: 'p' });
    client.call(PERMISSION, { sessionId: 's', requestId: 'p', result: { kind: 'approve-once' } });
    world.server.answer(world.server.last(PERMISSION).id, { success: true });
    client.call(PERMISSION, { sessionId: 's', requestId: 'p', result: { kind: 'reject' } });
    world.server.answer(world.server.last(PERMISSION).id, { success: false });
    world.journal = [begun, asked];
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
      end.answer(id, { items: [{ requestId: 'p' }] }),
    );
    world.answers.set('session.tools.listPendingRequests', nobody);
    await replaced();
    expect(world.server.all(PERMISSION).map(({ params }) => params?.['result'])).toEqual([{ kind: 'approve-once' }]);
  });

  it('has clients asked again what the server waits for, when the answer that they gave a while ago is lost', async () => {
    const { client, begun } = await inTurn();
    const asked = world.server.event('s', 'permission.requested', { requestId: 'p' });
    client.call(PERMISSION, { sessionId: 's', requestId: 'p', result: { kind: 'approve-once' } });
    world.server.answer(world.server.last(PERMISSION).id, { success: true });
    world.server.event('s', 'permission.completed', { requestId: 'p' });
    await world.clock.advance(60_000);
    world.journal = [begun, asked];
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
      end.answer(id, { items: [{ requestId: 'p' }] }),
    );
    world.answers.set('session.tools.listPendingRequests', nobody);
    await replaced();
    expect(world.server.count(PERMISSION)).toBe(0);
    expect(client.events.at(-1)).toBe('permission.requested');
    expect(world.relay.sessions()).toMatchObject([{ state: 'Waiting', openQuestions: 1 }]);
  });

  it('of which its clients have seen nothing is told from its prompt on, and nothing before it', async () => {
    const client = await world.attached('s');
    client.call('session.send', prompt);
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    const before = journalEvent('user.message', { messageId: 'before', content: 'p' });
    const begun = journalEvent('user.message', { messageId: 'm', content: 'p' });
    world.journal = [before, journalEvent('assistant.message'), begun, journalEvent('assistant.turn_start')];
    await replaced();
    expect(client.events).toEqual(['user.message', 'assistant.turn_start']);
    expect(JSON.stringify(client.received)).toContain(begun.id);
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('which is begun again does not end the wait for a prompt that is sent again behind it', async () => {
    const { client, begun } = await inTurn();
    client.call('session.send', { ...prompt, prompt: 'next' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'n' });
    world.journal = [begun];
    await replaced();
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    world.server.event('s', 'assistant.message', { toolRequests: [] });
    world.server.event('s', 'session.idle');
    world.server.answer(world.server.last('session.send').id, { messageId: 'n2' });
    await settle();
    expect(client.events).toEqual(['user.message', 'assistant.message']);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Running' }]);
    world.server.event('s', 'user.message', { messageId: 'n2', content: 'next' });
    world.server.event('s', 'session.idle');
    expect(client.events.slice(2)).toEqual(['user.message', 'session.idle']);
  });

  it('has permissions that the server has lost offered to nobody', async () => {
    const { begun } = await inTurn();
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    world.journal = [begun];
    await replaced();
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    expect(world.relay.sessions()).toMatchObject([{ state: 'Running', openQuestions: 0 }]);
  });

  it('keeps the prompts of other clients in their order, and does not tell them its end', async () => {
    const { client, begun } = await inTurn();
    const other = await world.attached('s');
    const held = other.call('session.send', { ...prompt, prompt: 'held' });
    world.journal = [begun, journalEvent('assistant.message', { toolRequests: [] })];
    await replaced();
    expect(client.events.at(-1)).toBe('session.idle');
    expect(other.events).not.toContain('session.idle');
    expect(world.server.last('session.send').params).toMatchObject({ prompt: 'held' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'h' });
    expect(other.answer(held)?.result).toEqual({ messageId: 'h' });
  });

  it('is not told over for a prompt that its client has sent meanwhile', async () => {
    const { client, begun } = await inTurn();
    world.journal = [begun, journalEvent('assistant.message', { toolRequests: [] })];
    world.server.events.closed(undefined);
    client.call('session.send', { ...prompt, prompt: 'next' });
    await settle();
    await restored();
    expect(client.events).toEqual(['user.message', 'assistant.message']);
    expect(world.server.all('session.send').map(({ params }) => params?.['prompt'])).toEqual(['next']);
  });

  it('that was over for its clients, but not for the journal, goes on, and they wait for its end', async () => {
    const { client, begun } = await inTurn();
    world.server.event('s', 'assistant.message', { toolRequests: [] });
    world.server.event('s', 'session.idle');
    world.journal = [begun];
    await replaced();
    expect(world.server.count('session.sendMessages')).toBe(1);
    const other = world.client();
    other.call('session.send', prompt);
    expect(client.events).toEqual(['user.message', 'assistant.message', 'session.idle']);
  });

  it('and that was over for its clients is not over any more when its prompt has to be sent again', async () => {
    await inTurn();
    world.server.event('s', 'session.idle');
    await replaced();
    world.server.answer(world.server.last('session.send').id, { messageId: 'other' });
    await world.clock.advance(1000);
    await replaced();
    expect(world.server.last('session.send').params).toEqual(prompt);
  });

  it('and that was over only just before the loss goes on, however long that was ago when the next server comes', async () => {
    const { client, begun } = await inTurn();
    world.server.event('s', 'session.idle');
    world.journal = [begun];
    world.isUp = false;
    world.server.events.closed(undefined);
    await world.clock.advance(3000);
    client.call('session.send', prompt);
    world.isUp = true;
    await world.clock.advance(1000);
    await restored();
    expect(world.server.count('session.sendMessages')).toBe(1);
    // That one has written no more of it.
    world.server.event('s', 'session.idle');
    await replaced();
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('and that was over a while ago is left alone', async () => {
    await inTurn();
    world.server.event('s', 'session.idle');
    await world.clock.advance(1000);
    await replaced();
    expect(world.server.count('session.send') + world.server.count('session.sendMessages')).toBe(0);
  });
});

describe('what a server says that may be about to stop', () => {
  const failed = { errorType: 'query', message: 'MCP session host is disposed' };
  const STOPS_MS = 2500;

  it('ends no turn if it stands in the journal behind the shutdown', async () => {
    const { client, begun } = await inTurn();
    const end = ['session.shutdown', 'assistant.turn_end'].map((type) => journalEvent(type));
    world.journal = [begun, ...end, journalEvent('session.error', failed)];
    await replaced();
    expect(client.events).toEqual(['user.message', 'assistant.turn_end']);
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('has failed if the next process says so', async () => {
    const { client, begun } = await inTurn();
    const rest = ['session.shutdown', 'assistant.turn_start'].map((type) => journalEvent(type));
    world.journal = [begun, ...rest, journalEvent('session.error', failed)];
    await replaced();
    expect(client.events).toEqual(['user.message', 'assistant.turn_start', 'session.error', 'session.idle']);
  });

  it('is kept from clients if it is gone a moment later', async () => {
    const { client, begun } = await inTurn();
    world.server.event('s', 'session.error', failed);
    world.server.event('s', 'session.idle');
    world.journal = [begun];
    await world.clock.advance(STOPS_MS - 100);
    await replaced();
    expect(world.server.count('session.sendMessages')).toBe(1);
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    world.server.event('s', 'session.idle');
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('is told, with all that followed, if the server stays', async () => {
    const { client } = await inTurn();
    world.server.event('s', 'session.error', failed);
    world.server.event('s', 'session.idle');
    await settle();
    expect(client.events).toEqual(['user.message']);
    await world.clock.advance(STOPS_MS);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
    expect(world.dials).toHaveLength(1);
  });

  it('is not overtaken by pieces of what follows', async () => {
    const { client } = await inTurn();
    world.server.event('s', 'assistant.message_delta');
    world.server.event('s', 'session.error', failed);
    for (const type of ['assistant.message_delta', 'session.idle']) world.server.event('s', type);
    await world.clock.advance(STOPS_MS);
    world.server.event('s', 'assistant.message_delta');
    const [piece, error, idle] = ['assistant.message_delta', 'session.error', 'session.idle'];
    expect(client.events).toEqual(['user.message', piece, error, idle, piece]);
  });

  it('does not hold up other sessions, nor what a model endpoint has answered', async () => {
    const { client } = await inTurn();
    await world.attach(client, 'other');
    world.server.event('s', 'session.error', failed);
    world.server.event('other', 'session.error', { ...failed, statusCode: 500 });
    expect(client.events).toEqual(['user.message', 'session.error']);
  });

  const REFUSED = "Request session.send failed with message: Unknown session 's' for native host effect 'admission'";

  it('to a prompt is answered by the next server', async () => {
    const client = await world.attached('s');
    const id = client.call('session.send', prompt);
    world.server.refuse(world.server.last('session.send').id, REFUSED);
    await settle();
    expect(client.answer(id)).toBeUndefined();
    await replaced();
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    await settle();
    expect(client.answer(id)?.result).toEqual({ messageId: 'm' });
  });

  it('to a prompt is told if the server stays', async () => {
    const client = await world.attached('s');
    const id = client.call('session.send', prompt);
    world.server.refuse(world.server.last('session.send').id, REFUSED);
    await world.clock.advance(STOPS_MS);
    expect(client.answer(id)?.error?.message).toBe(REFUSED);
  });
});

describe('a clock that jumps by an hour', () => {
  it.each([3_600_000, -3_600_000])(
    'changes nothing of turns, questions, prompts and lost servers: %d ms',
    async (ms) => {
      const { client, begun } = await inTurn();
      const asked = world.server.event('s', 'permission.requested', { requestId: 'p' });
      client.leave();
      world.clock.jumpWallClock(ms);
      await world.clock.advance(1000);
      expect(world.server.count(PERMISSION)).toBe(0);
      world.journal = [begun, asked];
      world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
      world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
        end.answer(id, { items: [{ requestId: 'p' }] }),
      );
      world.answers.set('session.tools.listPendingRequests', nobody);
      await replaced();
      world.clock.jumpWallClock(-ms);
      await world.clock.advance(1000);
      expect(world.relay.sessions().map(({ id, state }) => [id, state])).toEqual([['s', 'Waiting']]);
      const next = world.client();
      await world.attach(next, 's');
      expect(next.events).toContain('permission.requested');
    },
  );
});

describe('a client that attaches in the middle of a turn', () => {
  it('gets the durable events of the turn after the answer, once and in order, and then what follows', async () => {
    const before = journalEvent('assistant.message');
    const { begun } = await inTurn();
    const work = world.server.event('s', 'assistant.message', { toolRequests: [{}] });
    const client = world.client();
    const id = client.call('session.resume', { sessionId: 's' });
    await settle();
    const live = world.server.event('s', 'assistant.turn_end');
    world.server.event('s', 'assistant.message_delta');
    world.journal = [before, begun, work, journalEvent('permission.requested'), live];
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    const next = world.server.event('s', 'assistant.turn_start');
    await settle();
    world.server.event('s', 'session.idle');
    const events = client.received.flatMap(({ params }) => (params?.['event'] === undefined ? [] : [params['event']]));
    expect(events.map((event) => (event as { id: string }).id).slice(0, 4)).toEqual(
      [begun, work, live, next].map((event) => event.id),
    );
    expect(client.events.slice(4)).toEqual(['session.idle']);
    expect(client.received[0]).toEqual(client.answer(id));
  });

  it('gets an event once that the server tells later than its journal has it', async () => {
    const { client: other, begun } = await inTurn();
    const late = journalEvent('assistant.turn_start');
    world.journal = [begun, late];
    const client = await world.attached('s');
    const params = { sessionId: 's', event: late };
    world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params }));
    world.server.event('s', 'assistant.turn_end');
    expect(client.events).toEqual(['user.message', 'assistant.turn_start', 'assistant.turn_end']);
    expect(other.events).toEqual(client.events);
  });

  it('which ends before the answer gets nothing of it, not even its end', async () => {
    await inTurn();
    const client = world.client();
    client.call('session.resume', { sessionId: 's' });
    await settle();
    world.server.event('s', 'session.idle');
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    expect(client.events).toEqual([]);
    expect(world.server.count('session.eventLog.read')).toBe(0);
  });

  it('and sends something before it has caught up is not told the end of that turn', async () => {
    const { begun } = await inTurn();
    let read: (() => void) | undefined;
    world.journalAnswer = (end, id) => {
      read = () => end.answer(id, { events: [begun], hasMore: false, cursor: 'c', cursorStatus: 'ok' });
    };
    const client = await world.attached('s');
    client.call('session.send', prompt);
    world.server.event('s', 'session.idle');
    read?.();
    await settle();
    expect(client.events).toEqual(['user.message']);
    expect(world.server.count('session.send')).toBe(2);
  });

  it('hears what it asks about the session after what it has missed', async () => {
    const { begun } = await inTurn();
    let read: (() => void) | undefined;
    world.journalAnswer = (end, id) => {
      read = () => end.answer(id, { events: [begun], hasMore: false, cursor: 'c', cursorStatus: 'ok' });
    };
    const client = await world.attached('s');
    world.answers.set('session.metadata.activity', (end, { id }) => end.answer(id, { hasActiveWork: false }));
    world.server.event('s', 'session.idle');
    const [ofTheSession, ofNone] = [
      client.call('session.metadata.activity', { sessionId: 's' }),
      client.call('session.metadata.activity', { sessionId: 'other' }),
    ];
    await settle();
    // Its application would send a prompt now, and take the end of that turn for that of its own.
    expect([client.answer(ofTheSession), client.answer(ofNone), client.events]).toEqual([
      undefined,
      expect.anything(),
      [],
    ]);
    read?.();
    await settle();
    expect(client.events).toEqual(['user.message', 'session.idle']);
    expect(client.received.at(-1)).toEqual(client.answer(ofTheSession));
  });

  it('hears what it has asked also when the session is deleted before it has caught up', async () => {
    await inTurn();
    world.journalAnswer = () => undefined;
    const client = await world.attached('s');
    world.answers.set('session.metadata.activity', (end, { id }) => end.answer(id, { hasActiveWork: true }));
    const asked = client.call('session.metadata.activity', { sessionId: 's' });
    await settle();
    expect(client.answer(asked)).toBeUndefined();
    world.client().call('session.delete', { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.delete').id, { success: true });
    await settle();
    expect(client.answer(asked)?.result).toEqual({ hasActiveWork: true });
  });

  it('catches up at the next server when that one is lost meanwhile', async () => {
    const { begun } = await inTurn();
    const answer = world.journalAnswer;
    world.journalAnswer = () => undefined;
    const client = await world.attached('s');
    world.journalAnswer = answer;
    world.journal = [begun];
    await replaced();
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });
});
