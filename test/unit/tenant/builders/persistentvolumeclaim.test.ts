import { describe, expect, it } from '@jest/globals';
import type { PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { persistentVolumeClaim } from '../../../../src/tenant/builders/persistentvolumeclaim.ts';
import { isClaimOf } from '../../../../src/resources/names.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const sizeOf = (claim: PersistentVolumeClaim) => claim.spec?.resources?.requests?.['storage'];

describe('the claim of a server', () => {
  it('is requested as the spec says', () => {
    const storage = { size: '20Gi', storageClassName: 'fast', accessMode: 'ReadWriteOncePod' } as const;
    expect(persistentVolumeClaim(sampleTenant({ storage }), 0).spec).toEqual({
      accessModes: ['ReadWriteOncePod'],
      storageClassName: 'fast',
      resources: { requests: { storage: '20Gi' } },
    });
  });

  it('leaves the StorageClass to the cluster when the spec has none', () => {
    expect(persistentVolumeClaim(sampleTenant(), 0).spec).not.toHaveProperty('storageClassName');
  });

  it('with Delete it is deleted with the tenant', () => {
    const tenant = sampleTenant({ storage: { reclaimPolicy: 'Delete' } });
    expect(persistentVolumeClaim(tenant, 0).metadata.ownerReferences).toEqual([controllerRef(tenant)]);
  });

  it('with Retain it has no owner, so the garbage collector does not delete it', () => {
    expect(persistentVolumeClaim(sampleTenant(), 0).metadata).not.toHaveProperty('ownerReferences');
  });

  it('is neither pruned nor deleted by Argo CD, which with tracking by label takes it for a resource of the Application of its name', () => {
    expect(persistentVolumeClaim(sampleTenant(), 0).metadata.annotations).toEqual({
      'argocd.argoproj.io/compare-options': 'IgnoreExtraneous',
      'argocd.argoproj.io/sync-options': 'Prune=false,Delete=false',
    });
  });

  it('with Retain the next tenant of the name finds it', () => {
    const retained = persistentVolumeClaim(sampleTenant(), 0);
    expect(isClaimOf(retained, sampleTenant({}, { uid: 'uid-of-the-next-acme' }))).toBe(true);
  });
});

describe('the claim of a server that exists already', () => {
  const made = persistentVolumeClaim(sampleTenant({ storage: { size: '10Gi', storageClassName: 'fast' } }), 0);
  const bound = (capacity: string | undefined): PersistentVolumeClaim => ({
    ...made,
    status: { phase: 'Bound', ...(capacity !== undefined && { capacity: { storage: capacity } }) },
  });
  const live = bound('10Gi');
  const sizeWith = (size: string, claim: PersistentVolumeClaim) =>
    sizeOf(persistentVolumeClaim(sampleTenant({ storage: { size, storageClassName: 'fast' } }), 0, claim));

  it.each([
    ['grows with the spec', '20Gi', '20Gi'],
    ['never shrinks', '5Gi', '10Gi'],
    ['counts a size in another unit', '10241Mi', '10241Mi'],
    ['is not written for the same size in another unit', '10240Mi', '10Gi'],
  ])('%s', (_, size, expected) => {
    expect(sizeWith(size, live)).toBe(expected);
  });

  it.each([
    ['is taken back as far as its volume has not grown', '5Gi', '4Gi', '5Gi'],
    ['cannot be taken back to what its volume has, as Kubernetes has it', '4Gi', '4Gi', '10Gi'],
    ['cannot be taken back to what its volume has in another unit', '4096Mi', '4Gi', '10Gi'],
    ['cannot be taken back below that', '3Gi', '4Gi', '10Gi'],
    ['cannot be lowered while its capacity is unknown', '5Gi', undefined, '10Gi'],
    ['is left alone by a size that its volume has already', '10Gi', '12Gi', '10Gi'],
  ])('a growth %s', (_, size, capacity, expected) => {
    expect(sizeWith(size, bound(capacity))).toBe(expected);
  });

  it.each(['20Gi', '5Gi'])('is left as it is until it is bound, also with the size %s', (size) => {
    expect(sizeWith(size, { ...made, status: { phase: 'Pending' } })).toBe('10Gi');
  });

  it('keeps its StorageClass and access modes, which are immutable', () => {
    const storage = { storageClassName: 'slow', accessMode: 'ReadWriteOncePod' } as const;
    expect(persistentVolumeClaim(sampleTenant({ storage }), 0, live).spec).toMatchObject({
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'fast',
    });
  });
});
