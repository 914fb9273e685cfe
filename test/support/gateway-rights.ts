// A ServiceAccount with the rights that the chart gives to the gateway, and no others.
import {
  GATEWAY_OWN_PERMISSIONS,
  GATEWAY_PERMISSIONS,
  REVIEW_PERMISSIONS,
} from '../../src/commands/gateway/permissions.ts';
import type { Permission } from '../../src/commands/permission.ts';
import type { GatewayFacts } from '../../src/tenant/model.ts';
import type { TenantApi } from './tenant-api.ts';

/** What the operator knows of this gateway. */
export const GATEWAY_FACTS: GatewayFacts = {
  host: 'copilot-gateway.operator.svc',
  port: 4321,
  serviceAccount: 'copilot-gateway',
};

/** The namespace of operator and gateway. */
export const GATEWAY_NAMESPACE = 'operator';

function rulesOf(permissions: readonly Permission[]): object[] {
  return permissions.map(({ resource, verbs, resourceNames }) => ({
    apiGroups: [resource.group],
    resources: [resource.plural],
    verbs,
    ...(resourceNames && { resourceNames }),
  }));
}

/** Resolves to a kubeconfig for it. */
export async function gatewayKubeconfig({ kubectl, server }: TenantApi): Promise<string> {
  const metadata = { name: GATEWAY_FACTS.serviceAccount, namespace: GATEWAY_NAMESPACE };
  const rbac = 'rbac.authorization.k8s.io';
  const rules = rulesOf([...GATEWAY_PERMISSIONS, ...REVIEW_PERMISSIONS]);
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: GATEWAY_NAMESPACE } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: 'copilot-gateway' }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'copilot-gateway' },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'copilot-gateway' },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules: rulesOf(GATEWAY_OWN_PERMISSIONS) },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
  ];
  await kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
  const token = (await kubectl.ok(['create', 'token', metadata.name, '-n', metadata.namespace])).trim();
  return server.kubeconfig({ identity: { token } });
}
