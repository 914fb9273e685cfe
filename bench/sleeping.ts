// What tenants that sleep cost operator and gateway, beside the same processes without a tenant. The API server is simulated.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/kube/clock/clock.ts';
import { freePort } from '../test/support/copilot-server.ts';
import { until } from './lib/cluster.ts';
import { startOperator } from './lib/operator.ts';
import { cpuSeconds, rssMegabytes } from './lib/process.ts';
import { bounded, type BenchResult, type Figure } from './lib/result.ts';
import { startShipped } from './lib/shipped.ts';
import { startSimulatedApi, type SimulatedApi } from './lib/simulated-api.ts';

const TENANTS = 1_000;
/** Until nothing of the start is done any more. */
const REST_MS = 75_000;
/** Two rounds of every poll. */
const IDLE_MS = 120_000;
/** Of a core in percent: what is left is noise of the two measurements. */
const CPU_LIMIT = 0.5;

/** CPU while idle in percent of a core, and memory in MB. */
interface Cost {
  readonly cpu: number;
  readonly rss: number;
}

export async function run(): Promise<BenchResult> {
  const [none, asleep] = [await costOf(0), await costOf(TENANTS)];
  const figures: Figure[] = (['operator', 'gateway'] as const).flatMap((each) => [
    bounded(`${each}: CPU for ${TENANTS}`, asleep[each].cpu - none[each].cpu, '% of a core', CPU_LIMIT),
    { metric: `${each}: memory for ${TENANTS}`, value: asleep[each].rss - none[each].rss, unit: 'MB' },
    { metric: `${each}: CPU without tenants`, value: none[each].cpu, unit: '% of a core' },
    { metric: `${each}: RSS without tenants`, value: none[each].rss, unit: 'MB' },
  ]);
  return {
    name: 'Sleeping tenants',
    about: `${TENANTS} tenants that sleep, and what operator and gateway take for them beyond what they take without tenants: ${IDLE_MS / 1000} s of quiet, ${REST_MS / 1000} s after the operator has written all that it has to. The API server is simulated; nobody calls the tenants.`,
    figures,
  };
}

async function costOf(tenants: number): Promise<{ operator: Cost; gateway: Cost }> {
  await using api = await startSimulatedApi();
  await api.addSleepingTenants(tenants);
  const directory = mkdtempSync(join(tmpdir(), 'bench-sleeping-'));
  try {
    const token = join(directory, 'token');
    writeFileSync(token, 'token');
    const [port, health, wakes] = [await freePort(), await freePort(), await freePort()];
    await using operator = startOperator([
      `--kubeconfig=${api.kubeconfig}`,
      '--leader-elect=true',
      `--wake-bind-address=127.0.0.1:${wakes}`,
      `--gateway-address=127.0.0.1:${port}`,
      '--gateway-internal=copilot-gateway:4323',
      `--gateway-token-file=${token}`,
    ]);
    await operator.ready();
    await using gateway = startShipped(
      'gateway',
      [`--kubeconfig=${api.kubeconfig}`, `--listen-port=${port}`, `--health-port=${health}`, '--drain-timeout=0s'],
      health,
    );
    await gateway.ready();
    await atRest(api);
    const pids = { operator: operator.pid, gateway: gateway.pid };
    const before = [cpuSeconds(pids.operator), cpuSeconds(pids.gateway)] as const;
    await systemClock.sleep(IDLE_MS);
    const cost = (pid: number, since: number): Cost => ({
      cpu: ((cpuSeconds(pid) - since) / (IDLE_MS / 1000)) * 100,
      rss: rssMegabytes(pid),
    });
    return { operator: cost(pids.operator, before[0]), gateway: cost(pids.gateway, before[1]) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Until the operator has written what it has to, but for its Lease. */
async function atRest(api: SimulatedApi): Promise<void> {
  let last = -1;
  await until('the operator to come to rest', 600_000, async () => {
    const { writes } = await api.counts();
    const isQuiet = writes - last < 20;
    last = writes;
    await systemClock.sleep(5_000);
    return isQuiet;
  });
  await systemClock.sleep(REST_MS);
}
