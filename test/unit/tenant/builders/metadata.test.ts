import { describe, expect, it } from '@jest/globals';
import { isControlledBy } from '../../../../src/kube/types/owner.ts';
import { serverMetadata, sharedMetadata } from '../../../../src/tenant/builders/metadata.ts';
import { tenantPods } from '../../../../src/resources/names.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const tenant = sampleTenant();

describe.each([
  ['an object that all servers share', sharedMetadata(tenant, 'acme-token')],
  ['an object of one server', serverMetadata(tenant, 2, 'acme-2')],
])('metadata of %s', (_, metadata) => {
  it('is in the namespace of the tenant', () => {
    expect(metadata.namespace).toBe('team');
  });

  it('lets the garbage collector delete it after the tenant', () => {
    expect(isControlledBy({ apiVersion: 'v1', kind: 'Secret', metadata }, tenant)).toBe(true);
  });

  it('is found by the selector of the informers and by the name of the tenant', () => {
    expect(metadata.labels).toMatchObject({
      'app.kubernetes.io/managed-by': 'copilot-operator',
      'app.kubernetes.io/name': 'copilot-server',
      'copilot-operator.dev/tenant': 'acme',
    });
  });

  it('has no label that changes with the version of the operator', () => {
    expect(Object.keys(metadata.labels ?? {})).not.toContain('app.kubernetes.io/version');
  });
});

describe('labels that distinguish servers from the rest', () => {
  it('an object of one server has its name', () => {
    expect(serverMetadata(tenant, 2, 'acme-2').labels).toMatchObject({ 'copilot-operator.dev/server': 'acme-2' });
  });

  it('an object that all servers share is not selected as a server', () => {
    expect(sharedMetadata(tenant, 'acme-token').labels).not.toMatchObject(tenantPods('acme'));
  });

  it('a tenant that was not read from the API owns nothing', () => {
    const { uid: _, ...metadata } = tenant.metadata;
    expect(() => sharedMetadata({ ...tenant, metadata }, 'acme-token')).toThrow(/no UID/);
  });
});
