import { describe, expect, it } from '@jest/globals';
import type { CopilotSessionStatus } from '../../../../src/api/session.ts';
import { phaseOf } from '../../../../src/session/decisions/phase.ts';
import { located } from '../../../support/sessions.ts';

const usage = { turns: 1, inputTokens: 1, outputTokens: 1 };

describe('the phase of a session whose server answers', () => {
  it.each<[string, CopilotSessionStatus | undefined, ReturnType<typeof located> | undefined, string]>([
    ['never seen and missing', undefined, undefined, 'Pending'],
    ['Pending and still missing', { phase: 'Pending' }, undefined, 'Pending'],
    ['found, not loaded', undefined, located({ activity: 'Unloaded' }), 'Idle'],
    ['found, loaded', undefined, located({ activity: 'Loaded' }), 'Idle'],
    ['found, in a turn', { phase: 'Idle' }, located({ activity: 'Active' }), 'Active'],
    ['seen on a server and missing', { phase: 'Idle', server: 'acme-0' }, undefined, 'Lost'],
    ['known by its usage and missing', { usage }, undefined, 'Lost'],
    ['known by its activity and missing', { lastActivityTime: '2026-01-01T00:00:00Z' }, undefined, 'Lost'],
    ['Lost and still missing', { phase: 'Lost', usage }, undefined, 'Lost'],
    ['Expired and still missing', { phase: 'Expired', usage }, undefined, 'Expired'],
    ['Expired and started again', { phase: 'Expired', usage }, located({ activity: 'Active' }), 'Active'],
    ['Lost and found again', { phase: 'Lost', usage }, located(), 'Idle'],
  ])('that is %s', (_case, before, where, phase) => {
    expect(phaseOf(before, where)).toBe(phase);
  });
});
