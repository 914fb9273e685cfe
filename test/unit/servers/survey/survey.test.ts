import { beforeEach, describe, expect, it } from '@jest/globals';
import { KEY, World } from './world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

describe('what is known of sessions', () => {
  it('is nothing until the first answer, and then their ids, times, sizes and activity', async () => {
    world.sessions.turn('idle');
    world.sessions.unload('idle');
    world.sessions.turn('loaded');
    world.sessions.prompt('busy');
    expect(world.survey.get(KEY)).toBeUndefined();
    world.servers.set(world.target());
    expect(world.survey.get(KEY)).toBeUndefined();
    await world.clock.advance(100);
    expect(world.survey.get(KEY)).toMatchObject({
      active: 1,
      loaded: 2,
      totalBytes: 1400,
      at: expect.any(Number) as unknown,
    });
    expect(['idle', 'loaded', 'busy'].map((id) => world.facts(id)?.activity)).toEqual(['Unloaded', 'Loaded', 'Active']);
    expect(world.facts('idle')).toMatchObject({
      sessionId: 'idle',
      sizeBytes: 600,
      usage: undefined,
      labels: undefined,
    });
    expect(world.changes.map(([key, ids]) => [key, ids.toSorted()])).toEqual([[KEY, ['busy', 'idle', 'loaded']]]);
    expect(JSON.stringify([...(world.survey.get(KEY)?.sessions.values() ?? [])])).not.toContain('words');
  });

  it('is reported for a server without sessions too', async () => {
    world.servers.set(world.target());
    await world.clock.advance(100);
    expect(world.survey.get(KEY)).toMatchObject({ active: 0, loaded: 0, totalBytes: 0 });
    expect(world.changes).toEqual([[KEY, []]]);
  });

  it('takes the last turn for the last activity, and not the unload', async () => {
    world.sessions.turn('one');
    const turnEnded = world.clock.now();
    await world.clock.advance(60_000);
    world.sessions.unload('one');
    await world.firstPoll();
    expect(world.facts('one')).toMatchObject({ lastActivityTime: turnEnded, modifiedTime: world.clock.now() - 100 });
  });

  it('goes back beyond fifty loads and unloads for the last turn', async () => {
    world.sessions.turn('one');
    const turnEnded = world.clock.now();
    for (let n = 0; n < 60; n += 1) {
      world.sessions.write('one', 'session.resume');
      world.sessions.unload('one');
    }
    await world.firstPoll();
    expect(world.facts('one')).toMatchObject({ lastActivityTime: turnEnded, activity: 'Unloaded' });
  });

  it('never dates an activity later than the file', async () => {
    world.sessions.turn('one');
    world.server.answers['sessions.readPersistedEvents'] = () => ({
      result: {
        events: [{ id: 'e', type: 'user.message', timestamp: '2199-01-01T00:00:00Z', data: {} }],
        cursor: 'c',
        hasMore: false,
        cursorStatus: 'ok',
      },
    });
    await world.firstPoll();
    expect(world.facts('one')?.lastActivityTime).toBe(world.facts('one')?.modifiedTime);
  });

  it('does not depend on the names of others, whatever an agent calls them', async () => {
    const names = ['__proto__', 'constructor', 'prototype', 'one'];
    for (const name of names) {
      world.survey.watch(KEY, name);
      world.sessions.turn(name);
    }
    // Beside them a tool was called with such an argument.
    world.sessions.write('one', 'tool.execution_start', {
      arguments: JSON.parse('{"__proto__":{"usage":1}}') as object,
    });
    await world.firstPoll();
    expect(names.map((name) => world.facts(name)?.sizeBytes)).toEqual([500, 500, 500, 600]);
    expect(names.map((name) => world.facts(name)?.usage?.turns)).toEqual([1, 1, 1, 1]);
    expect(await world.survey.delete(KEY, '__proto__')).toBe('Deleted');
    await world.clock.advance(3000);
    expect([...(world.survey.get(KEY)?.sessions.keys() ?? [])]).toEqual(['constructor', 'prototype', 'one']);
  });

  it('is reported when it changes, and only what changes', async () => {
    world.sessions.turn('other');
    world.sessions.turn('one');
    await world.firstPoll();
    const before = world.facts('other');
    world.sessions.prompt('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.activity).toBe('Active');
    world.sessions.answer('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.activity).toBe('Loaded');
    world.sessions.unload('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.activity).toBe('Unloaded');
    world.sessions.lose('one');
    await world.clock.advance(33_000);
    expect(world.survey.get(KEY)?.sessions.size).toBe(1);
    expect(world.changes).toEqual([1, 2, 3, 4].map(() => [KEY, ['one']]));
    expect(world.facts('other')).toBe(before);
  });

  it('counts each session once, over all servers that answer', async () => {
    world.sessions.turn('loaded');
    world.sessions.prompt('busy');
    world.sessions.turn('idle');
    world.sessions.unload('idle');
    await world.firstPoll();
    world.servers.set(world.target({ key: 'team/gone', host: 'nowhere' }));
    world.servers.set(world.target({ key: 'team/too' }));
    await world.clock.advance(100);
    expect(world.survey.counts()).toEqual({ active: 2, loaded: 2, unloaded: 2 });
  });
});

describe('usage and labels', () => {
  it('are read for watched sessions only, also if watched before server or session exist', async () => {
    world.survey.watch(KEY, 'one');
    world.survey.watch(KEY, 'later');
    world.sessions.turn('one');
    world.sessions.turn('other');
    await world.firstPoll();
    expect(world.facts('one')).toMatchObject({ usage: { turns: 1, inputTokens: 10, outputTokens: 5 }, labels: {} });
    expect(world.facts('other')).toMatchObject({ usage: undefined, labels: undefined });
    world.sessions.turn('later');
    await world.clock.advance(3000);
    expect(world.facts('later')?.usage?.turns).toBe(1);
  });

  it('are read when a known session is watched, and no longer given when it is unwatched', async () => {
    world.sessions.turn('one');
    world.sessions.unload('one');
    await world.firstPoll();
    world.survey.watch(KEY, 'one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.usage?.turns).toBe(1);
    expect(world.changes).toEqual([[KEY, ['one']]]);
    world.survey.unwatch(KEY, 'one');
    world.sessions.turn('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.usage).toBeUndefined();
    world.survey.watch(KEY, 'one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.usage?.turns).toBe(2);
  });

  it('grow with each turn, over unloads, and only the new events are read', async () => {
    world.survey.watch(KEY, 'one');
    // Some 8,000 events without a total of the server's own.
    for (let n = 0; n < 2000; n += 1) world.sessions.turn('one');
    world.servers.set(world.target());
    await world.clock.advance(100);
    expect(world.facts('one')?.usage).toEqual({ turns: 2000, inputTokens: 20_000, outputTokens: 10_000 });
    expect(world.calls()['sessions.readPersistedEvents']).toBe(9);
    for (const turns of [2001, 2002, 2003]) {
      world.sessions.turn('one');
      if (turns === 2002) world.sessions.unload('one');
      await world.clock.advance(3000);
      expect(world.facts('one')?.usage).toEqual({ turns, inputTokens: turns * 10, outputTokens: turns * 5 });
      expect(world.calls()['sessions.readPersistedEvents']).toBe(1);
    }
  });

  it('are unknown for a journal that is too long to be read, which is tried once, until the server writes a total', async () => {
    world.survey.watch(KEY, 'one');
    for (let n = 0; n < 9000; n += 1) world.sessions.turn('one');
    world.servers.set(world.target());
    await world.clock.advance(100);
    expect(world.facts('one')).toMatchObject({ activity: 'Loaded', usage: undefined, unread: false });
    expect(world.calls()['sessions.readPersistedEvents']).toBe(32);
    world.sessions.turn('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.usage).toBeUndefined();
    expect(world.calls()['sessions.readPersistedEvents']).toBe(1);
    world.sessions.unload('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.usage?.turns).toBe(9001);
  });

  it('are stored while the session is loaded, and read back', async () => {
    world.survey.watch(KEY, 'one');
    world.sessions.turn('one');
    await world.firstPoll();
    expect(await world.survey.label(KEY, 'one', { owner: 'ann' })).toBe(true);
    await world.clock.advance(3000);
    expect(world.facts('one')?.labels).toEqual({ owner: 'ann' });
    world.sessions.unload('one');
    expect(await world.survey.label(KEY, 'one', { owner: 'eve' })).toBe(false);
    await world.clock.advance(3000);
    expect(world.facts('one')?.labels).toEqual({ owner: 'ann' });
  });
});
