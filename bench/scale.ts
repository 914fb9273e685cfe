// What many tenants cost the operator itself, against a simulated API server: a real one with 10,000 tenants would leave no core for it.
import { systemClock } from '../src/kube/clock/clock.ts';
import { SERVER_PORT } from '../src/api/names.ts';
import { until } from './lib/cluster.ts';
import { startOperator } from './lib/operator.ts';
import { cpuSeconds, peakRssMegabytes, rssMegabytes } from './lib/process.ts';
import { startResponder } from './lib/responder.ts';
import { bounded, type BenchResult, type Figure } from './lib/result.ts';
import { startSimulatedApi } from './lib/simulated-api.ts';

const SMALL = 200;
const LARGE = 1_000;
const HUGE = 10_000;
/** Two rounds of every poll; the slowest is that of Secrets with 54 s. */
const IDLE_MS = 120_000;
/** Until the statistics of sessions are written, which follow readiness. */
const REST_MS = 30_000;
const CPU_LIMIT_S = 2.2;
const IDLE_LIMIT = 2;
const LIMIT_MB = 400;

export async function run(): Promise<BenchResult> {
  const figures = [...(await costOf(SMALL)), ...(await costOf(LARGE)), ...(await costOf(HUGE))];
  return {
    name: 'Scale',
    about: `Tenants created at once, until all are Ready, then ${IDLE_MS / 1000} s of quiet; every server is pinged and every Secret polled. The API server is simulated: it stores what it is sent, and plays the pods.`,
    figures,
  };
}

async function costOf(tenants: number): Promise<Figure[]> {
  await using api = await startSimulatedApi();
  await using _responder = await startResponder({ port: SERVER_PORT });
  await using operator = startOperator([`--kubeconfig=${api.kubeconfig}`]);
  await operator.ready();
  const { pid } = operator;
  const before = cpuSeconds(pid);
  await api.addTenants(tenants);
  const ready = async (): Promise<boolean> => (await api.counts()).ready === tenants;
  await until(`${tenants} tenants ready`, 1_200_000, ready, 200);
  const { writes } = await api.counts();
  const cpu = ((cpuSeconds(pid) - before) / writes) * 1000;
  await systemClock.sleep(REST_MS);
  const idleBefore = cpuSeconds(pid);
  await systemClock.sleep(IDLE_MS);
  const idle = ((cpuSeconds(pid) - idleBefore) / (IDLE_MS / 1000)) * 100;
  const rss = rssMegabytes(pid);
  return [
    { ...bounded(`CPU for 1000 writes, ${tenants} tenants`, cpu, 's', CPU_LIMIT_S) },
    tenants === LARGE
      ? bounded(`idle, ${tenants} tenants`, idle, '% of a core', IDLE_LIMIT)
      : { metric: `idle, ${tenants} tenants`, value: idle, unit: '% of a core' },
    bounded(`RSS, ${tenants} tenants`, rss, 'MB', LIMIT_MB),
    { metric: `peak RSS, ${tenants} tenants`, value: peakRssMegabytes(pid), unit: 'MB' },
  ];
}
