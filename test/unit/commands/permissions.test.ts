import { describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GROUP } from '../../../src/api/names.ts';
import { gatewayRole } from '../../../src/tenant/builders/gatewayrole.ts';
import { sampleTenant } from '../../support/tenants.ts';
import * as builtins from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import {
  GATEWAY_OWN_PERMISSIONS,
  GATEWAY_PERMISSIONS,
  REVIEW_PERMISSIONS,
} from '../../../src/commands/gateway/permissions.ts';
import {
  GATEWAY_OPERATOR_PERMISSIONS,
  GATEWAY_TENANT_PERMISSIONS,
  NODE_PERMISSIONS,
  OPERATOR_PERMISSIONS,
  SESSION_END_PERMISSIONS,
  TENANT_PERMISSIONS,
} from '../../../src/commands/operator/permissions.ts';
import type { Permission } from '../../../src/commands/permission.ts';

const ofOperator = [
  ...TENANT_PERMISSIONS,
  ...GATEWAY_TENANT_PERMISSIONS,
  ...SESSION_END_PERMISSIONS,
  ...OPERATOR_PERMISSIONS,
  ...GATEWAY_OPERATOR_PERMISSIONS,
];
const ofGateway = [...GATEWAY_PERMISSIONS, ...GATEWAY_OWN_PERMISSIONS, ...REVIEW_PERMISSIONS];
const all = [...ofOperator, ...ofGateway];
const describePermission = ({ resource, subresource, resourceNames }: Permission) =>
  [resource.group, resource.plural, subresource, resourceNames].join('/');

/** Resources of src/kube/types/builtins.ts that the sources of a part import, as values or as types. */
function resourcesUsed(part: string): ResourceType[] {
  const root = join(import.meta.dirname, '../../../src', part);
  const sources = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const names = sources.flatMap((name) => {
    const imports = /import (?:type )?\{([^}]*)\} from '[./]*kube\/types\/builtins\.ts'/g;
    return [...readFileSync(join(root, name), 'utf8').matchAll(imports)].flatMap(([, list = '']) =>
      list.split(',').map((item) => item.trim()),
    );
  });
  return Object.entries(builtins)
    .filter(([name]) => names.includes(name))
    .map(([, resource]) => resource);
}

describe('the permissions of the operator', () => {
  it('never give access to all Secrets of a namespace', () => {
    const verbs = all.filter(({ resource }) => resource.plural === builtins.Secret.plural).flatMap((p) => p.verbs);
    expect(verbs).toEqual(expect.arrayContaining(['get']));
    expect(verbs).not.toEqual(expect.arrayContaining(['list']));
    expect(verbs).not.toEqual(expect.arrayContaining(['watch']));
  });

  it('name every group, resource and verb', () => {
    const words = all.flatMap(({ resource, verbs }) => [resource.group, resource.plural, ...verbs]);
    expect(words.filter((word) => word.includes('*'))).toEqual([]);
  });

  it.each([
    ['of tenants', TENANT_PERMISSIONS],
    ['of its own namespace', OPERATOR_PERMISSIONS],
    ['of namespaces that are being deleted', SESSION_END_PERMISSIONS],
    ['of tenants where a gateway is installed', GATEWAY_TENANT_PERMISSIONS],
    ['of nodes', NODE_PERMISSIONS],
    ['of its own namespace where a gateway is installed', GATEWAY_OPERATOR_PERMISSIONS],
    ['of the gateway', ofGateway],
  ])('%s are each declared once, with a reason', (_case, permissions) => {
    const names = permissions.map(describePermission);
    expect(new Set(names).size).toBe(names.length);
    expect(permissions.filter(({ why }) => !/^[A-Z].*\.$/.test(why))).toEqual([]);
  });

  it('outside of the watched namespaces are those to release a session, and no others', () => {
    const rights = SESSION_END_PERMISSIONS.map(({ resource, subresource, verbs }) => [
      resource.plural,
      subresource,
      verbs,
    ]);
    expect(rights).toEqual([['copilotsessions', undefined, ['get', 'list', 'watch', 'patch']]]);
  });

  it('cover the kinds that the controllers work with, and no other', () => {
    const path = ({ group, plural }: ResourceType) => `${group}/${plural}`;
    const used = new Set(['tenant', 'session', 'resources'].flatMap(resourcesUsed).map(path));
    const ofGateways = [...GATEWAY_TENANT_PERMISSIONS, ...NODE_PERMISSIONS, ...GATEWAY_OPERATOR_PERMISSIONS];
    const lists = [...TENANT_PERMISSIONS, ...ofGateways];
    const declared = lists.map(({ resource }) => resource);
    const builtin = declared.filter(({ group }) => group !== GROUP);
    // Secrets are in two lists: those of tenants, and the one that signs.
    expect([...used].toSorted()).toEqual([...new Set(builtin.map(path))].toSorted());
  });

  it('include no right on RBAC objects without a gateway', () => {
    const without = [...TENANT_PERMISSIONS, ...SESSION_END_PERMISSIONS, ...OPERATOR_PERMISSIONS];
    expect(without.filter(({ resource }) => resource.group === builtins.Role.group)).toEqual([]);
  });

  it('suffice for what the operator grants to the gateway: nobody can grant what he does not have', () => {
    const tenant = sampleTenant();
    const held = TENANT_PERMISSIONS.filter(({ resourceNames }) => resourceNames === undefined).flatMap(
      ({ resource, verbs }) => verbs.map((verb) => `${verb} ${resource.group}/${resource.plural}`),
    );
    for (const { apiGroups = [], resources = [], verbs } of gatewayRole(tenant, { hasToken: true }).rules ?? []) {
      for (const verb of verbs) expect(held).toContain(`${verb} ${apiGroups.join()}/${resources.join()}`);
    }
  });

  it('of the gateway let it write nothing but the Leases of its replicas, and read three Secrets, but for the Role of a tenant', () => {
    expect(
      [...GATEWAY_PERMISSIONS, ...GATEWAY_OWN_PERMISSIONS]
        .filter(({ resource }) => resource.plural !== 'leases')
        // Of the operator's port: the API server serves no such object.
        .filter(({ subresource }) => subresource !== 'wakes')
        .flatMap(({ verbs }) => verbs)
        .filter((verb) => !/^(get|list|watch)$/.test(verb)),
    ).toEqual([]);
    const secrets = ofGateway.filter(({ resource }) => resource.plural === 'secrets');
    const names = ['copilot-gateway-stamp', 'copilot-gateway-peers', 'copilot-gateway-grants'];
    expect(secrets).toEqual([expect.objectContaining({ verbs: ['get'], resourceNames: names })]);
  });
});
