import { describe, expect, it } from '@jest/globals';
import { deadlineOf, removalStep } from '../../../../src/session/decisions/removal.ts';
import { CREATED, serverView } from '../../../support/sessions.ts';
import type { ServerView } from '../../../../src/session/model.ts';

const MINUTE = 60_000;
const silent = (seen: Partial<ServerView>) => serverView(0, { answer: undefined, ...seen });

describe('the data of a deleted session', () => {
  it.each<[string, ServerView, string]>([
    ['is deleted by a server that answers', serverView(), 'delete ServerAnswers'],
    [
      'is deleted by it even while it is about to stop',
      serverView(0, { runState: 'Stopping' }),
      'delete ServerAnswers',
    ],
    ['is removed from the volume of one that has stopped', silent({ runState: 'Stopped' }), 'job ServerStopped'],
    ['waits for one that is stopping', silent({ runState: 'Stopping' }), 'wait ServerStopping'],
    [
      'waits for one that can not list its sessions',
      silent({ limitations: [{ method: 'sessions.list', code: -32_601 }] }),
      'wait ServerLimited',
    ],
    ['waits for one that does not answer', silent({ runState: 'Expected' }), 'wait ServerSilent'],
  ])('%s', (_case, server, expected) => {
    const { action, reason } = removalStep(server);
    expect(`${action} ${reason}`).toBe(expected);
  });
});

describe('the deadline of a deletion is', () => {
  const ends = (tenantTerminating: boolean, startedAt: number) =>
    deadlineOf({ deletedAt: CREATED, tenantTerminating, startedAt }) - CREATED;
  it.each([
    ['five minutes after the deletion', false, CREATED - MINUTE, 5 * MINUTE],
    ['one minute after it when the tenant is deleted too', true, CREATED - MINUTE, MINUTE],
    [
      'not before a process that starts later has tried for half a minute',
      false,
      CREATED + 60 * MINUTE,
      60 * MINUTE + 30_000,
    ],
  ])('%s', (_case, tenantTerminating, startedAt, expected) => {
    expect(ends(tenantTerminating, startedAt)).toBe(expected);
  });
});
