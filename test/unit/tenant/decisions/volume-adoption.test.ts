import { describe, expect, it } from '@jest/globals';
import type { ObjectMeta } from '../../../../src/kube/types/types.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { HASH_ANNOTATION } from '../../../../src/tenant/decisions/adoption.ts';
import { volumeAdoption } from '../../../../src/tenant/decisions/volume-adoption.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { boundClaim } from '../fixtures.ts';

const tenant = sampleTenant({}, { creationTimestamp: '2026-01-02T00:00:00Z' });
const marked = { annotations: { [HASH_ANNOTATION]: 'hash' } };
const older = { ...marked, creationTimestamp: '2026-01-01T00:00:00Z' };
const newer = { ...marked, creationTimestamp: '2026-01-02T00:00:01Z' };
const adoption = (metadata: Partial<ObjectMeta>, recorded?: string, phase = 'Bound') =>
  volumeAdoption(tenant, 'acme-0', boundClaim({ phase }, metadata), recorded);

describe('the use of a volume that existed before', () => {
  it('is reported of a retained claim, with claim and volume', () => {
    const found = adoption(older);
    expect(found?.reason).toBe('Retained');
    expect(found?.message).toContain('PersistentVolumeClaim acme-0 (volume pv-1) and the sessions on it');
  });

  it('is reported of a claim that was restored in the place of a lost one', () => {
    expect(adoption(newer, 'uid-of-the-lost-claim')?.reason).toBe('Retained');
  });

  it('is a warning when the operator has not written the claim: whoever made it gave it our labels', () => {
    const found = adoption({ creationTimestamp: newer.creationTimestamp });
    expect(found?.reason).toBe('Labelled');
    expect(found?.message).toContain('The operator did not create it');
  });

  it.each<[string, ReturnType<typeof adoption>]>([
    ["of the tenant's own claim", adoption(newer)],
    ['of a claim that the status has already', adoption(older, 'uid-claim')],
    ['of a claim that is not bound: nothing is on it', adoption(older, undefined, 'Pending')],
    ['of a claim that the tenant controls', adoption({ ...older, ownerReferences: [controllerRef(tenant)] })],
    ["of another tenant's claim", adoption({ ...older, labels: {} })],
    ['without a claim', volumeAdoption(tenant, 'acme-0', undefined, undefined)],
  ])('is not reported %s', (_, found) => {
    expect(found).toBeUndefined();
  });
});
