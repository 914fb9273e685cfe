// What it costs a client to be connected to another replica of the gateway than the one that serves its tenant. The server has a script.
import { BINDING_TOKEN } from '../test/support/gateway.ts';
import { freePort } from '../test/support/copilot-server.ts';
import { JoinedGateways } from '../test/support/joined-gateways.ts';
import { startLoad } from './lib/load.ts';
import { startScriptedServer } from './lib/proxies.ts';
import { recordTurn } from './lib/recorded-turn.ts';
import { against, atLeast, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const HOST = '127.0.0.1';
const ROUNDS = 5;
const SECONDS = 3;
/** Between calls, so that none waits for another. */
const PAUSE_MS = 2;
/** What the hop may add to the median of a call. */
const HOP_MS = 0.08;
const STREAMING = 4;
/** A second process does the work of the hop in production; here both share one. */
const STREAM_LIMIT = 0.4;
const WAYS = ['home', 'holder'] as const;

export async function run(): Promise<BenchResult> {
  using recording = await recordTurn();
  const server = { host: HOST, port: await freePort(), token: 'token-of-the-server' };
  await using _server = await startScriptedServer(server, recording.file);
  await using gateways = await JoinedGateways.start(WAYS, 'home', { server, token: server.token });
  await using load = await startLoad();
  const p50 = { home: [] as number[], holder: [] as number[] };
  const streamed = { home: [] as number[], holder: [] as number[] };
  // The first round warms the compilers up and is not counted.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const way of WAYS) {
      const door = { host: HOST, port: gateways.gateway(way).port, token: BINDING_TOKEN };
      const asked = await load.run({ ...door, work: 'ask', connections: 1, seconds: SECONDS, pauseMs: PAUSE_MS });
      const turns = await load.run({ ...door, work: 'stream', connections: STREAMING, seconds: SECONDS });
      if (round === 0) continue;
      p50[way].push(asked.p50);
      streamed[way].push(turns.bytes / turns.seconds / 1e6);
    }
  }
  return {
    name: 'Gateway: a client at another replica',
    about:
      `Floor: the same client connected to the home, in the same run. Both replicas are in one process, joined by TCP without TLS. One client asks with ${PAUSE_MS} ms between calls; ${STREAMING} have turns of ` +
      `${recording.frames} frames. Medians of ${ROUNDS} rounds of ${SECONDS} s, in turn.`,
    figures: figuresOf(p50, streamed),
  };
}

type Rounds = Readonly<Record<(typeof WAYS)[number], readonly number[]>>;

function figuresOf(p50: Rounds, streamed: Rounds): Figure[] {
  const hop = median(p50.holder) - median(p50.home);
  return [
    {
      metric: 'the hop, p50 of a call on top of that at the home',
      value: hop * 1000,
      floor: median(p50.home) * 1000,
      unit: 'µs',
      aim: `<= ${HOP_MS * 1000} µs`,
      met: hop <= HOP_MS,
    },
    against('a call, p50', median(p50.holder), median(p50.home), 'ms', 2),
    atLeast('streams, at once', median(streamed.holder), median(streamed.home), 'MB/s', STREAM_LIMIT),
  ];
}
