import { describe, expect, it } from '@jest/globals';
import { gatewayRole, gatewayRoleBinding } from '../../../../src/tenant/builders/gatewayrole.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { GATEWAY, OPERATOR, sampleTenant, TOKEN } from '../../../support/tenants.ts';

const tenant = sampleTenant();

describe('what the gateway may read of a tenant', () => {
  it("is the Secret with the servers' connection token, and nothing else", () => {
    expect(gatewayRole(tenant, { hasToken: true }).rules).toEqual([
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [tokenSecret(tenant, TOKEN).metadata.name],
        verbs: ['get'],
      },
    ]);
  });

  it('is also the Secret with the login that it gives to sessions', () => {
    const names = gatewayRole(tenant, { hasToken: true, login: 'model' }).rules?.flatMap(
      ({ resourceNames = [] }) => resourceNames,
    );
    expect(names).toEqual(['acme-token', 'model']);
  });

  it('is no Secret of another owner that has the name of its token, and then not all Secrets', () => {
    expect(gatewayRole(tenant, { hasToken: false }).rules).toEqual([]);
  });

  it("is granted to the gateway's ServiceAccount in the operator's namespace", () => {
    const { roleRef, subjects } = gatewayRoleBinding(tenant, OPERATOR, GATEWAY);
    expect(roleRef).toEqual({
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'Role',
      name: gatewayRole(tenant, { hasToken: true }).metadata.name,
    });
    expect(subjects).toEqual([
      { kind: 'ServiceAccount', name: 'copilot-gateway', namespace: 'copilot-operator-system' },
    ]);
  });

  it('goes with the tenant', () => {
    for (const { metadata } of [
      gatewayRole(tenant, { hasToken: true }),
      gatewayRoleBinding(tenant, OPERATOR, GATEWAY),
    ]) {
      expect(metadata).toMatchObject({ name: 'acme-gateway', namespace: 'team' });
      expect(metadata.ownerReferences).toMatchObject([{ kind: 'CopilotTenant', name: 'acme', controller: true }]);
    }
  });
});
