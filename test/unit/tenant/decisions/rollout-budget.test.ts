import { describe, expect, it } from '@jest/globals';
import {
  type BudgetDecision,
  isOutage,
  restartAllowed,
  rolloutAllowed,
  type RolloutUse,
} from '../../../../src/tenant/decisions/rollout-budget.ts';

const FREE: RolloutUse = { max: 2, running: [], stuck: [], settling: false };
const WAITING = ['team/c-0', 'team/a-10', 'team/b-0', 'team/a-2'];

const allowed = (use: Partial<RolloutUse> = {}, waiting = WAITING): string[] =>
  waiting.filter((server) => rolloutAllowed(server, waiting, { ...FREE, ...use }).allowed);

describe('the roll-out', () => {
  it('replaces no more servers than there are places, by name and then by index', () => {
    expect(allowed()).toEqual(['team/a-10', 'team/a-2']);
    expect(allowed({ max: 1 })).toEqual(['team/a-2']);
    expect(allowed({ max: 10 })).toHaveLength(4);
  });

  it('counts the servers that are being replaced', () => {
    expect(allowed({ running: ['team/x-0'] })).toEqual(['team/a-2']);
    expect(allowed({ running: ['team/x-0', 'team/y-0'] })).toEqual([]);
    expect(allowed({ running: ['team/x-0', 'team/y-0', 'team/z-0'] })).toEqual([]);
  });

  it('lets a server that has a place use it again, also while it is paused', () => {
    const running = ['team/c-0', 'team/b-0'];
    expect(allowed({ running })).toEqual(['team/c-0', 'team/b-0']);
    expect(allowed({ running, stuck: running })).toEqual(['team/c-0', 'team/b-0']);
  });

  it('does not count a server twice that has a place and still waits', () => {
    expect(allowed({ running: ['team/a-2'] })).toEqual(['team/a-10', 'team/a-2']);
  });

  it.each([
    ['there are no places', { max: 0 }, 'Disabled', 'suspend the tenant and resume it'],
    ['others are replaced', { running: ['team/x-0', 'team/y-0'] }, 'Waiting', 'at most 2 of all servers are replaced'],
    ['the process has just started', { settling: true }, 'Waiting', '(--max-concurrent-rollouts)'],
    [
      'those that were replaced do not respond',
      { running: ['team/x-0', 'team/y-0'], stuck: ['team/x-0', 'team/y-0'] },
      'Paused',
      "see the operator's log",
    ],
  ] satisfies [string, Partial<RolloutUse>, BudgetDecision['reason'], string][])(
    'waits while %s, and says so',
    (_, use, reason, message) => {
      const decision = rolloutAllowed('team/a-2', WAITING, { ...FREE, ...use });
      expect(decision).toMatchObject({ allowed: false, reason });
      expect(decision.message).toContain(message);
    },
  );

  it('goes on while one of two servers is stuck', () => {
    expect(allowed({ running: ['team/x-0'], stuck: ['team/x-0'] })).toEqual(['team/a-2']);
  });

  it('names no server of another tenant in a message', () => {
    const use = { ...FREE, running: ['other/x-0', 'other/y-0'], stuck: ['other/x-0', 'other/y-0'] };
    for (const stuck of [[], use.stuck]) {
      expect(rolloutAllowed('team/a-2', WAITING, { ...use, stuck }).message).not.toContain('other');
    }
  });
});

describe('restarts of servers that do not respond', () => {
  it('are as many at a time as there are places', () => {
    const now = WAITING.filter((server) => restartAllowed(server, WAITING, { max: 2, running: [], stuck: [] }).allowed);
    expect(now).toEqual(['team/c-0', 'team/a-10']);
  });

  it('wait for the restarts before them, with a message that does not change meanwhile', () => {
    const use = (...running: string[]) => ({ max: 1, running, stuck: [] });
    const first = restartAllowed('team/c-0', WAITING, use('team/a-2'));
    expect(first).toEqual({
      allowed: false,
      reason: 'Restarting',
      message: 'Its restart waits: at most 1 of all servers is replaced at a time, in case the network is the cause.',
    });
    expect(restartAllowed('team/c-0', WAITING, use('team/a-10'))).toEqual(first);
  });

  it.each([
    [100, 20, false],
    [100, 21, true],
    [5, 2, false],
    [5, 3, true],
    [1, 1, false],
    [0, 0, false],
  ])('of %i servers of which %i do not respond: an outage is %p', (total, unresponsive, outage) => {
    expect(isOutage({ total, unresponsive }, 2)).toBe(outage);
  });
});
