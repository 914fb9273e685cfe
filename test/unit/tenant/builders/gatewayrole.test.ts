import { describe, expect, it } from '@jest/globals';
import { gatewayRole, gatewayRoleBinding } from '../../../../src/tenant/builders/gatewayrole.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { GATEWAY, OPERATOR, sampleTenant, TOKEN } from '../../../support/tenants.ts';

const tenant = sampleTenant();

describe('what the gateway may read of a tenant', () => {
  it("is the Secret with the servers' connection token, and nothing else", () => {
    expect(gatewayRole(tenant).rules).toEqual([
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [tokenSecret(tenant, TOKEN).metadata.name],
        verbs: ['get'],
      },
    ]);
  });

  it('is also the Secret with the login that it gives to sessions', () => {
    const names = gatewayRole(tenant, 'model').rules?.flatMap(({ resourceNames = [] }) => resourceNames);
    expect(names).toEqual(['acme-token', 'model']);
  });

  it("is granted to the gateway's ServiceAccount in the operator's namespace", () => {
    const { roleRef, subjects } = gatewayRoleBinding(tenant, OPERATOR, GATEWAY);
    expect(roleRef).toEqual({
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'Role',
      name: gatewayRole(tenant).metadata.name,
    });
    expect(subjects).toEqual([
      { kind: 'ServiceAccount', name: 'copilot-gateway', namespace: 'copilot-operator-system' },
    ]);
  });

  it('goes with the tenant', () => {
    for (const { metadata } of [gatewayRole(tenant), gatewayRoleBinding(tenant, OPERATOR, GATEWAY)]) {
      expect(metadata).toMatchObject({ name: 'acme-gateway', namespace: 'team' });
      expect(metadata.ownerReferences).toMatchObject([{ kind: 'CopilotTenant', name: 'acme', controller: true }]);
    }
  });
});
