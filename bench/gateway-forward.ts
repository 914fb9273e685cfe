// What it costs a client to be connected to another replica of the gateway than the one that serves its tenant. The server has a script.
import { openGatewayWorld, type Door, type GatewayWorld, type Replica } from './lib/gateway-world.ts';
import { startLoad, type Load } from './lib/load.ts';
import { until } from './lib/cluster.ts';
import { cpuSeconds } from './lib/process.ts';
import { startPipe, startScriptedServer } from './lib/proxies.ts';
import { recordTurn } from './lib/recorded-turn.ts';
import { against, atLeast, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** An address of its own, so that a server of another benchmark is not in the way. */
const SERVER_HOST = '127.0.7.3';
const ROUNDS = 5;
const SECONDS = 3;
/** Between calls, so that none waits for another. */
const PAUSE_MS = 2;
/** What the hop may add to the median of a call. */
const HOP_MS = 0.08;
const STREAMING = 4;
const STREAM_LIMIT = 0.4;
const WAYS = ['home', 'holder'] as const;

type ByWay<T> = Readonly<Record<(typeof WAYS)[number], T>>;
/** What stands between client and server on either way. */
type Subject = ByWay<{ readonly door: Door; readonly pids: readonly number[] }>;
type Rounds = ByWay<{ p50: number; streamed: number; cpuMs: number }[]>;

export async function run(): Promise<BenchResult> {
  using recording = await recordTurn();
  await using world = await openGatewayWorld(SERVER_HOST);
  await using _server = await startScriptedServer(world.server, recording.file);
  await using load = await startLoad();
  const replicas = await startPair(world, load);
  await using _home = replicas.home;
  await using _holder = replicas.holder;
  await using pipes = await startPipes(world.server);
  const both = [replicas.home.pid, replicas.holder.pid];
  const gateway: Subject = {
    home: { door: replicas.home.door, pids: both },
    holder: { door: replicas.holder.door, pids: both },
  };
  const rounds: Rounds = { home: [], holder: [] };
  const least: Rounds = { home: [], holder: [] };
  // The first round warms the compilers up and is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const way of WAYS) {
      const measured = [await measure(load, gateway[way]), await measure(load, pipes.subject[way])] as const;
      if (round === 0) continue;
      rounds[way].push(measured[0]);
      least[way].push(measured[1]);
    }
  }
  // It is given up only after half a minute without clients.
  if (!(await isHome(replicas.home))) throw new Error('the home of the tenant has moved while it was measured');
  return {
    name: 'Gateway: a client at another replica',
    about:
      `Floor: the same client connected to the home, in the same run. The replicas are two processes, joined by TLS with the key of their Secret as they ship. One client asks with ${PAUSE_MS} ms between calls; ${STREAMING} have turns of ` +
      `${recording.frames} frames. CPU is that of both replicas, while calls are asked. ` +
      `Pipes: the same without a gateway, by two bare Node pipes with the same TLS between them, and one of them alone. Medians of ${ROUNDS} rounds of ${SECONDS} s, in turn.`,
    figures: figuresOf(rounds, least),
  };
}

/** Two replicas that know each other, and which of them has the tenant. */
async function startPair(world: GatewayWorld, load: Load): Promise<ByWay<Replica>> {
  await using stack = new AsyncDisposableStack();
  const first = stack.use(await world.startReplica());
  const second = stack.use(await world.startReplica());
  for (const replica of [first, second]) {
    await until('a replica knows the other', 30_000, async () => (await replica.gauge('copilot_gateway_peers')) === 1);
  }
  // The first client has a home found.
  await load.run({ ...first.door, work: 'ask', connections: 1, seconds: 0 });
  const replicas = (await isHome(first)) ? { home: first, holder: second } : { home: second, holder: first };
  if (!(await isHome(replicas.home))) throw new Error('no replica is the home of the tenant');
  stack.move();
  return replicas;
}

async function isHome(replica: Replica): Promise<boolean> {
  return (await replica.gauge('copilot_gateway_homes')) === 1;
}

/** The least that two programs of Node can be in the place of two replicas, and one in the place of the home. */
async function startPipes(server: Door): Promise<AsyncDisposable & { readonly subject: Subject }> {
  await using stack = new AsyncDisposableStack();
  const alone = stack.use(await startPipe(server));
  const home = stack.use(await startPipe(server, { tls: 'in' }));
  const holder = stack.use(await startPipe({ host: '127.0.0.1', port: home.port }, { tls: 'out' }));
  const door = (port: number): Door => ({ host: '127.0.0.1', port, token: server.token });
  const kept = stack.move();
  return {
    subject: {
      home: { door: door(alone.port), pids: [alone.pid] },
      holder: { door: door(holder.port), pids: [home.pid, holder.pid] },
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function measure(load: Load, { door, pids }: Subject['home']): Promise<Rounds['home'][number]> {
  const cpu = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = cpu();
  const asked = await load.run({ ...door, work: 'ask', connections: 1, seconds: SECONDS, pauseMs: PAUSE_MS });
  const used = cpu() - before;
  const turns = await load.run({ ...door, work: 'stream', connections: STREAMING, seconds: SECONDS });
  return { p50: asked.p50, streamed: turns.bytes / turns.seconds / 1e6, cpuMs: (used / asked.count) * 1000 };
}

/** Medians at the holder and at the home. */
function medians({ home, holder }: Rounds, of: 'p50' | 'streamed' | 'cpuMs'): [holder: number, home: number] {
  return [median(holder.map((round) => round[of])), median(home.map((round) => round[of]))];
}

function figuresOf(rounds: Rounds, least: Rounds): Figure[] {
  const [p50, floor] = medians(rounds, 'p50');
  const [cpuMs, cpuFloor] = medians(rounds, 'cpuMs');
  const [pipes, pipe] = medians(least, 'p50');
  const [hop, leastHop] = [p50 - floor, pipes - pipe];
  const [pipesStreamed, pipeStreamed] = medians(least, 'streamed');
  return [
    {
      metric: 'the hop, p50 of a call on top of that at the home',
      value: hop * 1000,
      floor: floor * 1000,
      unit: 'µs',
      aim: `<= ${HOP_MS * 1000} µs`,
      met: hop <= HOP_MS,
    },
    { metric: 'the hop of pipes, the same', value: leastHop * 1000, floor: pipe * 1000, unit: 'µs' },
    {
      metric: 'what the gateway adds to the hop of pipes',
      value: (hop - leastHop) * 1000,
      unit: 'µs',
    },
    against('a call, p50', p50, floor, 'ms', 2),
    { metric: 'CPU, a call', value: cpuMs * 1000, floor: cpuFloor * 1000, unit: 'µs', ratio: cpuMs / cpuFloor },
    atLeast('streams, at once', ...medians(rounds, 'streamed'), 'MB/s', STREAM_LIMIT),
    {
      metric: 'streams of pipes, the same',
      value: pipesStreamed,
      floor: pipeStreamed,
      unit: 'MB/s',
      ratio: pipesStreamed / pipeStreamed,
    },
  ];
}
