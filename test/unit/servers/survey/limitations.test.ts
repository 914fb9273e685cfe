// A server that answers some of the survey's methods with an error: what is known of it all the same.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { KEY, World } from './world.ts';

const MINUTE = 60_000;

let world: World;
beforeEach(() => {
  world = new World();
});

/** The server answers the method with an error. */
function refuse(method: string, code: number): void {
  world.server.answers[method] = () => ({ error: { code, message: 'no' } });
}

async function surveyed(): Promise<void> {
  world.survey.watch(KEY, 'one');
  world.sessions.turn('one');
  world.servers.set(world.target());
  await world.clock.advance(100);
}

describe.each([-32_601, -32_603])('a server that answers with error %d', (code) => {
  it.each<[string, object]>([
    ['sessions.getSizes', { sizeBytes: 0, activity: 'Loaded', usage: { turns: 1 }, labels: {} }],
    ['sessions.getClientMetadata', { sizeBytes: 500, activity: 'Loaded', usage: { turns: 1 }, labels: undefined }],
    ['status.get', { sizeBytes: 500, activity: 'Loaded', usage: { turns: 1 }, labels: {} }],
    ['ping', { sizeBytes: 500, activity: 'Loaded', usage: { turns: 1 }, labels: {} }],
  ])('to %s is surveyed for the rest', async (method, expected) => {
    refuse(method, code);
    await surveyed();
    expect(world.facts('one')).toMatchObject(expected);
    const isPolled = method.startsWith('sessions.');
    expect(world.survey.limitations(KEY)).toEqual(isPolled ? [{ method, code }] : []);
    await world.clock.advance(10 * MINUTE);
    expect(world.survey.get(KEY)?.at).toBeGreaterThan(world.clock.now() - MINUTE);
    expect(world.server.dials).toBe(1);
    expect(world.logged).toHaveLength(isPolled ? 1 : 0);
  });

  it('to sessions.readPersistedEvents is surveyed without turns', async () => {
    refuse('sessions.readPersistedEvents', code);
    for (let n = 0; n < 100; n += 1) world.sessions.turn(`s${n}`);
    await surveyed();
    await world.clock.advance(5 * MINUTE);
    expect(world.survey.get(KEY)?.sessions.size).toBe(101);
    expect(world.facts('one')).toMatchObject({ sizeBytes: 500, activity: 'Loaded', usage: undefined, labels: {} });
    expect(world.facts('one')?.lastActivityTime).toBe(world.facts('one')?.modifiedTime);
    expect(world.server.dials).toBe(1);
  });

  it('to sessions.list is known to answer, and to know no sessions, which is reported once', async () => {
    refuse('sessions.list', code);
    await surveyed();
    expect(world.survey.get(KEY)).toBeUndefined();
    expect(world.survey.limitations(KEY)).toEqual([{ method: 'sessions.list', code }]);
    await world.clock.advance(10 * MINUTE);
    expect(world.changes).toEqual([[KEY, ['one']]]);
    expect(world.server.dials).toBe(1);
    world.server.behaviour = 'silent';
    await world.clock.advance(5 * MINUTE);
    expect(world.survey.limitations(KEY)).toEqual([]);
  });

  it('to sessions.list, and had an answer, keeps it for a while only', async () => {
    await surveyed();
    const answer = world.server.answers['sessions.list'];
    refuse('sessions.list', code);
    await world.clock.advance(5 * MINUTE);
    expect([world.survey.get(KEY), world.survey.limitations(KEY).length]).toEqual([undefined, 1]);
    if (answer !== undefined) world.server.answers['sessions.list'] = answer;
    // It would be another process, and so another connection.
    world.server.cut();
    await world.clock.advance(MINUTE);
    expect([world.survey.get(KEY)?.sessions.size, world.survey.limitations(KEY)]).toEqual([1, []]);
  });
});

describe('a server that lacks', () => {
  it.each(['sessions.getSizes', 'sessions.getClientMetadata', 'sessions.readPersistedEvents'])(
    '%s is asked for it once for each connection',
    async (method) => {
      refuse(method, -32_601);
      for (let n = 0; n < 20; n += 1) world.sessions.turn(`s${n}`);
      await surveyed();
      world.sessions.turn('one');
      await world.clock.advance(10 * MINUTE);
      // A journal is tried a second time, for its last event alone.
      expect(world.calls()[method]).toBe(method === 'sessions.readPersistedEvents' ? 2 : 1);
    },
  );

  it('sessions.readPersistedEvents since it was replaced trusts no older journal of a session that has changed', async () => {
    await surveyed();
    world.sessions.prompt('one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.activity).toBe('Active');
    refuse('sessions.readPersistedEvents', -32_601);
    world.sessions.answer('one');
    await world.clock.advance(3000);
    expect(world.facts('one')).toMatchObject({
      activity: 'Loaded',
      lastActivityTime: world.facts('one')?.modifiedTime,
    });
  });
});

describe('an operation that the server lacks a method for', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['session.delete', () => world.survey.delete(KEY, 'one')],
    ['sessions.close', () => world.survey.close(KEY, 'one')],
    ['session.metadata.activity', () => world.survey.activity(KEY, 'one')],
    ['session.metadata.updateClientMetadata', () => world.survey.label(KEY, 'one', { owner: 'ann' })],
    [
      'sessions.getMetadata',
      () => world.survey.deleteUnused(KEY, 'one', { modifiedTime: world.facts('one')?.modifiedTime, expiresAt: 0 }),
    ],
  ])('(%s) fails alone: the session stays, and so does the answer', async (method, operation) => {
    await surveyed();
    for (const code of [-32_601, -32_603]) {
      refuse(method, code);
      await expect(operation()).rejects.toThrow(`${method} failed with error ${code}`);
    }
    await world.clock.advance(5 * MINUTE);
    expect(world.facts('one')).toBeDefined();
    expect(world.server.dials).toBe(1);
  });

  it.each(['ping', 'session.metadata.activity'])(
    'does not delete an expired session that may be in use (%s)',
    async (method) => {
      await surveyed();
      refuse(method, -32_601);
      const disuse = { modifiedTime: world.facts('one')?.modifiedTime, expiresAt: 0 };
      await expect(world.survey.deleteUnused(KEY, 'one', disuse)).rejects.toThrow(`${method} failed`);
      expect(world.server.calls('session.delete')).toBe(0);
    },
  );
});
