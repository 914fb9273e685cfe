// The floor under a new tenant: its objects by POST, and one PUT of its status, which is the least that a controller has to send.
import type { KubeClient } from '../../src/kube/client/client.ts';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import { inParallel } from './cluster.ts';
import { bare, tenant, Tenant, tenantName, WIDTH } from './fleet.ts';

/** What a tenant's children are, of all tenants with the same spec. */
export const CHILDREN: readonly ResourceType[] = [
  Secret,
  ServiceAccount,
  NetworkPolicy,
  PodDisruptionBudget,
  Service,
  PersistentVolumeClaim,
  Deployment,
];

/** What was written for tenant 0. */
export interface Sample {
  readonly children: readonly { readonly type: ResourceType; readonly object: KubeObject }[];
  readonly status: unknown;
}

/** What a round of writes took. */
export interface Round {
  readonly seconds: number;
  /** CPU seconds of the process that wrote. */
  readonly cpu: number;
}

/** Objects that the floor writes for each tenant: the tenant, its children, and its status. */
export const writesOf = ({ children }: Sample): number => children.length + 2;

/** Writes the sample for `count` tenants from this process. The children are sent as they were read, without what the server adds. */
export async function floorRound(client: KubeClient, space: string, count: number, sample: Sample): Promise<Round> {
  const children = sample.children.map(({ type, object }) => ({ type, object: bare(object) }));
  const options = { fieldManager: 'bench' };
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  await inParallel([...Array(count).keys()], WIDTH, async (index) => {
    const owner = await client.create(Tenant, tenant(space, index) as CopilotTenant, options);
    for (const { type, object } of children) await client.create(type, forTenant(object, space, index), options);
    const status = { ...owner, status: sample.status } as CopilotTenant;
    await client.update(Tenant, status, { ...options, subresource: 'status' });
  });
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
}

/** The sample is of tenant 0; replaces this in every name, label and selector by `index`. */
function forTenant(object: KubeObject, space: string, index: number): KubeObject {
  const text = JSON.stringify(object).replaceAll(
    new RegExp(`"${tenantName(0)}(-[a-z0-9]+)?"`, 'g'),
    `"${tenantName(index)}$1"`,
  );
  const copy = JSON.parse(text) as KubeObject;
  return { ...copy, metadata: { ...copy.metadata, namespace: space } };
}
