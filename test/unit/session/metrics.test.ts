import { describe, expect, it } from '@jest/globals';
import { Metrics } from '../../../src/kube/runtime/metrics.ts';
import { Store } from '../../../src/kube/cache/store.ts';
import type { CopilotSession } from '../../../src/resources/session.ts';
import { SessionMetrics } from '../../../src/session/metrics.ts';
import { metricValue } from '../../support/metrics.ts';
import { sampleSession } from '../../support/sessions.ts';

function open() {
  const sessions = new Store<CopilotSession>();
  const metrics = new Metrics();
  return { sessions, metrics, counts: new SessionMetrics(metrics.registry, sessions) };
}

describe('the metrics of sessions', () => {
  it('count resources by phase, including those without one', async () => {
    const { sessions, metrics } = open();
    const count = (phase: string) => metricValue(metrics, 'copilot_sessions', { phase });
    expect(await count('Idle')).toBe(0);
    sessions.upsert(sampleSession({}, { name: 'a' }, { phase: 'Idle' }));
    sessions.upsert(sampleSession({}, { name: 'b' }, { phase: 'Idle' }));
    sessions.upsert(sampleSession({}, { name: 'c' }));
    expect(await count('Idle')).toBe(2);
    expect(await count('Unknown')).toBe(1);
    expect(await count('Active')).toBe(0);
  });

  it('count those that are Stalled by the reason', async () => {
    const { sessions, metrics } = open();
    const count = (reason: string) => metricValue(metrics, 'copilot_stalled_sessions', { reason });
    expect(await count('TenantNotFound')).toBe(0);
    const stalled = (name: string, status: 'True' | 'False', reason: string) => {
      const condition = { type: 'Stalled', status, reason, message: '', lastTransitionTime: '2026-01-02T03:04:05Z' };
      sessions.upsert(sampleSession({}, { name }, { conditions: [condition] }));
    };
    stalled('a', 'True', 'TenantNotFound');
    stalled('b', 'True', 'TenantNotFound');
    stalled('c', 'True', 'OwnedByAnother');
    stalled('d', 'False', 'NotStalled');
    expect([await count('TenantNotFound'), await count('OwnedByAnother'), await count('Forbidden')]).toEqual([2, 1, 0]);
  });

  it('have every series from the start', async () => {
    const { metrics, counts } = open();
    expect(await metricValue(metrics, 'copilot_session_expirations_total', { result: 'Failed' })).toBe(0);
    expect(await metricValue(metrics, 'copilot_session_deletions_total', { result: 'LeftBehind' })).toBe(0);
    counts.expired('Deleted');
    counts.removed('LeftBehind');
    expect(await metricValue(metrics, 'copilot_session_expirations_total', { result: 'Deleted' })).toBe(1);
    expect(await metricValue(metrics, 'copilot_session_deletions_total', { result: 'LeftBehind' })).toBe(1);
  });
});
