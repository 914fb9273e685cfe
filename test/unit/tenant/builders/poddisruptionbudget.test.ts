import { describe, expect, it } from '@jest/globals';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { podDisruptionBudget } from '../../../../src/tenant/builders/poddisruptionbudget.ts';
import { sampleTenant } from '../../../support/tenants.ts';

describe.each([1, 3])('disruption budget of a tenant with %i servers', (replicas) => {
  const tenant = sampleTenant({ replicas });
  const { spec } = podDisruptionBudget(tenant);

  it('allows the eviction of one server at a time', () => {
    expect(spec?.maxUnavailable).toBe(1);
  });

  it('allows none where the operator drains servers itself', () => {
    expect(podDisruptionBudget(tenant, true).spec).toEqual({ ...spec, maxUnavailable: 0 });
  });

  it('sets no minimum, which would protect a single server from every eviction', () => {
    expect(spec).not.toHaveProperty('minAvailable');
  });

  it('allows the eviction of a server that is not ready, so that it blocks no drain', () => {
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
