import { describe, expect, it } from '@jest/globals';
import { conflictingWriter } from '../../../../src/tenant/decisions/conflicting-writer.ts';
import { podDisruptionBudget } from '../../../../src/tenant/builders/poddisruptionbudget.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { rolledOutDeployment } from '../fixtures.ts';

const child = rolledOutDeployment();
const writers = [{ manager: 'kubectl', operation: 'Update', subresource: 'scale', time: '2026-01-02T03:04:05Z' }];
const contest = { fields: ['spec.replicas'], writers, endsInMs: 1 };
const input = { child, tenant: 'acme', contest, reverted: true };

describe('another writer that keeps changing a child', () => {
  it('is named with operation, subresource and time, and the remedy', () => {
    const { reason, message } = conflictingWriter(input);
    expect(reason).toBe('ConflictingWriter');
    expect(message).toBe(
      'Field manager kubectl (Update of scale, last at 2026-01-02T03:04:05Z) keeps changing spec.replicas of Deployment acme-0, and the operator restores it less and less often. ' +
        'To stop the servers, set spec.suspend of the tenant, or run kubectl scale ct/acme --replicas=0. ' +
        'Exclude the object from that writer, or let the operator write nothing: kubectl annotate ct/acme copilot-operator.dev/paused=true.',
    );
  });

  it('is unknown where a field was removed; of many fields a few are named', () => {
    const fields = ['a', 'b', 'c', 'd', 'e'].map((name) => `metadata.labels.${name}`);
    const { message } = conflictingWriter({ ...input, contest: { ...contest, writers: [], fields } });
    expect(message).toMatch(/^A writer that the API server has not recorded keeps changing metadata\.labels\.a, /);
    expect(message).toContain('metadata.labels.c and 2 more of Deployment acme-0');
    expect(message).toContain('Change the tenant instead');
    const scaled = conflictingWriter({ ...input, contest: { ...contest, writers: [] } });
    expect(scaled.message).toMatch(
      /^A writer that the API server has not recorded \(as with kubectl scale --replicas=0\) keeps/,
    );
  });

  const budget = podDisruptionBudget(sampleTenant());
  it.each([
    ['its values keep a server from serving', input, undefined],
    ['they were restored', { ...input, reverted: false }, true],
    ['they are labels', { ...input, contest: { ...contest, fields: ['metadata.labels.app'] } }, true],
    [
      'servers run without the child',
      { ...input, child: budget, contest: { ...contest, fields: ['spec.selector'] } },
      true,
    ],
  ])('concerns Ready only while %s', (_, given, isBesideServers) => {
    expect(conflictingWriter(given).isBesideServers).toBe(isBesideServers);
  });
});
