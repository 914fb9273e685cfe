// One tenant on the real node with the real CLI: apply -> Ready, against applying the bare Deployment, volume claim, Service and
// Secret by hand -> Available. The difference is due to the operator and its pinger.
import { Deployment, PersistentVolumeClaim, Secret, Service } from '../src/kube/types/builtins.ts';
import type { KubeClient } from '../src/kube/client/client.ts';
import type { ResourceType } from '../src/kube/types/resource.ts';
import type { KubeObject } from '../src/kube/types/types.ts';
import { isConditionTrue } from '../src/kube/write/conditions.ts';
import { API_VERSION, COPILOT_TENANT } from '../src/api/names.ts';
import { connect, namespace } from './lib/cluster.ts';
import { bare, Tenant } from './lib/fleet.ts';
import { startOperator } from './lib/operator.ts';
import { against, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const ROUNDS = 5;
const LIMIT = 1.3;
const NAME = 'first';
const OPTIONS = { fieldManager: 'bench', force: true };

export async function run(): Promise<BenchResult> {
  await using connection = connect();
  const { client } = connection;
  const tenants: number[] = [];
  const floors: number[] = [];
  await using operator = startOperator();
  await operator.ready();
  for (let round = 0; round < ROUNDS; round += 1) {
    const { seconds, manifests } = await tenantRound(client);
    tenants.push(seconds);
    floors.push(await floorRound(client, manifests));
  }
  const ratio = median(tenants.map((seconds, round) => seconds / (floors[round] ?? Number.NaN)));
  return {
    name: 'First tenant',
    about: `Apply until Ready (the real CLI answers pings), against the bare Deployment, volume claim, Service and Secret applied by hand until Available. ${ROUNDS} pairs.`,
    figures: [
      { ...against('apply to Ready', median(tenants), median(floors), 's', LIMIT), ratio, met: ratio <= LIMIT },
    ],
  };
}

interface Manifest {
  type: ResourceType;
  object: KubeObject;
}

async function tenantRound(client: KubeClient): Promise<{ seconds: number; manifests: Manifest[] }> {
  await using space = await namespace(client, 'bench-first');
  const started = performance.now();
  const tenant = {
    apiVersion: API_VERSION,
    kind: COPILOT_TENANT.kind,
    metadata: { name: NAME, namespace: space.name },
    spec: {},
  };
  await client.apply(Tenant, tenant, OPTIONS);
  await conditionTrue(client, Tenant, space.name, NAME, 'Ready');
  const seconds = (performance.now() - started) / 1000;
  const read = async (type: ResourceType, name: string): Promise<Manifest> => ({
    type,
    object: bare(await client.get(type, { namespace: space.name, name })),
  });
  const manifests = await Promise.all([
    read(Secret, `${NAME}-token`),
    read(PersistentVolumeClaim, `${NAME}-0`),
    read(Service, `${NAME}-0`),
    read(Deployment, `${NAME}-0`),
  ]);
  return { seconds, manifests };
}

async function floorRound(client: KubeClient, manifests: readonly Manifest[]): Promise<number> {
  await using space = await namespace(client, 'bench-bare');
  const started = performance.now();
  for (const { type, object } of manifests) {
    await client.apply(
      type,
      withoutAccount({ ...object, metadata: { ...object.metadata, namespace: space.name } }),
      OPTIONS,
    );
  }
  await conditionTrue(client, Deployment, space.name, `${NAME}-0`, 'Available');
  return (performance.now() - started) / 1000;
}

/** The floor creates no ServiceAccount. */
function withoutAccount(object: KubeObject): KubeObject {
  const { spec } = object as {
    spec?: { template?: { spec?: { serviceAccountName?: string; serviceAccount?: string } } };
  };
  delete spec?.template?.spec?.serviceAccountName;
  delete spec?.template?.spec?.serviceAccount;
  return object;
}

async function conditionTrue(
  client: KubeClient,
  type: ResourceType,
  space: string,
  name: string,
  condition: string,
): Promise<void> {
  const signal = AbortSignal.timeout(180_000);
  const options = {
    namespace: space,
    fieldSelector: `metadata.name=${name}`,
    sendInitialEvents: true,
    allowWatchBookmarks: true,
    signal,
  };
  for await (const event of client.watch(type, {
    ...options,
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: 180,
  })) {
    if (event.type === 'BOOKMARK' || event.type === 'ERROR') continue;
    const { status } = event.object as { status?: { conditions?: Parameters<typeof isConditionTrue>[0] } };
    if (isConditionTrue(status?.conditions, condition)) return;
  }
  throw new Error(`${type.kind} ${space}/${name} never became ${condition}`);
}
