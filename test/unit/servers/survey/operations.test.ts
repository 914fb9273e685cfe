import { beforeEach, describe, expect, it } from '@jest/globals';
import { UnreachableError } from '../../../../src/copilot/index.ts';
import { LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { HeldElsewhereError } from '../../../../src/servers/survey/sessions.ts';
import { settle } from '../../../support/fake-clock.ts';
import { KEY, World } from './world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

describe('operations', () => {
  it('close a session, and request a poll', async () => {
    world.sessions.prompt('one');
    await world.firstPoll();
    await world.survey.close(KEY, 'one');
    await world.clock.advance(3000);
    expect(world.facts('one')?.activity).toBe('Unloaded');
  });

  it('delete a session once', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    expect(await world.survey.delete(KEY, 'one')).toBe('Deleted');
    expect(await world.survey.delete(KEY, 'one')).toBe('NotFound');
    await world.clock.advance(3000);
    expect(world.changes).toEqual([[KEY, ['one']]]);
  });

  it('delete a session, and remove it from the answer at once', async () => {
    world.sessions.turn('one');
    world.sessions.turn('two');
    await world.firstPoll();
    await world.survey.delete(KEY, 'one');
    expect(world.facts('one')).toBeUndefined();
    expect(world.facts('two')).toBeDefined();
    expect(world.changes).toEqual([[KEY, ['one']]]);
  });

  it('delete a session that the poll under way had listed before', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    const { answers } = world.server;
    const list = answers['sessions.list'];
    let late: object | undefined;
    answers['sessions.list'] = (request) => {
      late = { jsonrpc: '2.0', id: request.id, ...list?.(request) };
      if (list !== undefined) answers['sessions.list'] = list;
      return undefined;
    };
    world.survey.refresh(KEY);
    await world.clock.advance(3000);
    await world.survey.delete(KEY, 'one');
    expect(late).toHaveProperty(['result', 'sessions', '0', 'sessionId'], 'one');
    world.server.send(late ?? {});
    await settle();
    expect(world.facts('one')).toBeUndefined();
    expect(world.changes).toEqual([[KEY, ['one']]]);
  });

  /** That the session was not used since it was observed, and had expired then. */
  const unused = (id: string) => {
    const { modifiedTime, lastActivityTime = 0 } = world.facts(id) ?? {};
    return { modifiedTime, expiresAt: lastActivityTime };
  };

  it('do not delete a session as unused that was used since, or in which a turn runs', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    const observed = unused('one');
    world.sessions.turn('one');
    expect(await world.survey.deleteUnused(KEY, 'one', observed)).toBe('InUse');
    await world.clock.advance(3000);
    world.sessions.prompt('two');
    await world.clock.advance(3000);
    expect(await world.survey.deleteUnused(KEY, 'two', unused('two'))).toBe('InUse');
    expect(await world.survey.deleteUnused(KEY, 'one', unused('one'))).toBe('Deleted');
    expect(await world.survey.deleteUnused(KEY, 'one', unused('one'))).toBe('NotFound');
  });

  it.each([
    ['the server’s', -600_000],
    ['the operator’s', 600_000],
  ])(
    'do not delete a session as unused before it expires by the clock that is behind, %s, nor reset its idle clock',
    async (_, skew) => {
      world.sessions.turn('one');
      await world.firstPoll();
      world.sessions.skewMs = skew;
      const { modifiedTime, lastActivityTime = 0 } = world.facts('one') ?? {};
      const ttl = 60_000;
      // By the other clock the turn was long ago.
      const expiresAt = lastActivityTime + ttl + Math.min(skew, 0);
      await world.clock.advance(ttl - 1000);
      world.calls();
      expect(await world.survey.deleteUnused(KEY, 'one', { modifiedTime, expiresAt })).toBe('InUse');
      expect(world.calls()).not.toHaveProperty(['session.metadata.activity']);
      await world.clock.advance(1000);
      expect(await world.survey.deleteUnused(KEY, 'one', { modifiedTime, expiresAt })).toBe('Deleted');
    },
  );

  it('read what a session does now, whatever the last poll found', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    world.sessions.prompt('one');
    expect(world.facts('one')?.activity).toBe('Loaded');
    expect(await world.survey.activity(KEY, 'one')).toBe('Active');
    world.sessions.unload('one');
    expect(await world.survey.activity(KEY, 'one')).toBe('Unloaded');
    expect(await world.survey.activity(KEY, 'never-was')).toBe('Unloaded');
  });

  it('fail when the server answers that it deleted a session and did not', async () => {
    world.sessions.turn('one');
    world.sessions.keepsDeleted = true;
    await world.firstPoll();
    await expect(world.survey.delete(KEY, 'one')).rejects.toThrow(
      'session one was deleted (Deleted), but still lists it',
    );
  });

  it('reject after 10 s without an answer', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    world.server.behaviour = 'silent';
    const closing = world.survey.close(KEY, 'one').catch((error: unknown) => error);
    await world.clock.advance(10_200);
    expect(String(await closing)).toContain('no answer to sessions.close within 10000 ms');
  });

  it.each(['label', 'activity', 'close', 'delete'] as const)(
    'reject a %s with the reason why the server is not connected',
    async (operation) => {
      const give = () => world.survey[operation](KEY, 'one', {});
      await expect(give()).rejects.toThrow(`${KEY}: no running server is known`);
      world.servers.set(world.target());
      await expect(give()).rejects.toThrow(`${KEY}: the server is not connected: it has not been reached yet`);
      world.server.behaviour = 'refuses';
      await world.clock.advance(100);
      await expect(give()).rejects.toThrow(UnreachableError);
      await expect(give()).rejects.toThrow('nothing listens on the port');
    },
  );

  it.each([
    ['label', {}],
    ['close', {}],
    ['delete', {}],
    ['deleteUnused', { expiresAt: 0 }],
  ] as const)(
    'refuse a %s while this process may not write, and send nothing that changes the session',
    async (operation, last) => {
      world.sessions.turn('one');
      await world.firstPoll();
      world.gateClosed = true;
      const { modifiedTime } = world.facts('one') ?? {};
      const give = () => world.survey[operation](KEY, 'one', { modifiedTime, ...last } as never);
      await expect(give()).rejects.toThrow(LeadershipLostError);
      const writes = ['session.metadata.updateClientMetadata', 'sessions.close', 'session.delete'];
      expect(Object.keys(world.calls()).filter((method) => writes.includes(method))).toEqual([]);
      world.gateClosed = false;
      await expect(give()).resolves.not.toThrow();
    },
  );

  it('do not delete a session as unused when the lease ran out while its use was checked', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    const { answers } = world.server;
    const activity = answers['session.metadata.activity'];
    answers['session.metadata.activity'] = (request) => {
      world.gateClosed = true;
      return activity?.(request);
    };
    await expect(world.survey.deleteUnused(KEY, 'one', unused('one'))).rejects.toThrow(LeadershipLostError);
    expect(world.calls()).not.toHaveProperty(['session.delete']);
    expect(world.facts('one')).toBeDefined();
  });
});

describe('operations on a server that has a guard', () => {
  const guarded = { guardOf: 'team/acme' };

  it.each(['close', 'delete'] as const)('%s a session only after the guard has granted that', async (operation) => {
    world.sessions.turn('one');
    await world.firstPoll(guarded);
    await world.survey[operation](KEY, 'one');
    const method = operation === 'close' ? 'sessions.close' : 'session.delete';
    expect(world.grants).toEqual([[`${operation} one`, []]]);
    expect(world.server.received.map((call) => call.method)).toContain(method);
  });

  it('do nothing to a session that another server has, and name that', async () => {
    world.sessions.turn('one');
    await world.firstPoll(guarded);
    world.heldBy = 'team/acme-1';
    for (const operation of ['close', 'delete'] as const) {
      const failed = world.survey[operation](KEY, 'one');
      await expect(failed).rejects.toThrow(HeldElsewhereError);
      await expect(failed).rejects.toMatchObject({ holder: 'team/acme-1', why: 'its node is off' });
    }
    expect(world.calls()).toEqual({});
  });

  it('take a session that another server has for one in use', async () => {
    world.sessions.turn('one');
    await world.firstPoll(guarded);
    world.heldBy = 'team/acme-1';
    const { modifiedTime = 0 } = world.facts('one') ?? {};
    await world.clock.advance(60_000);
    expect(await world.survey.deleteUnused(KEY, 'one', { modifiedTime, expiresAt: 0 })).toBe('InUse');
    expect(world.facts('one')).toBeDefined();
  });

  describe('that deletes what is not used', () => {
    beforeEach(async () => {
      world.sessions.turn('one');
      await world.firstPoll(guarded);
      await world.clock.advance(60_000);
      world.calls();
    });
    const deletion = (isUnloaded = false) => {
      const { modifiedTime = 0 } = world.facts('one') ?? {};
      return world.survey.deleteUnused(KEY, 'one', { modifiedTime, expiresAt: 0, isUnloaded });
    };

    it('learn the epoch before they look at the session, and take the next one alone', async () => {
      expect(await deletion()).toBe('Deleted');
      expect(world.grants.map(([what]) => what)).toEqual(['epoch one', 'delete one after 4']);
      const [[, beforeEpoch] = [], [, beforeGrant] = []] = world.grants;
      expect(beforeEpoch).not.toContain('session.metadata.activity');
      expect(beforeGrant).toContain('session.metadata.activity');
    });

    it('leave alone what the gateway has been granted while they looked', async () => {
      const { answers } = world.server;
      const activity = answers['session.metadata.activity'];
      answers['session.metadata.activity'] = (request) => {
        world.epoch = 5;
        return activity?.(request);
      };
      expect(await deletion()).toBe('InUse');
      expect(world.calls()).not.toHaveProperty(['session.delete']);
    });

    it('leave alone what was used under the epoch of before until they were granted it', async () => {
      world.onGrant = () => world.sessions.turn('one');
      expect(await deletion()).toBe('InUse');
      expect(world.calls()).not.toHaveProperty(['session.delete']);
    });

    it('ask no guard for a session that is not there, because guards forget none', async () => {
      expect(await world.survey.deleteUnused(KEY, 'none', { modifiedTime: 0, expiresAt: 0 })).toBe('NotFound');
      expect(world.grants).toEqual([]);
    });

    it('take one for used that is in memory again, where it was not', async () => {
      world.server.answers['session.metadata.activity'] = () => ({ result: { hasActiveWork: false } });
      expect(await deletion(true)).toBe('InUse');
      expect(await deletion()).toBe('Deleted');
    });
  });

  it('store no labels: that is a write to a session which the gateway has', async () => {
    world.sessions.prompt('one');
    await world.firstPoll(guarded);
    expect(await world.survey.label(KEY, 'one', { owner: 'alice' })).toBe(false);
    expect([world.calls(), world.grants]).toEqual([{}, []]);
  });

  it('need no grant where there is no guard', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    await world.survey.delete(KEY, 'one');
    expect(world.grants).toEqual([]);
  });
});
