// What it costs to know the health of a thousand servers: CPU and memory of the process that pings them, over the same
// process before it was told to.
import type { ServerTarget } from '../src/servers/server.ts';
import { systemClock } from '../src/kube/clock/clock.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { startChild } from './lib/child.ts';
import type { Order, Report } from './lib/ping-subject.ts';
import { cpuSeconds, rssMegabytes } from './lib/process.ts';
import { startResponder } from './lib/responder.ts';
import type { BenchResult, Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const SERVERS = 1000;
const INTERVAL_MS = 10_000;
const WINDOW_MS = 30_000;
const CPU_LIMIT = 15;
const RSS_LIMIT_MB = 100;

interface Cost {
  /** Share of one core, in percent. */
  cpu: number;
  /** MB over the same process before. */
  rss: number;
  /** Seconds from the order to all servers connected. */
  connectSeconds: number;
  pings: number;
  /** Median round trip to the real CLI, ms. */
  roundTrip: number;
}

export async function run(): Promise<BenchResult> {
  await using responder = await startResponder({ port: 0 });
  await using cli = await CopilotServer.start('cli', 'bench');
  const health = { intervalMs: INTERVAL_MS, timeoutMs: 5000, failureThreshold: 3 };
  const common = { token: 'bench', podUID: 'bench', startedAt: undefined, health };
  const targets: ServerTarget[] = Array.from({ length: SERVERS - 1 }, (_, n) => ({
    ...common,
    key: `many/${n}`,
    host: `127.1.${n >> 8}.${n & 255}`,
    port: responder.port,
  }));
  targets.push({ ...common, key: 'real/cli', host: cli.host, port: cli.port });

  const ours = await costOf('pinger', targets);
  const floor = await costOf('bare', targets);
  const peer = await costOf('sdk', targets);
  const expected = (SERVERS * WINDOW_MS) / INTERVAL_MS;
  return {
    name: 'Pinger',
    about:
      `${SERVERS} servers pinged every ${INTERVAL_MS / 1000} s over ${WINDOW_MS / 1000} s. ${SERVERS - 1} of them are one process that answers ` +
      'like the CLI at as many addresses, one is a real Copilot CLI. Figures are over the same process idle. ' +
      'Floor: bare sockets that send the same bytes and drop the answers. Peer: a client of the Copilot SDK for each server.',
    figures: [
      held('CPU', ours.cpu, floor.cpu, '% of a core', CPU_LIMIT),
      held('memory over idle', ours.rss, floor.rss, 'MB', RSS_LIMIT_MB),
      { metric: 'CPU a ping', value: (ours.cpu * WINDOW_MS * 10) / ours.pings, unit: 'µs' },
      { metric: 'pings sent, of those due', value: (ours.pings / expected) * 100, unit: '%' },
      { metric: 'all healthy after', value: ours.connectSeconds, unit: 's' },
      { metric: 'round trip to the real CLI, median', value: ours.roundTrip, unit: 'ms' },
      {
        metric: 'CPU of the peer (SDK clients)',
        value: peer.cpu,
        floor: floor.cpu,
        ratio: peer.cpu / floor.cpu,
        unit: '% of a core',
      },
      {
        metric: 'memory of the peer (SDK clients)',
        value: peer.rss,
        floor: floor.rss,
        ratio: peer.rss / floor.rss,
        unit: 'MB',
      },
      { metric: 'round trip of the peer to the real CLI, median', value: peer.roundTrip, unit: 'ms' },
    ],
  };
}

/** A figure with its floor for comparison and an absolute bound to hold. */
function held(metric: string, value: number, floor: number, unit: string, limit: number): Figure {
  return { metric, value, unit, floor, ratio: value / floor, aim: `<= ${limit} ${unit}`, met: value <= limit };
}

async function costOf(way: string, targets: ServerTarget[]): Promise<Cost> {
  await using subject = startChild('ping-subject.ts', [way]);
  await subject.message();
  const idle = await sample(subject.pid, 10_000);
  const begun = performance.now();
  subject.process.send({ targets } satisfies Order);
  await subject.message();
  const connectSeconds = (performance.now() - begun) / 1000;
  // The first round still carries the connections' own cost.
  await systemClock.sleep(2 * INTERVAL_MS);
  const report = async (): Promise<Report> => {
    const answer = subject.message<Report>();
    subject.process.send('report');
    return answer;
  };
  await report();
  const busy = await sample(subject.pid, WINDOW_MS);
  const { pings, roundTrips } = await report();
  return {
    cpu: busy.cpu - idle.cpu,
    rss: busy.rss - idle.rss,
    connectSeconds,
    pings,
    roundTrip: median(roundTrips['real/cli'] ?? []),
  };
}

/** CPU over the window, and the median of the resident memory in it. */
async function sample(pid: number, windowMs: number): Promise<{ cpu: number; rss: number }> {
  const before = cpuSeconds(pid);
  const begun = performance.now();
  const rss: number[] = [];
  for (let n = 0; n < 10; n += 1) {
    await systemClock.sleep(windowMs / 10);
    rss.push(rssMegabytes(pid));
  }
  const seconds = (performance.now() - begun) / 1000;
  return { cpu: ((cpuSeconds(pid) - before) / seconds) * 100, rss: median(rss) };
}
