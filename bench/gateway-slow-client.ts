// What others notice of a client that reads nothing while its session streams. The server has a script, and an even pace.
import { DEFAULT_LIMITS } from '../src/gateway/relay/model.ts';
import { openGatewayWorld, type GatewayWorld } from './lib/gateway-world.ts';
import { startLoad, type Load, type LoadReport } from './lib/load.ts';
import { peakRssMegabytes, rssMegabytes } from './lib/process.ts';
import { startScriptedServer, type StreamOrder } from './lib/proxies.ts';
import { recordTurn } from './lib/recorded-turn.ts';
import { against, bounded, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** An address of its own, so that a server of another benchmark is not in the way. */
const SERVER_HOST = '127.0.7.4';
const STREAM: StreamOrder = { bytes: 200_000_000, bytesPerSecond: 50_000_000 };
const SECONDS = STREAM.bytes / STREAM.bytesPerSecond;
const OTHERS = 10;
/** Between calls, so that none waits for another. */
const PAUSE_MS = 2;
const ROUNDS = 5;
const P99_LIMIT = 1.25;
/** What is kept of one client, in MB, and as much again for what is under way. */
const KEPT_LIMIT_MB = (2 * DEFAULT_LIMITS.hardQueueBytes) / 1024 / 1024;
const BESIDE = ['nobody', 'read', 'stall'] as const;

export async function run(): Promise<BenchResult> {
  using recording = await recordTurn();
  await using world = await openGatewayWorld(SERVER_HOST);
  await using _server = await startScriptedServer(world.server, recording.file);
  await using others = await startLoad();
  await using streamer = await startLoad();
  const rounds = { nobody: [] as LoadReport[], read: [] as LoadReport[], stall: [] as LoadReport[] };
  const kept: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const beside of BESIDE) {
      // Each has a process of its own, so that what one client had keeps no memory for the next.
      const { asked, keptMb } = await measure(world, { others, streamer }, beside);
      // The first round fills V8's code cache.
      if (round === 0) continue;
      rounds[beside].push(asked);
      if (beside === 'stall') kept.push(keptMb);
    }
  }
  const p99 = (beside: keyof typeof rounds): number => median(rounds[beside].map((each) => each.p99));
  return {
    name: 'Gateway: a client that reads nothing',
    about:
      `A session of one client streams ${STREAM.bytes / 1e6} MB of a recorded turn in ${SECONDS} s, while ${OTHERS} other clients ask the same server with ${PAUSE_MS} ms between calls. ` +
      `Floor: the same beside a client that reads its stream, in the same run. Medians of ${ROUNDS} rounds, in turn, each with a new gateway.`,
    figures: [
      against('a call of the others, p99', p99('stall'), p99('read'), 'ms', P99_LIMIT),
      { metric: 'the same without any stream', value: p99('nobody'), unit: 'ms' },
      bounded('memory at its highest, on top of that before', median(kept), 'MB', KEPT_LIMIT_MB),
    ],
  };
}

async function measure(
  world: GatewayWorld,
  { others, streamer }: { readonly others: Load; readonly streamer: Load },
  beside: (typeof BESIDE)[number],
): Promise<{ asked: LoadReport; keptMb: number }> {
  await using gateway = await world.startGateway();
  const { door } = gateway;
  const order = { ...door, work: 'ask', connections: OTHERS, pauseMs: PAUSE_MS } as const;
  await others.run({ ...order, seconds: 2 });
  const before = rssMegabytes(gateway.pid);
  const streaming =
    beside === 'nobody'
      ? undefined
      : streamer.run({ ...door, work: beside, connections: 1, seconds: SECONDS, prompt: JSON.stringify(STREAM) });
  const asked = await others.run({ ...order, seconds: SECONDS });
  await streaming;
  return { asked, keptMb: peakRssMegabytes(gateway.pid) - before };
}
