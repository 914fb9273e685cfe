import { beforeEach, describe, expect, it } from '@jest/globals';
import type { StatedDrain } from '../../../../src/gateway/model.ts';
import { METHOD_LINES } from '../../../../src/gateway/methods/lines.ts';
import { startsTurn } from '../../../../src/gateway/relay/home/drain.ts';
import { settle } from '../../../support/fake-clock.ts';
import { SessionDisks } from '../../../support/session-disks.ts';
import { hostOf, TENANT } from '../../../support/static-fleet.ts';
import { RelayWorld, journalEvent, type ClientEnd, type ServerEnd } from '../../../support/relay-world.ts';

const SERVER = 'team/acme-0';

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld({ drainReturnMs: 60_000, failoverMs: 60_000 });
});

function drain(change: Partial<StatedDrain> = {}): Promise<void> {
  const timeoutMs = 300_000;
  world.fleet.change({
    drains: [{ server: SERVER, epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true, ...change }],
  });
  return settle();
}

/** The next pod of the server serves, and the drain is not stated any more. */
async function replace(podUID = 'pod-2'): Promise<void> {
  const [server] = world.fleet.find({ namespace: 'team', name: 'acme' })?.servers ?? [];
  if (server === undefined) throw new Error('the tenant has no server');
  world.fleet.change({ servers: [{ ...server, podUID, host: '10.0.0.2' }], drains: undefined });
  await settle();
}

/** Closes sessions as a server does, and answers whatever else is asked of it. */
function answerCloses(server: ServerEnd = world.server): void {
  for (const { id } of server.all('sessions.close')) server.answer(id, {});
}

const progress = () => world.relay.drains().map(({ turns, isDrained }) => (isDrained ? 'drained' : turns));
const finish = async () => {
  await world.clock.advance(200);
  answerCloses();
  await world.clock.advance(1000);
};

/** A client whose prompt is being worked on. */
async function prompting(sessionId: string): Promise<ClientEnd> {
  const client = await world.attached(sessionId);
  client.call('session.send', { sessionId, prompt: 'first' });
  world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
  world.server.event(sessionId, 'user.message', { messageId: 'm', content: 'first' });
  return client;
}

describe('a server that drains', () => {
  it('gets no new prompts, sessions or resumes, but everything else, until its turns have ended', async () => {
    const a = await prompting('s');
    const before = world.server;
    await drain();
    a.call('session.send', { sessionId: 's', prompt: 'second' });
    a.call('session.create', {});
    a.call('session.resume', { sessionId: 't' });
    const mode = a.call('session.mode.get', { sessionId: 's' });
    await world.clock.advance(5000);
    expect(progress()).toEqual([1]);
    expect(before.count('session.send')).toBe(1);
    expect(
      before.count('session.create') +
        before.all('session.resume').filter(({ params }) => params?.['sessionId'] === 't').length,
    ).toBe(0);
    before.answer(before.last('session.mode.get').id, { mode: 'plan' });
    expect(a.answer(mode)?.result).toEqual({ mode: 'plan' });
    before.event('s', 'session.idle');
    await finish();
    expect([progress(), before.isClosed]).toEqual([['drained'], true]);
    expect(before.all('sessions.close').map(({ params }) => params)).toEqual([{ sessionId: 's' }]);
    expect(world.logged).toContainEqual({ audit: true, server: SERVER, end: 'Finished' });
  });

  it('that has no connection is drained at once, and is not connected to any more', async () => {
    const a = world.client();
    await drain();
    expect(progress()).toEqual(['drained']);
    a.call('session.create', { sessionId: 's' });
    a.call('session.list');
    await world.clock.advance(10_000);
    expect(world.dials).toEqual([]);
    await replace();
    expect(world.server.all('session.list')).toHaveLength(1);
  });

  it('is drained for a gateway that has nothing to do with it', async () => {
    await drain();
    expect(progress()).toEqual(['drained']);
  });

  it('has what was held go on in the next pod, in its order, with sessions as they were set up', async () => {
    const a = await world.attached('s', { streaming: true });
    world.server.event('s', 'assistant.turn_start');
    world.server.event('s', 'session.idle');
    await drain();
    await finish();
    for (const prompt of ['one', 'two']) a.call('session.send', { sessionId: 's', prompt });
    const list = a.call('session.list');
    await replace();
    const { server } = world;
    expect(server.last('session.resume').params).toMatchObject({
      sessionId: 's',
      streaming: true,
      disableResume: true,
    });
    server.answer(server.last('session.resume').id, {});
    await settle();
    expect(server.all('session.send').map(({ params }) => params?.['prompt'])).toEqual(['one', 'two']);
    server.answer(server.last('session.list').id, { sessions: [] });
    expect(a.answer(list)?.result).toEqual({ sessions: [] });
    expect(a.events).toEqual(['assistant.turn_start', 'session.idle']);
  });

  it('hides from clients that their sessions are unloaded', async () => {
    const a = await world.attached('s');
    await drain();
    await world.clock.advance(200);
    world.server.event('s', 'session.shutdown');
    answerCloses();
    await world.clock.advance(1000);
    expect([a.events, a.cuts]).toEqual([[], []]);
  });

  it('and closes a session that was being loaded for a call has the call go on when it is loaded again', async () => {
    const a = await world.attached('s');
    const id = a.call('session.mode.get', { sessionId: 's' });
    world.server.refuse(world.server.last('session.mode.get').id, 'Session not found: s');
    await settle();
    const before = world.server;
    await drain();
    await world.clock.advance(200);
    before.answer(before.last('session.resume').id, { sessionId: 's' });
    await settle();
    answerCloses();
    await world.clock.advance(1000);
    expect(progress()).toEqual(['drained']);
    expect(before.received.map(({ method }) => method).slice(-2)).toEqual(['session.resume', 'sessions.close']);
    await replace();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.mode.get').id, { mode: 'plan' });
    expect(a.answer(id)?.result).toEqual({ mode: 'plan' });
  });

  it('waits for background tasks, of which no event tells', async () => {
    await world.attached('s');
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    await drain();
    await world.clock.advance(5000);
    expect(progress()).toEqual([1]);
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: false });
    await finish();
    expect(progress()).toEqual(['drained']);
  });

  it('does not wait for a permission, which is answered in the next pod', async () => {
    const a = await prompting('s');
    world.journal = [world.server.event('s', 'permission.requested', { requestId: 'p' })];
    await drain();
    await finish();
    expect(progress()).toEqual(['drained']);
    const method = 'session.permissions.handlePendingPermissionRequest';
    a.call(method, { sessionId: 's', requestId: 'p' });
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
      end.answer(id, { items: [{ requestId: 'p' }] }),
    );
    world.answers.set('session.tools.listPendingRequests', (end, { id }) => end.answer(id, { items: [] }));
    await replace();
    const { server } = world;
    expect(server.last('session.resume').params).toMatchObject({ sessionId: 's', continuePendingWork: true });
    server.answer(server.last('session.resume').id, {});
    await settle();
    expect(server.last(method).params).toMatchObject({ requestId: 'p' });
    server.event('s', 'session.idle');
    expect(a.events).toEqual(['user.message', 'permission.requested', 'session.idle']);
  });

  it.each([3_600_000, -3_600_000])(
    'is not cut before its deadline, and is then, if the clock is set by %i ms meanwhile',
    async (byMs) => {
      await prompting('s');
      const { server } = world;
      await drain({ timeoutMs: 60_000 });
      world.clock.jumpWallClock(byMs);
      await world.clock.advance(59_000);
      expect([server.isClosed, progress()]).toEqual([false, [1]]);
      await world.clock.advance(1000);
      answerCloses(server);
      await world.clock.advance(1000);
      expect(progress()).toEqual(['drained']);
    },
  );

  it('has the deadline that is stated last', async () => {
    await prompting('s');
    const { server } = world;
    await drain({ timeoutMs: 60_000 });
    await drain({ timeoutMs: 1000 });
    await world.clock.advance(1000);
    answerCloses(server);
    await world.clock.advance(1000);
    expect(progress()).toEqual(['drained']);
  });

  it('is cut at the deadline, and its turns go on in the next pod', async () => {
    const a = await prompting('s');
    await drain({ timeoutMs: 1000 });
    await world.clock.advance(999);
    expect(progress()).toEqual([1]);
    await finish();
    expect(progress()).toEqual(['drained']);
    expect(await world.counted('drains_total')).toEqual({ DeadlinePassed: 1 });
    world.journal = [journalEvent('user.message', { messageId: 'm', content: 'first' })];
    await replace();
    world.server.answer(world.server.last('session.resume').id, {});
    await settle();
    expect(world.server.last('session.sendMessages').params).toEqual({ sessionId: 's', messages: [] });
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    world.server.event('s', 'session.idle');
    expect(a.events).toEqual(['user.message', 'session.idle']);
  });

  it('is cut at the deadline, and its turns go on in the next pod, also if a call meets that', async () => {
    const a = await prompting('s');
    const mode = a.call('session.mode.get', { sessionId: 's' });
    await drain({ timeoutMs: 1000 });
    await world.clock.advance(1000);
    expect(world.server.count('sessions.close')).toBe(1);
    world.server.refuse(world.server.last('session.mode.get').id, 'Session not found: s');
    answerCloses();
    await world.clock.advance(6000);
    world.journal = [journalEvent('user.message', { messageId: 'm', content: 'first' })];
    await replace();
    world.server.answer(world.server.last('session.resume').id, {});
    await settle();
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    world.server.answer(world.server.last('session.mode.get').id, { mode: 'plan' });
    world.server.event('s', 'session.idle');
    expect([a.events, a.answer(mode)?.result]).toEqual([['user.message', 'session.idle'], { mode: 'plan' }]);
  });

  it('that does not answer is left behind soon after the deadline', async () => {
    await world.attached('s');
    world.activityAnswer = () => undefined;
    await drain({ timeoutMs: 1000 });
    await world.clock.advance(10_000);
    expect(progress()).toEqual(['drained']);
  });

  it('does not close what the next pod has loaded by the time that it could', async () => {
    const a = await prompting('s');
    const begun = journalEvent('user.message', { messageId: 'm', content: 'first' });
    world.journal = [begun];
    world.isUp = false;
    world.server.events.closed(undefined);
    await settle();
    // For this it is being loaded, which waits for the server.
    a.call('session.mode.get', { sessionId: 's' });
    await drain();
    await finish();
    await world.clock.advance(10_000);
    expect(progress()).toEqual(['drained']);
    world.isUp = true;
    await replace();
    world.server.answer(world.server.last('session.resume').id, {});
    await settle();
    world.server.answer(world.server.last('session.sendMessages').id, { messageIds: [] });
    await settle();
    expect(world.server.count('sessions.close')).toBe(0);
    world.server.event('s', 'session.idle');
    expect(a.events.at(-1)).toBe('session.idle');
  });

  it('that stays after all, when its sessions are closed already, has their turns go on', async () => {
    const a = await world.attached('s');
    a.call('session.send', { sessionId: 's', prompt: 'p' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    await drain({ timeoutMs: 1000 });
    await world.clock.advance(1000);
    expect(world.server.count('sessions.close')).toBe(1);
    world.fleet.change({ drains: undefined });
    answerCloses();
    await settle();
    expect(world.server.count('session.resume')).toBe(2);
  });

  it('that stays after all gets what was held', async () => {
    const a = await prompting('s');
    await drain();
    a.call('session.send', { sessionId: 's', prompt: 'second' });
    world.fleet.change({ drains: undefined });
    await settle();
    expect(world.server.count('session.send')).toBe(2);
    expect(await world.counted('drains_total')).toEqual({ Withdrawn: 1 });
  });

  it('that was drained and stays after all is connected to again', async () => {
    const a = await world.attached('s');
    await drain();
    await finish();
    a.call('session.mode.get', { sessionId: 's' });
    world.fleet.change({ drains: undefined });
    await settle();
    expect(world.dials).toHaveLength(2);
    await drain({ epoch: 2 });
    expect(progress()).not.toEqual(['drained']);
  });

  it('and does not come back has its calls answered as of a server that is gone', async () => {
    const a = await prompting('s');
    await drain({ comesBack: false });
    const held = a.call('session.send', { sessionId: 's', prompt: 'second' });
    world.server.event('s', 'session.idle');
    await finish();
    await settle();
    expect(a.answer(held)?.error?.code).toBe(-32050);
    const later = a.call('session.list');
    await settle();
    expect(a.answer(later)?.error?.code).toBe(-32050);
    expect(world.dials).toHaveLength(1);
  });

  it('and does not come back is connected to again when it was started later', async () => {
    const a = await world.attached('s');
    await drain({ comesBack: false });
    await finish();
    world.fleet.change({ drains: undefined });
    await replace();
    a.call('session.list');
    await world.clock.advance(1000);
    expect(world.dials).toHaveLength(2);
    expect(world.server.count('session.list')).toBe(1);
  });

  it('whose next pod does not come has its calls answered in the end', async () => {
    const a = await world.attached('s');
    await drain();
    await finish();
    world.fleet.change({ drains: undefined, servers: [] });
    const held = a.call('session.send', { sessionId: 's', prompt: 'x' });
    await world.clock.advance(59_000);
    expect(a.answer(held)).toBeUndefined();
    await world.clock.advance(1000);
    expect(a.answer(held)?.error?.code).toBe(-32050);
  });

  it('and that nobody replaces, because no operator runs, serves again some minutes after its deadline', async () => {
    const a = await world.attached('s');
    await drain();
    await finish();
    const held = a.call('session.mode.get', { sessionId: 's' });
    await world.clock.advance(350_000);
    expect(world.dials).toHaveLength(1);
    await world.clock.advance(9_000);
    expect(world.dials).toHaveLength(2);
    expect(world.server.all('session.resume')).toHaveLength(1);
    expect(a.answer(held)).toBeUndefined();
  });

  it('and that nobody has replaced drains anew when the operator is back, with the turn that runs by then', async () => {
    const a = await world.attached('s');
    await drain();
    await finish();
    a.call('session.mode.get', { sessionId: 's' });
    await world.clock.advance(359_000);
    const { server } = world;
    server.answer(server.last('session.resume').id, {});
    await settle();
    server.answer(server.last('session.mode.get').id, { mode: 'plan' });
    await world.clock.advance(3_600_000);
    a.call('session.send', { sessionId: 's', prompt: 'p' });
    server.answer(server.last('session.send').id, { messageId: 'm' });
    server.event('s', 'user.message', { messageId: 'm', content: 'p' });
    await drain({ epoch: 2 });
    await world.clock.advance(5_000);
    expect([progress(), server.isClosed]).toEqual([[1], false]);
    server.event('s', 'session.idle');
    await finish();
    expect([progress(), server.isClosed]).toEqual([['drained'], true]);
  });

  it('was not lost: neither a replaced nor a suspended one counts as a fail-over', async () => {
    await prompting('s');
    await drain({ comesBack: false });
    world.server.event('s', 'session.idle');
    await finish();
    await settle();
    expect(world.dials).toHaveLength(1);
    expect(await world.counted('failovers_total')).toEqual({});
    expect(await world.counted('failover_sessions_total')).toEqual({});
  });

  it('holds a bounded number of calls', async () => {
    world = new RelayWorld({ dialQueue: 2 });
    const a = await world.attached('s');
    await drain();
    await finish();
    const calls = [1, 2, 3].map(() => a.call('session.mode.get', { sessionId: 's' }));
    expect(calls.map((id) => a.answer(id)?.error?.code)).toEqual([undefined, undefined, -32050]);
  });

  it('does not begin the next turn of a prompt that another client had waiting', async () => {
    const a = await prompting('s');
    const b = await world.attached('s');
    b.call('session.send', { sessionId: 's', prompt: 'of b' });
    await drain();
    const before = world.server;
    before.event('s', 'session.idle');
    await finish();
    expect([progress(), before.count('session.send')]).toEqual([['drained'], 1]);
    await replace();
    world.server.answer(world.server.last('session.resume').id, {});
    await settle();
    expect(world.server.last('session.send').params).toMatchObject({ prompt: 'of b' });
    expect([a.events, b.events]).toEqual([['user.message', 'session.idle'], []]);
  });

  it('lets a running turn be steered', async () => {
    const a = await prompting('s');
    await drain();
    a.call('session.send', { sessionId: 's', prompt: 'mind this', mode: 'immediate' });
    expect(world.server.count('session.send')).toBe(2);
  });
});

describe('a tenant with several servers', () => {
  it('has new sessions made on one that does not drain, and calls that name none answered', async () => {
    world.fleet.scale(2);
    const disks = new SessionDisks(world);
    world.answers.set('sessions.close', (end, { id }) => end.answer(id, {}));
    const a = world.client();
    const create = async (sessionId: string) => {
      const id = a.call('session.create', { sessionId });
      await settle();
      return a.answer(id)?.result;
    };
    await create('a');
    const host = [0, 1].find((index) => disks.of(hostOf(index)).has('a')) ?? 0;
    const podUID = world.fleet.find(TENANT)?.servers[host]?.podUID ?? '';
    await drain({ server: `team/acme-${host}`, podUID });
    await finish();
    expect(progress()).toEqual(['drained']);
    for (const sessionId of ['b', 'c']) expect(await create(sessionId)).toEqual({ sessionId });
    expect([0, 1].map((index) => disks.of(hostOf(index)).size)).toEqual(host === 0 ? [1, 2] : [2, 1]);
    const held = a.call('session.send', { sessionId: 'a', prompt: 'x' });
    await settle();
    expect(a.answer(held)).toBeUndefined();
  });
});

describe('the methods that start turns', () => {
  it('are those of the table', () => {
    const sends = METHOD_LINES.filter((line) => JSON.stringify(line).includes('"send"')).map(([method]) => method);
    expect(sends.filter((method) => !startsTurn(method))).toEqual([]);
    expect(sends).not.toEqual([]);
  });
});
