import { describe, expect, it } from '@jest/globals';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { podDisruptionBudget } from '../../../../src/tenant/builders/poddisruptionbudget.ts';
import { sampleTenant } from '../../../support/tenants.ts';

describe.each([1, 3])('disruption budget of a tenant with %i servers', (replicas) => {
  const tenant = sampleTenant({ replicas });
  const { spec } = podDisruptionBudget(tenant);

  it('takes one server at a time', () => {
    expect(spec?.maxUnavailable).toBe(1);
  });

  it('asks for no minimum, which one server alone could never give up', () => {
    expect(spec).not.toHaveProperty('minAvailable');
  });

  it('lets a server that is not ready go, so that a broken one holds no drain up', () => {
    expect(spec?.unhealthyPodEvictionPolicy).toBe('AlwaysAllow');
  });

  it('covers every server of the tenant', () => {
    for (let index = 0; index < replicas; index++) {
      const { template } =
        deployment(tenant, index, { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' })
          .spec ?? {};
      expect(template?.metadata?.labels).toMatchObject(spec?.selector?.matchLabels ?? { none: '' });
    }
  });
});
