// What tenants cost a gateway that only knows them, against a simulated API server: a real one with so many would leave no core for it.
import { systemClock } from '../src/kube/clock/clock.ts';
import { freePort } from '../test/support/copilot-server.ts';
import { cpuSeconds, rssMegabytes } from './lib/process.ts';
import { bounded, type BenchResult } from './lib/result.ts';
import { startShipped } from './lib/shipped.ts';
import { startSimulatedApi } from './lib/simulated-api.ts';

const TENANTS = 10_000;
const LIMIT_MB = 250;
const IDLE_MS = 60_000;

export async function run(): Promise<BenchResult> {
  await using api = await startSimulatedApi();
  await api.addServedTenants(TENANTS);
  const [port, health] = [await freePort(), await freePort()];
  const args = [`--kubeconfig=${api.kubeconfig}`, `--listen-port=${port}`, `--health-port=${health}`];
  await using gateway = startShipped('gateway', [...args, '--drain-timeout=0s'], health);
  const begun = performance.now();
  await gateway.ready();
  const readyMs = performance.now() - begun;
  const { pid } = gateway;
  // The owners of pods that were not read in time are still read.
  await systemClock.sleep(IDLE_MS);
  const startCpu = cpuSeconds(pid);
  await systemClock.sleep(IDLE_MS);
  return {
    name: 'Gateway: tenants',
    about: `${TENANTS} tenants with a server each, none with a client. The API server is simulated. Start: until /readyz, which waits at most five seconds for the owners of all pods. Memory and CPU from a minute after that.`,
    figures: [
      bounded(`RSS, ${TENANTS} tenants known`, rssMegabytes(pid), 'MB', LIMIT_MB),
      { metric: `start to ready, ${TENANTS} tenants`, value: readyMs / 1000, unit: 's' },
      { metric: 'CPU of the start, owners of all pods included', value: startCpu, unit: 's' },
      { metric: 'CPU, idle', value: ((cpuSeconds(pid) - startCpu) / (IDLE_MS / 1000)) * 100, unit: '% of a core' },
    ],
  };
}
