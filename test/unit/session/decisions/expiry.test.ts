import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionSpecInput, CopilotSessionStatus } from '../../../../src/api/session.ts';
import type { SessionPhase } from '../../../../src/api/session-conditions.ts';
import {
  activityOf,
  deletionDueOf,
  expiryDecision,
  expiryOf,
  inUseDelay,
  wasCleanedUp,
  type ExpiryInput,
} from '../../../../src/session/decisions/expiry.ts';
import { ttlOf } from '../../../../src/resources/session-ttl.ts';
import { answerOf, sessionFacts } from '../../../support/fake-sessions.ts';
import { CREATED, sampleSession, serverView } from '../../../support/sessions.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('the ttl of a session', () => {
  it.each<[string, Partial<CopilotSessionSpecInput>, number | undefined]>([
    ['is none for a Persistent one', {}, undefined],
    ['is an hour for an Ephemeral one', { lifecycle: 'Ephemeral' }, HOUR],
    ['is what a Persistent one states', { ttl: '90m' }, 90 * MINUTE],
    ['is what an Ephemeral one states', { lifecycle: 'Ephemeral', ttl: '2m' }, 2 * MINUTE],
  ])('%s', (_case, spec, ttl) => {
    expect(ttlOf(sampleSession(spec).spec)).toBe(ttl);
  });

  it('counts from the last activity', () => {
    expect(expiryOf(sampleSession({ ttl: '1h' }), CREATED + MINUTE)).toBe(CREATED + MINUTE + HOUR);
  });

  it('counts from the creation of the resource before the first turn', () => {
    expect(expiryOf(sampleSession({ ttl: '1h' }), undefined)).toBe(CREATED + HOUR);
  });

  it('counts from the creation of the resource for an older session, which a new policy must not delete at once', () => {
    expect(expiryOf(sampleSession({ ttl: '24h' }), CREATED - 72 * HOUR)).toBe(CREATED + 24 * HOUR);
    expect(expiryOf(sampleSession({ lifecycle: 'Ephemeral' }), CREATED - 3 * HOUR)).toBe(CREATED + HOUR);
  });

  it('counts from the last activity before the resource has a creation time', () => {
    const session = sampleSession({ ttl: '1h' }, { creationTimestamp: '' });
    expect(expiryOf(session, CREATED)).toBe(CREATED + HOUR);
  });

  it('never passes without one', () => {
    expect(expiryOf(sampleSession(), CREATED)).toBeUndefined();
  });
});

describe('the last activity', () => {
  const earlier: CopilotSessionStatus = { lastActivityTime: '2026-01-02T03:01:00Z' };
  const reported = CREATED + MINUTE;
  it.each<[string, Parameters<typeof activityOf>[0], CopilotSessionStatus | undefined, object]>([
    ['is unknown before the first turn', undefined, undefined, { reported: undefined, latest: undefined }],
    ['is what was last reported, for a session that is missing', undefined, earlier, { reported, latest: reported }],
    [
      'is what the journal says',
      sessionFacts('alpha', { lastActivityTime: CREATED + 5 * MINUTE }),
      earlier,
      { reported: CREATED + 5 * MINUTE, latest: CREATED + 5 * MINUTE },
    ],
    [
      'advances even when the usage is unknown',
      sessionFacts('alpha', { lastActivityTime: CREATED + 5 * MINUTE, usage: undefined }),
      earlier,
      { reported: CREATED + 5 * MINUTE, latest: CREATED + 5 * MINUTE },
    ],
    [
      'stays as reported until the journal was read, while an expiry counts from the file’s time',
      sessionFacts('alpha', { lastActivityTime: CREATED + 5 * MINUTE, unread: true }),
      earlier,
      { reported, latest: CREATED + 5 * MINUTE },
    ],
    [
      'is the file’s time when nothing was reported yet',
      sessionFacts('alpha', { lastActivityTime: CREATED, unread: true }),
      undefined,
      { reported: CREATED, latest: CREATED },
    ],
    [
      'is never later than now, whatever a server’s clock says',
      sessionFacts('alpha', { lastActivityTime: CREATED + 1000 * HOUR }),
      undefined,
      { reported: CREATED + HOUR, latest: CREATED + HOUR },
    ],
  ])('%s', (_case, facts, status, expected) => {
    expect(activityOf(facts, status, CREATED + HOUR)).toEqual(expected);
  });
});

describe('a margin for clocks that differ', () => {
  it.each([
    ['is as long as a short ttl', '5m', 10 * MINUTE],
    ['is ten minutes at most', '24h', 24 * HOUR + 10 * MINUTE],
  ])('%s', (_case, ttl, expected) => {
    const session = sampleSession({ ttl });
    expect(deletionDueOf(session, expiryOf(session, CREATED))).toBe(CREATED + expected);
  });
});

describe('a session', () => {
  const due = CREATED + HOUR;
  const fresh = serverView(0, { answer: answerOf(due + MINUTE) });
  const decide = (phase: SessionPhase, input: Partial<ExpiryInput> = {}, status?: CopilotSessionStatus) =>
    expiryDecision({
      session: sampleSession({ ttl: '1h' }, {}, status),
      phase,
      dueAt: due,
      servers: [fresh],
      now: due + MINUTE,
      ...input,
    }).action;

  it.each<[string, SessionPhase, Partial<ExpiryInput>, string]>([
    ['without ttl never expires', 'Idle', { dueAt: undefined }, 'none'],
    ['does not expire a moment early', 'Idle', { now: due - 1 }, 'none'],
    ['expires when its time to live has passed', 'Idle', {}, 'due'],
    ['expires without ever having had a turn', 'Pending', {}, 'due'],
    ['never expires during a turn', 'Active', {}, 'none'],
    ['is not deleted on an answer from before it expired', 'Idle', { servers: [serverView()] }, 'refresh'],
    ['is not deleted on an old answer', 'Idle', { now: due + HOUR }, 'refresh'],
    [
      'is not deleted while its server does not answer',
      'Idle',
      { servers: [serverView(0, { answer: undefined })] },
      'none',
    ],
    [
      'is not deleted while one of the servers that may have it does not answer',
      'Pending',
      { servers: [fresh, serverView(1, { answer: undefined })] },
      'none',
    ],
    ['expires once', 'Expired', {}, 'none'],
    ['has expired when it is found missing after its time', 'Lost', {}, 'due'],
  ])('%s', (_case, phase, input, action) => {
    expect(decide(phase, input)).toBe(action);
  });

  it('that is reported as lost stays lost when its time to live passes', () => {
    expect(decide('Lost', {}, { phase: 'Lost' })).toBe('none');
  });

  it.each<SessionPhase>(['Lost', 'Expired'])(
    'that is Ephemeral and %s is deleted when its time to live has passed',
    (phase) => {
      const session = sampleSession({ lifecycle: 'Ephemeral' }, {}, { phase });
      expect(decide(phase, { session })).toBe('due');
    },
  );
});

describe('a session that is missing', () => {
  const own = (ttl: string, phase: SessionPhase = 'Idle') => sampleSession({ ttl }, {}, { phase });
  it.each([
    ['was cleaned up when the tenant’s ttl has passed and its own had before', own('30m'), { ttl: '1h' }, true],
    ['was cleaned up when its own ttl has passed and the tenant’s had before', own('1h'), { ttl: '30m' }, true],
    ['was not before the tenant’s', own('30m'), { ttl: '2h' }, false],
    ['was not before its own', own('2h'), { ttl: '30m' }, false],
    ['was not when its own policy keeps it forever', sampleSession(), { ttl: '30m' }, false],
    [
      'was when it is Ephemeral, by default for an hour',
      sampleSession({ lifecycle: 'Ephemeral' }),
      { ttl: '30m' },
      true,
    ],
    ['was not when the tenant has no ttl', own('30m'), {}, false],
    ['was not when the cleanup is a dry run', own('30m'), { ttl: '30m', cleanupDryRun: true }, false],
    ['was not when it is reported as lost', own('30m', 'Lost'), { ttl: '30m' }, false],
  ])('%s', (_case, session, sessions, expected) => {
    expect(wasCleanedUp(session, sampleTenant({ sessions }), CREATED, CREATED + HOUR)).toBe(expected);
  });

  it('was not cleaned up when it was idle long before the resource that keeps it was created', () => {
    const tenant = sampleTenant({ sessions: { ttl: '30m' } });
    expect(wasCleanedUp(own('2h'), tenant, CREATED - 72 * HOUR, CREATED + HOUR)).toBe(false);
    expect(wasCleanedUp(own('2h'), tenant, CREATED - 72 * HOUR, CREATED + 2 * HOUR)).toBe(true);
  });

  it('was not cleaned up when its last activity is unknown', () => {
    expect(wasCleanedUp(own('30m'), sampleTenant({ sessions: { ttl: '30m' } }), undefined, CREATED + HOUR)).toBe(false);
  });
});

describe('a session that is due and in use', () => {
  it('is checked less and less often, and once a minute at least', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 2000].map(inUseDelay)).toEqual(
      [2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000),
    );
  });
});
