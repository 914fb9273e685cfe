import { describe, expect, it } from '@jest/globals';
import { Store } from '../../../src/kube/cache/store.ts';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import type { Secret } from '../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../src/kube/types/owner.ts';
import type { KubeObject, NamespacedName } from '../../../src/kube/types/types.ts';
import type { LastWrite } from '../../../src/kube/write/recent-writes.ts';
import { BY_TENANT } from '../../../src/resources/session-index.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { TENANT_INDEX, tenantKeys } from '../../../src/tenant/read-servers.ts';
import { readWorld, type TenantStores, type WorldContext } from '../../../src/tenant/world.ts';
import { HIDDEN_NODES } from '../../../src/tenant/nodes.ts';
import { sampleTenant } from '../../support/tenants.ts';
import { NOW } from './fixtures.ts';

const secret = (name: string, resourceVersion: string, owner: CopilotTenant): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: 'team', name, resourceVersion, ownerReferences: [controllerRef(owner)] },
});

const ready = sampleTenant({}, {}, {
  conditions: [{ type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: '' }],
} as unknown as CopilotTenant['status']);

function emptyStores(): TenantStores {
  const indexers = { [TENANT_INDEX]: tenantKeys, [BY_TENANT]: tenantKeys };
  return new Proxy({}, { get: () => new Store<KubeObject>(indexers) }) as unknown as TenantStores;
}

/** Reads the world of a tenant whose Secrets this process wrote so long ago, and the names of the Secrets that were requested. */
async function readAfter(ages: Readonly<Record<string, number>>, tenant = sampleTenant(), owner = tenant) {
  const requested: string[] = [];
  const get = async (_: unknown, { name }: NamespacedName) => {
    requested.push(name);
    return secret(name, 'live', tenant);
  };
  const lastWrite = (_: unknown, { name }: NamespacedName): LastWrite<Secret> | undefined => {
    const ageMs = ages[name];
    return ageMs === undefined ? undefined : { object: secret(name, 'written', owner), ageMs };
  };
  const context = {
    stores: emptyStores(),
    client: { get } as unknown as KubeClient,
    applier: { lastWrite, ofCached: (_: unknown, cached: unknown) => cached } as WorldContext['applier'],
    nodes: HIDDEN_NODES,
    podOwners: { withLookAlikes: async (_: unknown, servers: unknown) => servers } as WorldContext['podOwners'],
  };
  const { world, ageMs } = await readWorld(tenant, context, NOW, new AbortController().signal);
  const versions = [world.tokenSecret, world.bindingSecret].map((read) =>
    typeof read === 'object' ? read.metadata.resourceVersion : read,
  );
  return { requested, versions, ageMs };
}

describe("a tenant's own Secrets", () => {
  it('are read, so that a change of them is noticed', async () => {
    expect(await readAfter({})).toEqual({
      requested: ['acme-token', 'acme-binding'],
      versions: ['live', 'live'],
      ageMs: 0,
    });
  });

  it('are not read again right after they were written, and how old they are is told', async () => {
    expect(await readAfter({ 'acme-token': 4_000, 'acme-binding': 3_900 })).toEqual({
      requested: [],
      versions: ['written', 'written'],
      ageMs: 4_000,
    });
  });

  it.each([
    ['the tenant is Ready: then a change takes effect with the next reconcile', ready, ready],
    ['it was for an earlier tenant of the name', sampleTenant(), sampleTenant({}, { uid: 'earlier' })],
  ])('are read after they were written if %s', async (_, tenant, owner) => {
    const { requested, ageMs } = await readAfter({ 'acme-token': 100, 'acme-binding': 100 }, tenant, owner);
    expect([requested, ageMs]).toEqual([['acme-token', 'acme-binding'], 0]);
  });

  it('are each read or not, as they were written', async () => {
    expect(await readAfter({ 'acme-binding': 100 })).toEqual({
      requested: ['acme-token'],
      versions: ['live', 'written'],
      ageMs: 100,
    });
  });
});
