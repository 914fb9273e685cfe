import { describe, expect, it } from '@jest/globals';
import type { KubeObject } from '../../../../src/kube/types/types.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import {
  HASH_ANNOTATION,
  isOrphanOf,
  isOwnOrOrphan,
  mayAdopt,
  tokenAdoption,
} from '../../../../src/tenant/decisions/adoption.ts';
import { sampleTenant, TOKEN } from '../../../support/tenants.ts';
import { rolledOutDeployment } from '../fixtures.ts';

const tenant = sampleTenant();
const desired = service(tenant, 0);

/** A child as it is left by --cascade=orphan and by a restore. */
function orphan<T extends KubeObject>(child: T): T {
  const { ownerReferences: _, ...metadata } = child.metadata;
  return { ...child, metadata: { ...metadata, annotations: { ...metadata.annotations, [HASH_ANNOTATION]: 'hash' } } };
}

const controller = { apiVersion: 'v1', kind: 'ConfigMap', name: 'theirs', uid: 'u', controller: true };
const left = orphan(desired);
const withMetadata = (metadata: Partial<KubeObject['metadata']>) => ({
  ...left,
  metadata: { ...left.metadata, ...metadata },
});

describe('a child that has lost its controller', () => {
  it('is taken over with our mark and the labels of the desired one', () => {
    expect(mayAdopt(left, desired, tenant)).toBe(true);
    expect(isOwnOrOrphan(left, tenant)).toBe(true);
  });

  it('may have owners that do not control it, and more labels', () => {
    const labels = { ...left.metadata.labels, 'velero.io/restore-name': 'r' };
    const ownerReferences = [{ ...controller, controller: false }];
    expect(mayAdopt(withMetadata({ labels, ownerReferences }), desired, tenant)).toBe(true);
  });

  it.each<[string, KubeObject]>([
    ['is controlled by another object', withMetadata({ ownerReferences: [controller] })],
    ['has no mark: the operator has not written it', withMetadata({ annotations: {} })],
    ['has the labels of another tenant', orphan(service(sampleTenant({}, { name: 'other' }), 0))],
    ['has the labels of another server', orphan(service(tenant, 1))],
    ['has no labels', withMetadata({ labels: {} })],
  ])('is not when it %s', (_, live) => {
    expect(mayAdopt(live, desired, tenant)).toBe(false);
  });

  it('is not where a field that never changes differs', () => {
    const deployment = rolledOutDeployment();
    expect(mayAdopt(orphan(deployment), deployment, tenant)).toBe(true);
    const spec = { ...deployment.spec, selector: { matchLabels: { app: 'other' } } };
    expect(mayAdopt(orphan({ ...deployment, spec } as typeof deployment), deployment, tenant)).toBe(false);
    const secret = tokenSecret(tenant, TOKEN);
    expect(mayAdopt(orphan(secret), secret, tenant)).toBe(true);
    expect(mayAdopt(orphan({ ...secret, type: 'kubernetes.io/tls' }), secret, tenant)).toBe(false);
  });

  it('is of this tenant by labels and mark, whatever the child', () => {
    expect(isOrphanOf(orphan(service(tenant, 7)), tenant)).toBe(true);
    expect(isOrphanOf(desired, tenant)).toBe(false);
    expect(isOwnOrOrphan(desired, tenant)).toBe(true);
    expect(isOwnOrOrphan(withMetadata({ ownerReferences: [controller] }), tenant)).toBe(false);
  });
});

describe('the token in a Secret that has lost its controller', () => {
  it.each([
    ['a server was started with it', { hash: 'a', started: ['b', 'a'] }, 'adopt', 'Verified'],
    ['no server was started with it', { hash: 'a', started: ['b', undefined] }, 'refuse', 'Unverified'],
    ['there is no server', { hash: 'a', started: [] }, 'refuse', 'Unverified'],
    ['it cannot be verified yet', { hash: undefined, started: [undefined] }, 'wait', 'ModelUnknown'],
  ])('when %s', (_, evidence, action, reason) => {
    expect(tokenAdoption('acme-token', evidence)).toMatchObject({ action, reason });
  });

  it('is refused with what to do, and without the token', () => {
    const { message } = tokenAdoption('acme-token', { hash: 'a', started: [] });
    expect(message).toContain('delete the Secret');
    expect(message).toContain('acme-token');
  });
});
