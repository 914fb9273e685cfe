// What clients cost the gateway that come, stay and come back, and what tenants cost that it only knows.
import { systemClock } from '../src/kube/clock/clock.ts';
import { openGatewayWorld, type Door, type GatewayProcess } from './lib/gateway-world.ts';
import { startLoad, type Load } from './lib/load.ts';
import { cpuSeconds, rssMegabytes } from './lib/process.ts';
import { startScriptedServer } from './lib/proxies.ts';
import { against, atLeast, bounded, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const CLIENTS = 5_000;
const CLIENTS_LIMIT_MB = 200;
/** Connections that come at the same time where a client is closed when it is admitted. */
const WIDTH = 64;
const ROUNDS = 5;
const SECONDS = 3;
const STARTS = 5;
const START_LIMIT_MS = 500;
const RETURN_LIMIT_S = 10;
/** Of the memory before. */
const BACK_LIMIT = 1.25;
/** Until memory that nobody uses was given back. */
const REST_MS = 20_000;
/** An address of its own, so that a server of another benchmark is not in the way. */
const SERVER_HOST = '127.0.7.1';

export async function run(): Promise<BenchResult> {
  await using world = await openGatewayWorld(SERVER_HOST);
  await using _server = await startScriptedServer(world.server);
  await using load = await startLoad();
  const starts: number[] = [];
  const startCpu: number[] = [];
  // The first start fills V8's code cache and is not counted.
  for (let start = 0; start <= STARTS; start += 1) {
    const begun = performance.now();
    await using started = await world.startGateway();
    if (start === 0) continue;
    starts.push(performance.now() - begun);
    startCpu.push(cpuSeconds(started.pid));
  }
  await using gateway = await world.startGateway();
  const staying = await stayingFigures(load, gateway);
  return {
    name: 'Gateway: clients',
    about:
      `Floor: a bare Node server with the same handshake, a SHA-256 of the token included; ${WIDTH} connections at a time, each closed when it is admitted. ` +
      `"A core" is what is admitted in a second of the process's CPU time. The ${CLIENTS} clients are of one process and one tenant, and present the binding credential. ` +
      `Start: of the bundle with warm caches until /readyz, median of ${STARTS}.`,
    figures: [
      bounded('start to ready', median(starts), 'ms', START_LIMIT_MS),
      { metric: 'CPU of a start', value: median(startCpu) * 1000, unit: 'ms' },
      ...(await admissionFigures(load, { server: world.server, gateway })),
      ...staying,
    ],
  };
}

/** New connections a second. */
async function admissionFigures(
  load: Load,
  { server, gateway }: { server: Door & { readonly pid?: number }; gateway: GatewayProcess },
): Promise<Figure[]> {
  const rates = { server: [] as number[], gateway: [] as number[], cpu: [] as number[] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    const order = { work: 'admit', connections: WIDTH, seconds: SECONDS } as const;
    const bare = await load.run({ ...server, ...order });
    const before = cpuSeconds(gateway.pid);
    const ours = await load.run({ ...gateway.door, ...order });
    if (round === 0) continue;
    rates.server.push(bare.count / bare.seconds);
    rates.gateway.push(ours.count / ours.seconds);
    rates.cpu.push(((cpuSeconds(gateway.pid) - before) / ours.count) * 1e6);
  }
  return [
    atLeast('clients admitted a second', median(rates.gateway), median(rates.server), '1/s', 0.8),
    { metric: 'CPU a client', value: median(rates.cpu), unit: 'µs' },
  ];
}

/** Clients that stay, go, and come back within a second. */
async function stayingFigures(load: Load, { door, pid }: GatewayProcess): Promise<Figure[]> {
  // What was allocated to start, and to warm up, is collected.
  const settled = async (): Promise<number> => {
    await load.run({ ...door, work: 'ask', connections: WIDTH, seconds: 2 * SECONDS });
    await systemClock.sleep(REST_MS);
    return rssMegabytes(pid);
  };
  const empty = await settled();
  const come = async (seconds: number): Promise<{ count: number; seconds: number }> =>
    load.run({ ...door, work: 'hold', connections: CLIENTS, seconds });
  const go = async (): Promise<void> => {
    await load.run({ ...door, work: 'drop', connections: 0, seconds: 0 });
  };
  await come(10);
  await systemClock.sleep(REST_MS);
  const full = rssMegabytes(pid);
  await go();
  const before = cpuSeconds(pid);
  const back = await come(1);
  const backCpu = cpuSeconds(pid) - before;
  await systemClock.sleep(REST_MS);
  const fullAgain = rssMegabytes(pid);
  await go();
  const after = await settled();
  return [
    { metric: 'RSS without clients', value: empty, unit: 'MB' },
    bounded(`RSS, ${CLIENTS} idle clients`, full, 'MB', CLIENTS_LIMIT_MB),
    { metric: 'a client', value: ((full - empty) / CLIENTS) * 1024, unit: 'KB' },
    bounded(`${CLIENTS} come back within a second: until all are admitted`, back.seconds, 's', RETURN_LIMIT_S),
    { metric: 'CPU for that', value: backCpu, unit: 's' },
    {
      metric: 'of them, lost',
      value: CLIENTS - back.count,
      unit: 'clients',
      aim: '0 clients',
      met: back.count === CLIENTS,
    },
    bounded('RSS after that', fullAgain, 'MB', CLIENTS_LIMIT_MB),
    against('RSS when all have left, and others were served', after, empty, 'MB', BACK_LIMIT),
  ];
}
