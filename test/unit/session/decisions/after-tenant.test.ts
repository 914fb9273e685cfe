import { describe, expect, it } from '@jest/globals';
import type { PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import { volumeFate } from '../../../../src/session/decisions/after-tenant.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import type { CopilotTenant } from '../../../../src/resources/tenant.ts';

const sample = sampleTenant();
const { uid = '' } = sample.metadata;

const deleted = (finalizers: string[]): CopilotTenant => ({
  ...sample,
  metadata: { ...sample.metadata, finalizers, deletionTimestamp: '2026-01-02T03:04:05Z' },
});
const owned = (kind: string, ownerUid: string) => [
  {
    apiVersion: kind === 'CopilotTenant' ? 'copilot-operator.dev/v1alpha1' : 'example.com/v1',
    kind,
    name: 'acme',
    uid: ownerUid,
    controller: true,
  },
];
const claim = (ownerReferences?: object[], terminating = false): PersistentVolumeClaim =>
  ({
    metadata: {
      name: 'acme-0',
      ...(ownerReferences && { ownerReferences }),
      ...(terminating && { deletionTimestamp: '2026' }),
    },
  }) as unknown as PersistentVolumeClaim;

const DELETE = claim(owned('CopilotTenant', uid));
const RETAIN = claim();

describe('the data of a session whose tenant is deleted', () => {
  it.each<[string, PersistentVolumeClaim | undefined, CopilotTenant | undefined, string]>([
    ['the tenant is gone, and the volume with it', undefined, undefined, 'Gone'],
    ['the tenant is gone, the volume is being deleted', claim(owned('CopilotTenant', uid), true), undefined, 'Gone'],
    ['the tenant is gone, the collector has not come to its volume yet', DELETE, undefined, 'GoesWithVolume'],
    ['the tenant is gone, with reclaimPolicy Retain', RETAIN, undefined, 'Retained'],
    ['the tenant is gone, deleted with --cascade=orphan', claim([]), undefined, 'Retained'],
    ['the tenant is gone, something else controls the volume', claim(owned('Backup', 'b')), undefined, 'Retained'],
    ['the tenant goes, with reclaimPolicy Delete', DELETE, deleted([]), 'GoesWithVolume'],
    ['the tenant goes, in the foreground', DELETE, deleted(['foregroundDeletion']), 'GoesWithVolume'],
    ['the tenant goes, with reclaimPolicy Retain', RETAIN, deleted([]), 'Retained'],
    ['the tenant goes, with --cascade=orphan', DELETE, deleted(['orphan']), 'Retained'],
    [
      'the tenant goes, the volume is that of another tenant',
      claim(owned('CopilotTenant', 'x')),
      deleted([]),
      'Retained',
    ],
    ['the tenant goes, and has no volume', undefined, deleted([]), 'Gone'],
  ])('%s', (_case, found, tenant, reason) => {
    expect(volumeFate(found, tenant).reason).toBe(reason);
  });
});
