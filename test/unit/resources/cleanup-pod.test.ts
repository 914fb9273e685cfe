import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { serverPods } from '../../../src/resources/names.ts';
import { cleanupPod } from '../../../src/resources/cleanup-pod.ts';
import { sampleTenant } from '../../support/tenants.ts';

const beside = (index: number) => ({
  topologyKey: 'kubernetes.io/hostname',
  labelSelector: { matchLabels: serverPods('acme', index) },
});
const node = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } };
const near = { weight: 5, podAffinityTerm: { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'near' } } } };

function affinityOf(
  places: { servers: number[]; volumes: number[] },
  affinity?: NonNullable<CopilotTenantSpecInput['server']>['affinity'],
) {
  const tenant = sampleTenant(affinity && { server: { affinity } });
  return cleanupPod(tenant, { image: 'i', args: [], ...places }).affinity;
}

describe('the node of a cleanup', () => {
  it('is that of the server whose volume it shares', () => {
    expect(affinityOf({ servers: [0], volumes: [0] }, node)).toEqual({
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [beside(0)] },
    });
  });

  it('is the one that a crashing server holds its volume to, where there is such a server', () => {
    expect(affinityOf({ servers: [], volumes: [0, 1] })).toEqual({
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 100, podAffinityTerm: beside(0) },
          { weight: 100, podAffinityTerm: beside(1) },
        ],
      },
    });
  });

  it('also follows the tenant’s affinity where no server has chosen it', () => {
    const own = { ...node, podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [near] } };
    expect(affinityOf({ servers: [], volumes: [0] }, own)).toEqual({
      ...node,
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [near, { weight: 100, podAffinityTerm: beside(0) }],
      },
    });
  });

  it('follows the tenant’s affinity alone where no volume is mounted', () => {
    expect(affinityOf({ servers: [0, 1], volumes: [] }, node)).toEqual(node);
  });
});
