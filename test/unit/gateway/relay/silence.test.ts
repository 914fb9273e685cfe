import { beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_LIMITS } from '../../../../src/gateway/relay/model.ts';
import { Silence } from '../../../../src/gateway/relay/server/silence.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';

const { silentMs } = DEFAULT_LIMITS;

describe('a connection', () => {
  let clock: FakeClock;
  let signs: number;
  let isAwaited: boolean;
  let asked: number;
  let lost: number;
  let silence: Silence;

  beforeEach(() => {
    clock = new FakeClock();
    [signs, isAwaited, asked, lost] = [0, true, 0, 0];
    silence = new Silence({
      timers: clock,
      silentMs,
      signs: () => signs,
      isAwaited: () => isAwaited,
      ask: () => void (asked += 1),
      onSilent: () => void (lost += 1),
    });
  });

  it('over which nothing comes is asked for a sign once, and lost within a minute', async () => {
    await clock.advance(silentMs * 2);
    expect([asked, lost]).toEqual([1, 0]);
    await clock.advance(60_000 - silentMs * 2);
    expect([asked, lost, clock.pendingTimers]).toEqual([1, 1, 0]);
  });

  it('of which the last sign came right after it was looked for one is lost little more than a minute later', async () => {
    await clock.advance(silentMs + 2);
    signs += 1;
    await clock.advance(60_000 + 10);
    expect([asked, lost]).toEqual([2, 1]);
  });

  it('of a server that takes its time with the answer is not lost', async () => {
    await clock.advance(silentMs * 3.9);
    signs += 1;
    await clock.advance(silentMs * 3.9);
    expect([asked, lost]).toEqual([2, 0]);
  });

  it('over which something comes now and then is not even asked', async () => {
    for (let time = 0; time < 120_000; time += silentMs * 0.9) {
      signs += 1;
      await clock.advance(silentMs * 0.9);
    }
    expect([asked, lost]).toEqual([0, 0]);
  });

  it('on which nobody waits for anything is left alone', async () => {
    isAwaited = false;
    await clock.advance(600_000);
    expect([asked, lost]).toEqual([0, 0]);
    isAwaited = true;
    await clock.advance(60_000 + 10);
    expect([asked, lost]).toEqual([1, 1]);
  });

  it('is not lost because this process was paused, with the answer in the kernel', async () => {
    await clock.advance(silentMs * 2);
    await clock.pause(600_000);
    signs += 1;
    await clock.advance(silentMs * 3.9);
    expect(lost).toBe(0);
  });

  it('that was closed is not looked at', async () => {
    silence.stop();
    await clock.advance(600_000);
    expect([asked, lost, clock.pendingTimers]).toEqual([0, 0, 0]);
  });
});

describe('a server that says nothing', () => {
  it('in the middle of a turn is asked, and dialled anew if it does not answer', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { tools: [{ name: 'lookup' }] });
    client.call('session.send', { sessionId: 's', prompt: 'go on' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.server.event('s', 'user.message', { messageId: 'm', content: 'go on' });
    await world.clock.advance(120_000);
    expect(world.server.count('ping')).toBeGreaterThan(1);
    expect(world.dials).toHaveLength(1);
    world.answers.delete('ping');
    await world.clock.advance(60_000);
    expect(world.dials.map(({ isClosed }) => isClosed)).toEqual([true, false]);
    expect(await world.counted('server_disconnects_total')).toEqual({ Timeout: 1 });
    // The server may have the connection of before, whose tools would clash with those of this one.
    expect(world.server.closedFirst).toEqual(['s']);
    expect(world.server.last('session.resume').params).toMatchObject({ sessionId: 's', continuePendingWork: true });
  });

  it('may have the sessions of the connection of before, so that they are closed before they are loaded for another client', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    client.leave();
    // As TCP keepalive finds out.
    world.server.events.closed(Object.assign(new Error('lost'), { code: 'ETIMEDOUT' }));
    await settle();
    await world.attach(world.client(), 's', { tools: [{ name: 'lookup' }] });
    expect([world.dials.length, world.server.closedFirst]).toEqual([2, ['s']]);
  });

  it('and has ended the connection has forgotten them: they are not closed first', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s');
    client.leave();
    world.server.events.closed(undefined);
    await settle();
    await world.attach(world.client(), 's', { tools: [{ name: 'lookup' }] });
    expect([world.dials.length, world.server.closedFirst]).toEqual([2, []]);
  });

  it('to a call is asked, and the call is made again by the next connection', async () => {
    const world = new RelayWorld();
    world.answers.delete('ping');
    const client = world.client();
    const id = client.call('models.list');
    await world.clock.advance(61_000);
    expect(world.dials).toHaveLength(2);
    world.server.answer(world.server.last('models.list').id, { models: [] });
    expect(client.answer(id)?.result).toEqual({ models: [] });
  });

  it('and of which nobody wants anything stays as it is', async () => {
    const world = new RelayWorld();
    world.answers.delete('ping');
    const client = await world.attached('s');
    await world.clock.advance(600_000);
    await settle();
    expect([world.dials.length, world.server.count('ping'), client.cuts]).toEqual([1, 0, []]);
  });
});
