// What many tenants cost the operator itself, against a simulated API server: a real one with 10,000 tenants would leave no core for it.
import { systemClock } from '../src/kube/clock/clock.ts';
import { SERVER_PORT } from '../src/api/names.ts';
import type { KubeClient } from '../src/kube/client/client.ts';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../src/kube/types/builtins.ts';
import type { ResourceType } from '../src/kube/types/resource.ts';
import { childName, serverName } from '../src/resources/names.ts';
import { connect, until } from './lib/cluster.ts';
import { Tenant, tenantName } from './lib/fleet.ts';
import { floorRound, writesOf, type Sample } from './lib/floor.ts';
import { startOperator } from './lib/operator.ts';
import { buildPeer, startPeer, type PeerProgram } from './lib/peer.ts';
import { cpuSeconds, peakRssMegabytes, rssMegabytes } from './lib/process.ts';
import { startResponder } from './lib/responder.ts';
import { bounded, type BenchResult, type Figure } from './lib/result.ts';
import { SIMULATED_NAMESPACE, startSimulatedApi } from './lib/simulated-api.ts';
import { median } from './lib/statistics.ts';

const SMALL = 200;
const LARGE = 1_000;
const HUGE = 10_000;
/** Of the creation of the small number, which ends before the compilers have warmed up, and so varies. */
const ROUNDS = 3;
/** Two rounds of every poll; the slowest is that of Secrets with 54 s. */
const IDLE_MS = 120_000;
/** Until the statistics of sessions are written, which follow readiness, and every tenant was polled once: that reconcile is a full one. */
const REST_MS = 75_000;
const CPU_LIMIT_S = 2.2;
const IDLE_LIMIT = 2;
const LIMIT_MB = 400;
const PEER =
  'a controller in Go with controller-runtime, which creates the same children and writes each status once, but compares nothing and has neither events, pings nor polls';

export async function run(): Promise<BenchResult> {
  using program = buildPeer();
  const rounds: Creation[] = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await creationOf(SMALL, program));
  const figures = [...creationFigures(rounds)];
  for (const tenants of [SMALL, LARGE, HUGE]) figures.push(...(await costOf(tenants)));
  return {
    name: 'Scale',
    about: `Tenants created at once, until all are Ready, then ${IDLE_MS / 1000} s of quiet; every server is pinged and every Secret polled. The API server is simulated: it stores what it is sent, and plays the pods. Floor: the same objects by POST, and one PUT of each status. Peer: ${program === undefined ? 'left out, because this machine has no Go' : PEER}. ${SMALL} tenants: medians of ${ROUNDS} rounds.`,
    figures,
  };
}

/** What it took to create tenants, and what floor and peer took for theirs. CPU seconds for 1,000 writes, unless it says something else. */
interface Creation {
  /** CPU seconds of the process until its caches are filled, without a tenant. */
  startCpu: number;
  cpu: number;
  floorCpu: number;
  /** Undefined: there is no peer. */
  peerCpu: number | undefined;
}

async function creationOf(tenants: number, program: PeerProgram | undefined): Promise<Creation> {
  await using api = await startSimulatedApi();
  await using _responder = await startResponder({ port: SERVER_PORT });
  await using operator = startOperator([`--kubeconfig=${api.kubeconfig}`]);
  await operator.ready();
  const startCpu = cpuSeconds(operator.pid);
  const cpu = await cpuOfCreation(api, operator.pid, tenants);
  await operator.stop();
  await using connection = connect(api.kubeconfig);
  const sample = await sampleOf(connection.client);
  await using other = await startSimulatedApi();
  await using direct = connect(other.kubeconfig);
  const floor = await floorRound(direct.client, SIMULATED_NAMESPACE, tenants, sample);
  const floorCpu = (floor.cpu / (writesOf(sample) * tenants)) * 1000;
  return { startCpu, cpu, floorCpu, peerCpu: program && (await peerCpuOf(program, tenants, sample)) };
}

async function peerCpuOf(program: PeerProgram, tenants: number, sample: Sample): Promise<number> {
  await using api = await startSimulatedApi();
  await using peer = await startPeer(program, api.kubeconfig, sample);
  return await cpuOfCreation(api, peer.pid, tenants);
}

function creationFigures(rounds: readonly Creation[]): Figure[] {
  const cpu = median(rounds.map((round) => round.cpu));
  const floor = median(rounds.map((round) => round.floorCpu));
  const ratio = median(rounds.map((round) => round.cpu / round.floorCpu));
  const start = median(rounds.map(({ startCpu }) => startCpu));
  return [
    { metric: 'CPU of a start without tenants', value: start, unit: 's' },
    { ...bounded(writesMetric(SMALL), cpu, 's', CPU_LIMIT_S), floor, ratio },
    ...peerFigures(rounds, floor),
  ];
}

function peerFigures(rounds: readonly Creation[], floor: number): Figure[] {
  const pairs = rounds.flatMap(({ peerCpu: cpu, floorCpu }) =>
    cpu === undefined ? [] : [{ cpu, ratio: cpu / floorCpu }],
  );
  if (pairs.length === 0) return [];
  const value = median(pairs.map(({ cpu }) => cpu));
  const ratio = median(pairs.map((pair) => pair.ratio));
  return [{ metric: `the same of the peer, ${SMALL} tenants`, value, unit: 's', floor, ratio }];
}

const writesMetric = (tenants: number): string => `CPU for 1000 writes, ${tenants} tenants`;

/** CPU seconds for 1,000 writes, until the tenants are Ready. */
async function cpuOfCreation(
  api: Awaited<ReturnType<typeof startSimulatedApi>>,
  pid: number,
  tenants: number,
): Promise<number> {
  const before = cpuSeconds(pid);
  await api.addTenants(tenants);
  const ready = async (): Promise<boolean> => (await api.counts()).ready === tenants;
  await until(`${tenants} tenants ready`, 1_200_000, ready, 200);
  const { writes } = await api.counts();
  return ((cpuSeconds(pid) - before) / writes) * 1000;
}

/** The children of tenant 0, read by name: the simulated API server lists nothing. */
async function sampleOf(client: KubeClient): Promise<Sample> {
  const tenant = tenantName(0);
  const [shared, server] = [childName(tenant, 'servers'), serverName(tenant, 0)];
  const names: [type: ResourceType, name: string][] = [
    [Secret, childName(tenant, 'token')],
    [Secret, childName(tenant, 'binding')],
    [ServiceAccount, shared],
    [NetworkPolicy, shared],
    [PodDisruptionBudget, shared],
    [Service, server],
    [PersistentVolumeClaim, server],
    [Deployment, server],
  ];
  const read = async (type: ResourceType, name: string) => ({
    type,
    object: await client.get(type, { namespace: SIMULATED_NAMESPACE, name }),
  });
  const { status } = await client.get(Tenant, { namespace: SIMULATED_NAMESPACE, name: tenant });
  return { children: await Promise.all(names.map(([type, name]) => read(type, name))), status };
}

async function costOf(tenants: number): Promise<Figure[]> {
  await using api = await startSimulatedApi();
  await using _responder = await startResponder({ port: SERVER_PORT });
  await using operator = startOperator([`--kubeconfig=${api.kubeconfig}`]);
  await operator.ready();
  const { pid } = operator;
  const cpu = await cpuOfCreation(api, pid, tenants);
  await systemClock.sleep(REST_MS);
  const idleBefore = cpuSeconds(pid);
  await systemClock.sleep(IDLE_MS);
  const idle = ((cpuSeconds(pid) - idleBefore) / (IDLE_MS / 1000)) * 100;
  const rss = rssMegabytes(pid);
  const figures = [
    tenants === LARGE
      ? bounded(`idle, ${tenants} tenants`, idle, '% of a core', IDLE_LIMIT)
      : { metric: `idle, ${tenants} tenants`, value: idle, unit: '% of a core' },
    bounded(`RSS, ${tenants} tenants`, rss, 'MB', LIMIT_MB),
    { metric: `peak RSS, ${tenants} tenants`, value: peakRssMegabytes(pid), unit: 'MB' },
  ];
  return tenants === SMALL ? figures : [bounded(writesMetric(tenants), cpu, 's', CPU_LIMIT_S), ...figures];
}
