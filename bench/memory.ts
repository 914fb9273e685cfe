// Memory and CPU of an idle operator with 200 and 1,000 healthy tenants, as the kernel accounts them.
import { systemClock } from '../src/kube/clock/clock.ts';
import type { KubeClient } from '../src/kube/client/client.ts';
import { connect } from './lib/cluster.ts';
import { runningFleet } from './lib/fleet.ts';
import { cpuSeconds, peakRssMegabytes, rssMegabytes } from './lib/process.ts';
import { bounded, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const SMALL = 200;
const LARGE = 1000;
const LIMIT_MB = 130;
/** Two rounds of every poll; the slowest is that of Secrets with 54 s. */
const WINDOW_MS = 120_000;
const SAMPLES = 12;

interface Cost {
  rss: number;
  peak: number;
  /** Share of one core over the window, in percent. */
  cpu: number;
}

export async function run(): Promise<BenchResult> {
  await using connection = connect();
  const small = await costOf(connection.client, SMALL);
  const large = await costOf(connection.client, LARGE);
  return {
    name: 'Memory and idle CPU',
    about: `The operator with all servers pinged every 10 s and all Secrets polled; median resident memory over ${WINDOW_MS / 1000} s of quiet.`,
    figures: [
      { metric: `RSS, ${SMALL} tenants`, value: small.rss, unit: 'MB' },
      bounded(`RSS, ${LARGE} tenants`, large.rss, 'MB', LIMIT_MB),
      { metric: `peak RSS, ${LARGE} tenants (all applied at once)`, value: large.peak, unit: 'MB' },
      { metric: 'growth per tenant', value: ((large.rss - small.rss) / (LARGE - SMALL)) * 1024, unit: 'KB' },
      bounded(`CPU, ${SMALL} tenants`, small.cpu, '% of a core', 2),
      { metric: `CPU, ${LARGE} tenants`, value: large.cpu, unit: '% of a core' },
    ],
  };
}

async function costOf(client: KubeClient, tenants: number): Promise<Cost> {
  await using fleet = await runningFleet(client, tenants);
  const { pid } = fleet.operator;
  const before = cpuSeconds(pid);
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    await systemClock.sleep(WINDOW_MS / SAMPLES);
    samples.push(rssMegabytes(pid));
  }
  const cpu = ((cpuSeconds(pid) - before) / (WINDOW_MS / 1000)) * 100;
  return { rss: median(samples), peak: peakRssMegabytes(pid), cpu };
}
