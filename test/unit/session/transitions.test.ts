import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionStatus } from '../../../src/api/session.ts';
import { transitions } from '../../../src/session/transitions.ts';

function status(ready: string, stalled = 'NotStalled'): CopilotSessionStatus {
  const condition = (type: string, value: string, reason: string) => ({
    type,
    status: value as 'True',
    reason,
    message: `It is ${reason}.`,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  return {
    conditions: [
      condition('Ready', 'False', ready),
      condition('Stalled', stalled === 'NotStalled' ? 'False' : 'True', stalled),
    ],
  };
}

const idle = status('SessionIdle');
const missing = status('TenantNotFound', 'TenantNotFound');

describe('the events of a session', () => {
  it.each([
    ['a turn begins', idle, status('TurnRunning'), []],
    ['its server stops answering', idle, status('TenantUnavailable'), []],
    ['its data is lost', idle, status('SessionLost'), ['Warning SessionLost']],
    ['its tenant is missing', undefined, missing, ['Warning TenantNotFound']],
    ['its tenant is still missing', missing, missing, []],
    ['its tenant exists again', missing, idle, []],
    ['another holds its id', idle, status('DuplicateSessionId', 'DuplicateSessionId'), ['Warning DuplicateSessionId']],
  ])('when %s', (_case, before, after, expected) => {
    expect(transitions(before, after).map(({ type, reason }) => `${type} ${reason}`)).toEqual(expected);
  });
});
