// N tenants applied at once, until all children exist and every status is observed, against the floor: the same objects, created by POST,
// and one PUT of the status, which is the least that a controller has to send. Both over the same pooled transport.
import type { KubeClient } from '../src/kube/client/client.ts';
import { connect, kwokNodes, namespace } from './lib/cluster.ts';
import { applyTenants, isObserved, prepareVolumes, Tenant, tenantName, WIDTH } from './lib/fleet.ts';
import { CHILDREN, floorRound, writesOf, type Round, type Sample } from './lib/floor.ts';
import { startOperator } from './lib/operator.ts';
import { cpuSeconds } from './lib/process.ts';
import { against, type BenchOptions, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const ROUNDS = 3;
const LIMIT = 1.6;
const AIM = 1.25;
/** CPU time of a write of the operator, which also watches and decides, over that of the floor, which only sends. */
const CPU_LIMIT = 2;
export async function run({ tenants }: BenchOptions): Promise<BenchResult> {
  await using connection = connect();
  const { client } = connection;
  await kwokNodes(client, Math.ceil(tenants / 200));
  const operator: Round[] = [];
  const floor: Round[] = [];
  let writes = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const measured = await operatorRound(client, tenants);
    operator.push(measured);
    writes = writesOf(measured.sample) * tenants;
    floor.push(await floorOf(client, tenants, measured.sample));
  }
  const seconds = pairs(operator, floor, (round) => round.seconds);
  const cpu = pairs(operator, floor, (round) => (round.cpu / writes) * 1000);
  return {
    name: 'Convergence',
    about: `${tenants} tenants applied at once until all children exist and status is observed; floor: the same ${writes} objects by POST, and one PUT of each status, over ${WIDTH} pooled connections. Median of ${ROUNDS} rounds, ratio pair by pair. Beyond the bound we aim for ${AIM}x.`,
    figures: [
      paired(`${tenants} tenants converged`, seconds, 's', LIMIT),
      paired('CPU for 1000 of these writes', cpu, 's', CPU_LIMIT),
      { metric: 'floor, writes a second', value: writes / seconds.floor, unit: '1/s' },
    ],
  };
}

/** Medians over all rounds; the ratio is that of the pairs. */
interface Pairs {
  value: number;
  floor: number;
  ratio: number;
}

function pairs(operator: readonly Round[], floor: readonly Round[], of: (round: Round) => number): Pairs {
  const ratios = operator.map(
    (round, index) => of(round) / of(floor[index] ?? { seconds: Number.NaN, cpu: Number.NaN }),
  );
  return { value: median(operator.map(of)), floor: median(floor.map(of)), ratio: median(ratios) };
}

function paired(metric: string, { value, floor, ratio }: Pairs, unit: string, limit: number): Figure {
  return { ...against(metric, value, floor, unit, limit), ratio, met: ratio <= limit };
}

async function operatorRound(client: KubeClient, count: number): Promise<Round & { sample: Sample }> {
  await using space = await namespace(client, 'bench-converge');
  await using _volumes = await prepareVolumes(client, space.name, count);
  await using operator = startOperator();
  await operator.ready();
  const cpuBefore = cpuSeconds(operator.pid);
  const started = performance.now();
  const observed = allObserved(client, space.name, count);
  await applyTenants(client, space.name, count);
  await observed;
  const seconds = (performance.now() - started) / 1000;
  const cpu = cpuSeconds(operator.pid) - cpuBefore;
  await operator.stop();
  return { seconds, cpu, sample: await sampleOf(client, space.name, count) };
}

/** Resolves when the status of `count` tenants is of their spec; by a watch, which costs the API server little. */
async function allObserved(client: KubeClient, space: string, count: number): Promise<void> {
  const done = new Set<string>();
  const signal = AbortSignal.timeout(600_000);
  for await (const event of client.watch(Tenant, {
    namespace: space,
    sendInitialEvents: true,
    allowWatchBookmarks: true,
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: 600,
    signal,
  })) {
    if (event.type === 'BOOKMARK' || event.type === 'ERROR') continue;
    if (isObserved(event.object)) done.add(event.object.metadata.name);
    if (done.size === count) return;
  }
  throw new Error(`only ${done.size} of ${count} tenants were observed before the watch ended`);
}

/** What the operator created for one tenant; throws unless it created as much for each. */
async function sampleOf(client: KubeClient, space: string, count: number): Promise<Sample> {
  const children: Sample['children'][number][] = [];
  for (const type of CHILDREN) {
    const { items } = await client.listAll(type, {
      namespace: space,
      labelSelector: 'app.kubernetes.io/managed-by=copilot-operator',
    });
    const own = items.filter((item) => item.metadata.labels?.['copilot-operator.dev/tenant'] === tenantName(0));
    if (items.length !== own.length * count)
      throw new Error(`${items.length} ${type.plural} for ${count} tenants: not all children exist`);
    children.push(...own.map((object) => ({ type, object })));
  }
  const { status } = await client.get(Tenant, { namespace: space, name: tenantName(0) });
  return { children, status };
}

async function floorOf(client: KubeClient, count: number, sample: Sample): Promise<Round> {
  await using space = await namespace(client, 'bench-floor');
  await using _volumes = await prepareVolumes(client, space.name, count);
  return await floorRound(client, space.name, count, sample);
}
