import { describe, expect, it } from '@jest/globals';
import { StalledReason } from '../../../../src/api/conditions.ts';
import { blocksServing, servesWithout } from '../../../../src/tenant/decisions/serving-impact.ts';

const child = (kind: string, name = 'acme-0') => ({ apiVersion: 'v1', kind, metadata: { name } });

describe('servers', () => {
  it.each([
    ['Deployment', 'acme-0', false],
    ['Service', 'acme-0', false],
    ['PersistentVolumeClaim', 'acme-0', false],
    ['Secret', 'acme-token', false],
    ['Secret', 'acme-binding', false],
    ['ServiceAccount', 'acme-servers', false],
    ['Role', 'acme-gateway', false],
    ['RoleBinding', 'acme-gateway', false],
    ['NetworkPolicy', 'acme-servers', false],
    ['NetworkPolicy', 'acme-cleanup', true],
    ['PodDisruptionBudget', 'acme-servers', true],
    ['CronJob', 'acme-cleanup', true],
    ['ConfigMap', 'acme-sessions', true],
    ['KindOfTheFuture', 'acme', false],
  ])('serve without %s %s: %s', (kind, name, expected) => {
    expect(servesWithout(child(kind, name), 'acme')).toBe(expected);
  });

  it('serve despite a volume that cannot grow and a cleanup without an image, and no other reason', () => {
    const reasons = Object.values(StalledReason).filter((reason) => !blocksServing({ reason, message: '' }));
    expect(reasons.toSorted()).toEqual(['OperatorImageUnknown', 'VolumeNotExpandable']);
  });

  it('serve despite any refusal of what is beside them', () => {
    for (const reason of Object.values(StalledReason)) {
      expect(blocksServing({ reason, message: '', isBesideServers: true })).toBe(false);
    }
  });
});
