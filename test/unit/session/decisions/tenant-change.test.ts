import { describe, expect, it } from '@jest/globals';
import { affectsSessions } from '../../../../src/session/decisions/tenant-change.ts';
import type { CopilotTenant } from '../../../../src/resources/tenant.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const condition = (type: string, reason: string, message = '') =>
  ({ type, status: 'True', reason, message, lastTransitionTime: '2026-01-01T00:00:00Z' }) as const;
const server = (state: 'Failed' | 'Healthy') => [{ name: 'acme-0', state, restarts: 0 }];
const PAUSED = { 'copilot-operator.dev/paused': 'true' };
const before = sampleTenant({}, {}, { replicas: 1, conditions: [condition('Ready', 'ServersReady')] });
const status = (changed: object): CopilotTenant => ({ ...before, status: { ...before.status, ...changed } });

describe('a change of a tenant concerns its sessions', () => {
  it.each<[string, CopilotTenant]>([
    ['when it is suspended', { ...before, spec: sampleTenant({ suspend: true }).spec }],
    ['when it is paused', { ...before, metadata: { ...before.metadata, annotations: PAUSED } }],
    ['when it is scaled', { ...before, spec: sampleTenant({ replicas: 2 }).spec }],
    ['when it is being deleted', { ...before, metadata: { ...before.metadata, deletionTimestamp: 'now' } }],
    ['when it is another one', { ...before, metadata: { ...before.metadata, uid: 'other' } }],
    ['when it is no longer ready', status({ conditions: [condition('Ready', 'ServersUnhealthy')] })],
    ['when a server has stopped', status({ replicas: 0 })],
    ['when a server can’t run', status({ servers: server('Failed') })],
  ])('%s', (_case, after) => {
    expect(affectsSessions(before, after)).toBe(true);
  });

  it.each<[string, CopilotTenant]>([
    ['its counts', status({ sessions: { active: 1, loaded: 1, total: 1 } })],
    ['the message of a condition', status({ conditions: [condition('Ready', 'ServersReady', 'Other text.')] })],
    ['another condition', status({ conditions: [condition('Ready', 'ServersReady'), condition('X', 'Y')] })],
    ['a server that works', status({ servers: server('Healthy') })],
    ['its labels', { ...before, metadata: { ...before.metadata, labels: { a: 'b' } } }],
  ])('but not in %s', (_case, after) => {
    expect(affectsSessions(before, after)).toBe(false);
  });
});
