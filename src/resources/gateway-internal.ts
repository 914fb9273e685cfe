/** What operator and gateway say to each other, over HTTP on the gateway's internal port. */
import { GROUP } from '../api/names.ts';
import { defineResource } from '../kube/types/resource.ts';
import type { KubeObject, NamespacedName } from '../kube/types/types.ts';

/** The audience of tokens for the internal port. They are worth nothing to the API server, nor on the port of clients. */
export const INTERNAL_AUDIENCE = 'copilot-gateway-internal';

/** What can be asked: paths of the internal port, and subresources of {@link Gateway}. */
export const INTERNAL_VIEWS = ['tenants', 'clients', 'sessions'] as const;
export type InternalView = (typeof INTERNAL_VIEWS)[number];

/** RBAC knows `gateways` though the API does not serve them: `get` of `gateways/clients` in the gateway's namespace is a right of its port. */
export const Gateway = defineResource<KubeObject>({
  group: GROUP,
  version: '*',
  plural: 'gateways',
  kind: 'Gateway',
  namespaced: true,
});

/** A line of `/tenants`: a tenant that has clients at this replica. */
export interface TenantCount extends NamespacedName {
  readonly clients: number;
}

/** The answer to `GET /tenants`. @throws Error for anything else */
export function parseTenantCounts(text: string): TenantCount[] {
  const answer: unknown = JSON.parse(text);
  const { tenants } = isRecord(answer) ? answer : {};
  if (!Array.isArray(tenants)) throw new Error('the answer has no list of tenants');
  return tenants.map((entry: unknown) => {
    const { namespace, name, clients } = isRecord(entry) ? entry : {};
    if (typeof namespace !== 'string' || typeof name !== 'string' || !isCount(clients)) {
      throw new Error('an entry of the answer is no tenant with a number of clients');
    }
    return { namespace, name, clients };
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
