// What the gateway costs between clients and a server, beside HAProxy in TCP mode and a bare Node pipe. The server has a script, because the
// CLI would be the limit.
import { openGatewayWorld, type Door, type GatewayWorld } from './lib/gateway-world.ts';
import { startHAProxy } from './lib/haproxy.ts';
import { startLoad, type Load, type LoadOrder, type LoadReport } from './lib/load.ts';
import { cpuSeconds } from './lib/process.ts';
import { startPipe, startScriptedServer } from './lib/proxies.ts';
import { recordTurn, type Recording } from './lib/recorded-turn.ts';
import { Profile } from './lib/profile.ts';
import { against, atLeast, type BenchOptions, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const ASKING = 50;
const STREAMING = 4;
const SECONDS = 2;
const ROUNDS = 5;
/** An address of its own, so that a server of another benchmark is not in the way. */
const SERVER_HOST = '127.0.7.1';
type Way = 'direct' | 'pipe' | 'HAProxy' | 'gateway' | 'before';
/** Of the CPU that the gateway took before it kept anything for clients that come back. */
const KEEPER_LIMIT = 1.05;
/** Smaller parts of a profile are one. */
const LEAST_SHARE = 0.03;

/** Clients reach the server by this way. */
interface Path {
  readonly door: Door;
  /** The process in between; undefined: none. */
  readonly pid: number | undefined;
}

interface Cost extends LoadReport {
  /** CPU seconds of the process in between. */
  readonly between: number;
}

type Paths = Readonly<Partial<Record<Way, Path>>>;
type Rounds = Readonly<Partial<Record<Way, Cost[]>>>;

export async function run({ before }: BenchOptions): Promise<BenchResult> {
  using recording = await recordTurn();
  await using world = await openGatewayWorld(SERVER_HOST);
  const { server } = world;
  await using _server = await startScriptedServer(server, recording.file);
  await using pipe = await startPipe(server);
  await using haproxy = await startHAProxy(server);
  await using gateway = await world.startGateway();
  await using other = before === undefined ? undefined : await world.startGateway({ bundle: before });
  await using load = await startLoad();
  const behind = (proxy: { readonly pid: number; readonly port: number }): Path => ({
    door: { host: '127.0.0.1', port: proxy.port, token: server.token },
    pid: proxy.pid,
  });
  const paths: Paths = {
    direct: { door: server, pid: undefined },
    pipe: behind(pipe),
    HAProxy: behind(haproxy),
    gateway,
    ...(other && { before: other }),
  };
  const asking = { work: 'ask', connections: ASKING, seconds: SECONDS } as const;
  const streaming = { work: 'stream', connections: STREAMING, seconds: SECONDS } as const;
  const asked = await roundsOf(load, paths, asking);
  const streamed = await roundsOf(load, paths, streaming);
  return {
    name: 'Gateway: relay',
    about: about(recording),
    figures: [
      ...askFigures(asked),
      ...(await profileFigures('a request', world, load, asking)),
      ...streamFigures(streamed),
      ...(await profileFigures('a frame of a stream', world, load, streaming)),
    ],
  };
}

function about({ frames, bytes, medianBytes }: Recording): string {
  return (
    `Floor: HAProxy in TCP mode with one thread, in the same run. The server has a script: it answers each request with a write of its own, and a prompt with the frames of a recorded turn of the CLI ` +
    `(${frames} frames, ${Math.round(bytes / 1024)} KiB, the median frame ${medianBytes} B), many in a write. ${ASKING} clients ask, ${STREAMING} have turns. ` +
    `"A core" is what the process in between does in a second of its CPU time, so that neither clients nor server are the limit; "at once" is what passes in a second on this machine, which clients, server and whatever else runs on it share. ` +
    `Medians of ${ROUNDS} rounds of ${SECONDS} s each, in turn.`
  );
}

/** Each way after the other, and this several times: the machine is not equally busy all the time. */
async function roundsOf(load: Load, paths: Paths, order: Omit<LoadOrder, keyof Door>): Promise<Rounds> {
  const costs: Partial<Record<Way, Cost[]>> = {};
  // The first round warms the compilers up and is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [way, { door, pid }] of Object.entries(paths) as [Way, Path][]) {
      const before = pid === undefined ? 0 : cpuSeconds(pid);
      const report = await load.run({ ...door, ...order });
      const between = pid === undefined ? 0 : cpuSeconds(pid) - before;
      if (round > 0) (costs[way] ??= []).push({ ...report, between });
    }
  }
  return costs;
}

const a = (rounds: Rounds, way: Way, value: (cost: Cost) => number): number => median((rounds[way] ?? []).map(value));
/** CPU of the process in between for one request or frame, in microseconds. */
const cpuOf = ({ between, count }: Cost): number => (between / count) * 1e6;

/** CPU of the process that loads it. At less than 100 % it is not the limit. */
const ofACore = ({ cpu, seconds }: Cost): number => (cpu / seconds) * 100;

/** What it takes, over what the other bundle takes, round by round. */
function beforeFigure(metric: string, { gateway = [], before }: Rounds): Figure[] {
  if (before === undefined) return [];
  const ratios = gateway.map((cost, round) => cpuOf(cost) / cpuOf(before[round] ?? cost));
  const floor = median(before.map(cpuOf));
  return [against(metric, median(ratios) * floor, floor, 'µs', KEEPER_LIMIT)];
}

/** What the CPU is spent on: of a gateway of its own, because to be profiled costs it something. */
async function profileFigures(
  what: string,
  world: GatewayWorld,
  load: Load,
  order: Omit<LoadOrder, keyof Door>,
): Promise<Figure[]> {
  using profile = new Profile();
  {
    await using gateway = await world.startGateway({ flags: profile.flags });
    await load.run({ ...gateway.door, ...order, seconds: 2 * SECONDS });
  }
  const shares = profile.shares();
  const rest = shares.filter(([, share]) => share < LEAST_SHARE).reduce((sum, [, share]) => sum + share, 0);
  return [...shares.filter(([, share]) => share >= LEAST_SHARE), ['everything else', rest] as const].map(
    ([part, share]) => ({ metric: `of the CPU of ${what}: ${part}`, value: share * 100, unit: '%' }),
  );
}
const onACore =
  (what: 'count' | 'bytes') =>
  (cost: Cost): number =>
    cost[what] / cost.between;
const atOnce =
  (what: 'count' | 'bytes') =>
  (cost: Cost): number =>
    cost[what] / cost.seconds;

function askFigures(rounds: Rounds): Figure[] {
  const haproxy = (value: (cost: Cost) => number): number => a(rounds, 'HAProxy', value);
  const gateway = (value: (cost: Cost) => number): number => a(rounds, 'gateway', value);
  return [
    atLeast('requests a second, at once', gateway(atOnce('count')), haproxy(atOnce('count')), '1/s', 0.8),
    { ...atLeast('requests a second, a core', gateway(onACore('count')), haproxy(onACore('count')), '1/s', 0.8) },
    { metric: 'the same of a Node pipe, a core', value: a(rounds, 'pipe', onACore('count')), unit: '1/s' },
    {
      metric: 'the same without anything in between, at once',
      value: a(rounds, 'direct', atOnce('count')),
      unit: '1/s',
    },
    { metric: 'CPU of the clients meanwhile', value: gateway(ofACore), unit: '% of a core' },
    { metric: 'CPU a request', value: gateway(cpuOf), unit: 'µs' },
    ...beforeFigure('the same, against the bundle of before', rounds),
  ];
}

const MB = 1e6;

function streamFigures(rounds: Rounds): Figure[] {
  const haproxy = (value: (cost: Cost) => number): number => a(rounds, 'HAProxy', value);
  const gateway = (value: (cost: Cost) => number): number => a(rounds, 'gateway', value);
  const frames = gateway(onACore('count'));
  return [
    atLeast('streams, a core', gateway(onACore('bytes')) / MB, haproxy(onACore('bytes')) / MB, 'MB/s', 0.25),
    atLeast('streams, at once', gateway(atOnce('bytes')) / MB, haproxy(atOnce('bytes')) / MB, 'MB/s', 0.25),
    { metric: 'streams of a Node pipe, a core', value: a(rounds, 'pipe', onACore('bytes')) / MB, unit: 'MB/s' },
    {
      metric: 'streams without anything in between, at once',
      value: a(rounds, 'direct', atOnce('bytes')) / MB,
      unit: 'MB/s',
    },
    { metric: 'CPU of the clients meanwhile', value: gateway(ofACore), unit: '% of a core' },
    { metric: 'frames a second, a core', value: frames, unit: '1/s', aim: '>= 100000 1/s', met: frames >= 100_000 },
    { metric: 'CPU a frame', value: 1e6 / frames, unit: 'µs' },
    ...beforeFigure('the same, against the bundle of before', rounds),
  ];
}
