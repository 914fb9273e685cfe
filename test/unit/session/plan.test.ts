import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionSpecInput, CopilotSessionStatus } from '../../../src/api/session.ts';
import type { Observation } from '../../../src/session/model.ts';
import { planSession } from '../../../src/session/plan.ts';
import { answerOf } from '../../support/fake-sessions.ts';
import { CREATED, located, sampleSession, serverView } from '../../support/sessions.ts';
import { sampleTenant } from '../../support/tenants.ts';

const HOUR = 3_600_000;

/** The plan for a session that was last active when it was created. */
function planned(
  spec: Partial<CopilotSessionSpecInput>,
  status: CopilotSessionStatus,
  seen: Partial<Observation>,
): ReturnType<typeof planSession> {
  return planSession({
    session: sampleSession(spec, {}, status),
    tenant: sampleTenant(),
    located: located(),
    copies: ['acme-0'],
    place: undefined,
    candidates: [serverView()],
    ownership: 'Own',
    unavailable: undefined,
    graceMs: 0,
    now: CREATED + HOUR,
    ...seen,
  });
}

const idle: CopilotSessionStatus = { phase: 'Idle', server: 'acme-0', lastActivityTime: '2026-01-02T03:00:00Z' };

describe('the plan for a session', () => {
  it('keeps it until its time to live and the margin have passed', () => {
    expect(planned({ ttl: '2h' }, idle, {})).toMatchObject({
      phase: 'Idle',
      expiry: 'none',
      expiresAt: CREATED + 2 * HOUR,
      dueAt: CREATED + 2 * HOUR + HOUR / 6,
    });
  });

  it('deletes its data after that, on a fresh answer only', () => {
    const now = CREATED + 3 * HOUR;
    expect(planned({ ttl: '2h' }, idle, { now }).expiry).toBe('refresh');
    const candidates = [serverView(0, { answer: answerOf(now) })];
    expect(planned({ ttl: '2h' }, idle, { now, candidates }).expiry).toBe('due');
  });

  it('deletes no data while the tenant is paused', () => {
    const now = CREATED + 3 * HOUR;
    const candidates = [serverView(0, { answer: answerOf(now) })];
    for (const [value, expiry] of [
      ['true', 'none'],
      ['false', 'due'],
    ] as const) {
      const tenant = sampleTenant({}, { annotations: { 'copilot-operator.dev/paused': value } });
      expect(planned({ ttl: '2h' }, idle, { tenant, now, candidates })).toMatchObject({ phase: 'Idle', expiry });
    }
  });

  it('takes one that the tenant’s cleanup has deleted for expired', () => {
    const tenant = sampleTenant({ sessions: { ttl: '30m' } });
    const now = CREATED + 35 * 60_000;
    expect(planned({ ttl: '30m' }, idle, { tenant, located: undefined, now })).toMatchObject({
      phase: 'Expired',
      expiry: 'none',
      dueAt: undefined,
    });
  });

  it('reports one that is missing before its time as lost', () => {
    expect(planned({}, idle, { located: undefined })).toMatchObject({ phase: 'Lost', expiry: 'none' });
  });
});
