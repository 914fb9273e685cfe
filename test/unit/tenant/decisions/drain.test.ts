import { describe, expect, it } from '@jest/globals';
import type { ServerDrain } from '../../../../src/api/tenant.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { drainDecision, type DrainInput } from '../../../../src/tenant/decisions/drain.ts';
import { MINUTE, NOW, SECOND } from '../fixtures.ts';

const STATED = {
  epoch: 4,
  reason: 'Updating',
  podUID: 'pod-1',
  since: '2026-01-02T03:04:05Z',
  deadline: '2026-01-02T03:09:05Z',
} as const;

const decide = (change: Partial<DrainInput> = {}) =>
  drainDecision({
    server: 'acme-0',
    why: 'Updating',
    timeoutMs: 5 * MINUTE,
    throughGateway: true,
    podUID: 'pod-1',
    wasRefused: false,
    responds: true,
    stated: STATED,
    nextEpoch: 5,
    report: undefined,
    openMs: undefined,
    now: NOW,
    ...change,
  });

describe('the drain of a server', () => {
  it('begins with the next epoch, whatever the gateway says: it cannot know of it yet', () => {
    const begun = decide({ stated: undefined, report: { turns: 0, waiting: 0 } });
    expect(begun).toEqual({
      action: 'drain',
      reason: 'Begun',
      message: expect.stringContaining('Server acme-0 drains before it is replaced'),
      drain: { ...STATED, epoch: 5 },
      dueInMs: 5 * MINUTE + 10 * SECOND,
    });
  });

  it.each<[why: string, change: Partial<DrainInput>, outcome: string]>([
    ['goes on until all replicas have left the pod', { report: { turns: 2, waiting: 1 } }, 'drain Draining'],
    ['goes on while a replica has not answered', { report: { turns: 0, waiting: 1 } }, 'drain Draining'],
    ['goes on while none was asked', {}, 'drain Draining'],
    ['is over when all have', { report: { turns: 0, waiting: 0 } }, 'replace Drained'],
    ['is over ten seconds after its deadline', { now: NOW + 5 * MINUTE + 10 * SECOND }, 'replace DeadlinePassed'],
    ['is not over before', { now: NOW + 5 * MINUTE + 9 * SECOND }, 'drain Draining'],
    [
      'is over when the timeout was shortened meanwhile',
      { timeoutMs: SECOND, now: NOW + MINUTE },
      'replace DeadlinePassed',
    ],
    ['begins anew with another pod', { podUID: 'pod-2', report: { turns: 0, waiting: 0 } }, 'drain Begun'],
    [
      'is not waited for if the status never took it',
      { stated: undefined, openMs: 5 * MINUTE + 10 * SECOND },
      'replace DeadlinePassed',
    ],
    ['is waited for until then', { stated: undefined, openMs: 5 * MINUTE + 9 * SECOND }, 'drain Begun'],
    ['is not needed where clients connect directly', { throughGateway: false }, 'replace NotThroughGateway'],
    ['is not needed where no pod serves', { podUID: undefined }, 'replace NothingServes'],
    ['is not tried again where the write after it was refused', { wasRefused: true }, 'replace Refused'],
    ['is no use where the server does not answer', { responds: false }, 'replace NotResponding'],
    ['is not wanted with a timeout of 0s', { timeoutMs: 0 }, 'replace NoTimeout'],
  ])('%s', (_, change, outcome) => {
    const { action, reason } = decide(change);
    expect(`${action} ${reason}`).toBe(outcome);
  });

  it('lasts no longer than its timeout from now on when the clock was set back after it had begun', () => {
    const { drain, dueInMs } = decide({ now: NOW - 60 * MINUTE }) as { drain?: object; dueInMs?: number };
    expect(drain).toEqual({ ...STATED, since: '2026-01-02T02:04:05Z', deadline: '2026-01-02T02:09:05Z' });
    expect(dueInMs).toBe(5 * MINUTE + 10 * SECOND);
  });

  // The gateway uses the pod again when nobody has replaced it for five minutes: turns run there that know of no drain.
  it.each<[why: string, change: Partial<DrainInput>]>([
    ['the operator was away for an hour', { now: NOW + 65 * MINUTE }],
    ['the clock was set forward by an hour', { now: NOW + 60 * MINUTE, report: { turns: 2, waiting: 1 } }],
    ['the gateway answers as if it had not been there', { now: NOW + 65 * MINUTE, report: { turns: 0, waiting: 1 } }],
    [
      'this process was paused since the gateway had left the pod',
      { now: NOW + 65 * MINUTE, report: { turns: 0, waiting: 0 } },
    ],
    ['it was one to sleep, which ends earlier', { why: 'Hibernating', timeoutMs: 45 * SECOND, now: NOW + 65 * MINUTE }],
  ])('begins anew when %s', (_, change) => {
    const { reason, drain, dueInMs } = decide(change) as { reason: string; drain?: ServerDrain; dueInMs?: number };
    expect([reason, drain?.epoch, drain?.since]).toEqual(['Begun', 5, timestamp(change.now ?? 0)]);
    expect(dueInMs).toBe((change.timeoutMs ?? 5 * MINUTE) + 10 * SECOND);
  });

  it('does not begin anew while the gateway still waits for the next pod', () => {
    expect(decide({ now: NOW + 9 * MINUTE })).toMatchObject({ action: 'replace', reason: 'DeadlinePassed' });
  });

  it('keeps epoch and time when its reason changes', () => {
    expect(decide({ why: 'Suspending' })).toMatchObject({ drain: { ...STATED, reason: 'Suspending' } });
  });

  it.each([
    [2, '2 turns still run'],
    [1, '1 turn still runs'],
    [0, 'waiting for the gateway'],
  ])('says what is left of %d turns, and until when', (turns, text) => {
    const { message } = decide({ report: { turns, waiting: 1 } });
    expect(message).toBe(
      `Server acme-0 drains before it is replaced: ${text}, until 2026-01-02T03:09:05Z at the latest.`,
    );
  });
});
