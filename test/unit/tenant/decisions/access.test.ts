import { describe, expect, it } from '@jest/globals';
import type { Access, Isolation } from '../../../../src/api/names.ts';
import { bindingToken } from '../../../../src/resources/binding.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { networkPolicy } from '../../../../src/tenant/builders/networkpolicy.ts';
import { accessDecision, type AccessInput } from '../../../../src/tenant/decisions/access.ts';
import { CREDENTIAL, GATEWAY, OPERATOR, sampleTenant, SHARED_STORAGE, TOKEN } from '../../../support/tenants.ts';

const tenant = sampleTenant();
const policy = (access: Access) => networkPolicy(tenant, OPERATOR, access);
const binding = (access: Access) =>
  access === 'Gateway'
    ? bindingSecret(tenant, { token: bindingToken(tenant, CREDENTIAL), gateway: GATEWAY })
    : bindingSecret(tenant, { token: TOKEN });
const decide = (input: Partial<AccessInput> = {}) =>
  accessDecision({ tenant, binding: undefined, policy: undefined, hasGateway: true, ...input });
const specified = (access: Access) => ({ tenant: sampleTenant({ access }) });
const recorded = (access: Access) => ({ tenant: sampleTenant({}, {}, { access, observedGeneration: 1 }) });
const isolated = (isolation: Isolation, access?: Access) => ({
  tenant: sampleTenant({ isolation }, {}, access === undefined ? {} : { access, observedGeneration: 1 }),
});
/** What an operator that knew no gateway has left. */
const older = { tenant: sampleTenant({}, {}, { observedGeneration: 1 }) };
/** As the API server gives it while the CRDs are those of an older version. */
function olderCRDs(): Partial<AccessInput> {
  const { isolation: _, ...spec } = tenant.spec;
  return { tenant: { ...tenant, spec: spec as typeof tenant.spec }, hasGateway: false };
}
/** Not observed yet, because its namespace was forbidden. */
const forbidden = { tenant: sampleTenant({}, {}, { conditions: [] }) };

describe('the access of a tenant', () => {
  it.each<[string, Partial<AccessInput>, Access, string]>([
    ['new, where a gateway is installed', {}, 'Gateway', 'New'],
    ['new, and was never observed', forbidden, 'Gateway', 'New'],
    ['new, without a gateway', { hasGateway: false }, 'Direct', 'New'],
    ['new, without a gateway, by CRDs that know no isolation', olderCRDs(), 'Direct', 'New'],
    ['specified, whatever was recorded', { ...recorded('Gateway'), ...specified('Direct') }, 'Direct', 'Specified'],
    ['specified, whatever exists', { ...specified('Gateway'), binding: binding('Direct') }, 'Gateway', 'Specified'],
    ['needed by the isolation, whatever was recorded', isolated('Shared', 'Direct'), 'Gateway', 'Isolated'],
    [
      'needed by the isolation, whatever exists',
      { ...isolated('SharedTrusted'), binding: binding('Direct') },
      'Gateway',
      'Isolated',
    ],
    [
      'needed by servers that share a volume, whatever was recorded',
      { tenant: sampleTenant(SHARED_STORAGE, {}, { access: 'Direct', observedGeneration: 1 }) },
      'Gateway',
      'SharedStorage',
    ],
    ['recorded, whatever the binding is', { ...recorded('Direct'), binding: binding('Gateway') }, 'Direct', 'Recorded'],
    ['recorded, though the gateway is gone', { ...recorded('Gateway'), hasGateway: false }, 'Gateway', 'Recorded'],
    ['of an older operator, though a gateway is new', older, 'Direct', 'Observed'],
    ['of an older operator, with its binding', { ...older, binding: binding('Direct') }, 'Direct', 'Observed'],
    ['without status, of a Direct binding', { binding: binding('Direct') }, 'Direct', 'Observed'],
    ['without status, of a Gateway binding', { binding: binding('Gateway') }, 'Gateway', 'Observed'],
    ['without status, of a Direct policy', { policy: policy('Direct') }, 'Direct', 'Observed'],
    ['without status, of a Gateway policy', { policy: policy('Gateway') }, 'Gateway', 'Observed'],
  ])('that is %s', (_, input, access, reason) => {
    expect(decide(input)).toMatchObject({ access, reason });
  });

  it.each<[string, Partial<AccessInput>, string]>([
    ['specified', specified('Gateway'), 'spec.access is Gateway, but no gateway is installed'],
    [
      'recorded',
      recorded('Gateway'),
      'spec.access is not set, and the access of the tenant is Gateway, but no gateway',
    ],
  ])('Gateway that is %s needs a gateway, and the message says what to do', (_, input, message) => {
    const { access, cause } = decide({ ...input, hasGateway: false });
    expect(access).toBe('Gateway');
    expect(cause?.reason).toBe('GatewayNotInstalled');
    expect(cause?.message).toContain(message);
    expect(cause?.message).toMatch(/gateway.enabled .*--gateway-address.* or spec.access to Direct/);
  });

  it('Gateway that servers need which share a volume is not there without a gateway, and the message says what to do', () => {
    const { cause } = decide({ tenant: sampleTenant(SHARED_STORAGE), hasGateway: false });
    expect(cause?.reason).toBe('GatewayNotInstalled');
    expect(cause?.message).toMatch(/^spec.topology is SharedStorage, which needs a gateway, .*set gateway.enabled/);
  });

  it('Gateway that the isolation needs is not there without a gateway, and the message names the field', () => {
    const { cause } = decide({ ...isolated('Shared'), hasGateway: false });
    expect(cause?.message).toMatch(/^spec.isolation is not Dedicated, .* or spec.isolation to Dedicated\.$/);
  });

  it.each<[string, Partial<AccessInput>]>([
    ['Gateway with a gateway', specified('Gateway')],
    ['Direct without one', { ...specified('Direct'), hasGateway: false }],
    ['Direct with one', specified('Direct')],
  ])('%s needs nothing', (_, input) => {
    expect(decide(input).cause).toBeUndefined();
  });
});
