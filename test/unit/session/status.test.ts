import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionStatus } from '../../../src/api/session.ts';
import { computeStatus, emptyStatus, unobservedStatus } from '../../../src/session/status.ts';
import { CREATED, located, sampleSession } from '../../support/sessions.ts';

const NOW = CREATED + 60_000;
const HOUR = 3_600_000;
const usage = { turns: 2, inputTokens: 20, outputTokens: 10 };

/** The status of `alpha`, idle on acme-0, but for what is stated. */
const idle = (before?: CopilotSessionStatus, facts: Parameters<typeof located>[0] = {}, now = NOW) =>
  computeStatus({
    session: sampleSession({}, {}, before),
    phase: 'Idle',
    located: located(facts),
    lastActivity: CREATED,
    expiresAt: CREATED + HOUR,
    now,
  });

describe('the status of a session', () => {
  it('has its id, server, size and usage', () => {
    expect(idle()).toEqual({
      observedGeneration: 1,
      conditions: expect.any(Array),
      sessionId: 'alpha',
      phase: 'Idle',
      server: 'acme-0',
      lastActivityTime: '2026-01-02T03:00:00Z',
      expiresAt: '2026-01-02T04:00:00Z',
      sizeBytes: 1000,
      usage,
    });
  });

  it('names the server that has it, of several that list it, and none for data that is gone', () => {
    const input = { session: sampleSession(), lastActivity: CREATED, place: 'acme-3', now: NOW };
    const held = computeStatus({ ...input, phase: 'Idle', located: located() });
    expect(held.server).toBe('acme-3');
    expect(held.conditions?.find(({ type }) => type === 'Ready')?.message).toContain('on server acme-3');
    expect(computeStatus({ ...input, phase: 'Pending' })).not.toHaveProperty('server');
  });

  it('is the same an hour later when nothing has happened', () => {
    const before = idle();
    expect(idle(before, {}, NOW + HOUR)).toEqual(before);
  });

  it('keeps what a process that has just started has not read yet', () => {
    const before = idle();
    expect(idle(before, { usage: undefined, sizeBytes: 0 })).toEqual(before);
  });

  it.each(['Expired', 'Lost'] as const)('of one that is %s keeps its usage, but no server and no size', (phase) => {
    const after = computeStatus({
      session: sampleSession({}, {}, idle()),
      phase,
      lastActivity: CREATED,
      expiresAt: CREATED + HOUR,
      now: NOW,
    });
    expect(after).toMatchObject({ phase, usage, lastActivityTime: '2026-01-02T03:00:00Z' });
    expect(Object.keys(after)).not.toEqual(expect.arrayContaining(['server']));
    expect(Object.keys(after)).not.toEqual(expect.arrayContaining(['sizeBytes']));
    expect(Object.keys(after)).not.toEqual(expect.arrayContaining(['expiresAt']));
  });

  it('does not keep the usage of an expired session for the next one of its id', () => {
    const before: CopilotSessionStatus = { ...idle(), phase: 'Expired' };
    expect(idle(before, { usage: undefined })).not.toHaveProperty('usage');
  });

  it('keeps everything but its conditions while no server answers', () => {
    const before = idle();
    const session = sampleSession({}, {}, before);
    const unavailable = { reason: 'TenantSuspended', message: 'It waits.', transient: false } as const;
    const after = unobservedStatus({ session, unavailable, now: NOW + HOUR });
    expect({ ...after, conditions: undefined }).toEqual({ ...before, conditions: undefined });
    expect(after.conditions?.[0]).toMatchObject({ type: 'Ready', status: 'False', reason: 'TenantSuspended' });
    expect(after.conditions?.[2]).toEqual(before.conditions?.[2]);
  });

  it('of a duplicate reports nothing of data that is not its own', () => {
    const cause = { reason: 'DuplicateSessionId', message: 'Taken.' } as const;
    const after = emptyStatus({ session: sampleSession({}, {}, idle()), cause, now: NOW });
    expect(Object.keys(after).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'conditions',
      'observedGeneration',
      'sessionId',
    ]);
  });
});
