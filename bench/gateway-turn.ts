// What the gateway adds to a call and to a real turn of the CLI, over the same directly.
import type { CopilotClient } from '@github/copilot-sdk';
import { approveAll } from '@github/copilot-sdk';
import { SERVER_PORT } from '../src/api/names.ts';
import { withClient, type Binding } from '../test/support/chat.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { TestModel } from '../test/support/model.ts';
import { openGatewayWorld, type Door } from './lib/gateway-world.ts';
import { startHAProxy } from './lib/haproxy.ts';
import { startLoad, type Load } from './lib/load.ts';
import { startLeastRelay, startPipe } from './lib/proxies.ts';
import { against, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const HOST = '127.0.0.1';
const CALL_ROUNDS = 5;
const CALL_SECONDS = 3;
/** Between calls, so that none waits for another. */
const PAUSE_MS = 2;
const MEDIAN_LIMIT_MS = 0.06;
const P99_LIMIT_MS = 0.5;
const TURNS = 30;
/** Pieces of an answer. */
const PIECES = 100;
const TURN_LIMIT = 1.02;
/** What is measured between client and server. */
const BETWEEN = ['gateway', 'haproxy', 'pipe', 'least'] as const;
type Between = (typeof BETWEEN)[number];

export async function run(): Promise<BenchResult> {
  using model = await TestModel.start();
  await using world = await openGatewayWorld(HOST);
  const { server } = world;
  await using _cli = await CopilotServer.start('cli', server.token, [], {}, SERVER_PORT);
  await using gateway = await world.startGateway();
  await using load = await startLoad();
  await using haproxy = await startHAProxy(server);
  const behindHAProxy = { host: HOST, port: haproxy.port, token: server.token };
  await using pipe = await startPipe(server);
  const behindPipe = { host: HOST, port: pipe.port, token: server.token };
  await using least = await startLeastRelay(server);
  const behindLeast = { host: HOST, port: least.port, token: server.token };
  const calls = await callFigures(load, server, {
    gateway: gateway.door,
    haproxy: behindHAProxy,
    pipe: behindPipe,
    least: behindLeast,
  });
  const turns = await turnFigures(model, server, gateway.door);
  return {
    name: 'Gateway: calls and turns of the CLI',
    about:
      `The real CLI with a test model. Floor: the same directly. A call is status.get, which the server answers; one client, ${PAUSE_MS} ms between calls, medians of ${CALL_ROUNDS} rounds of ${CALL_SECONDS} s. ` +
      `The least Node relay parses each call and maps its id to one of its single connection to the server, and does nothing else. ` +
      `A turn is sendAndWait of the Node SDK with an answer in ${PIECES} pieces; medians of ${TURNS}, in turn.`,
    figures: [...calls, ...turns],
  };
}

async function callFigures(load: Load, server: Door, between: Readonly<Record<Between, Door>>): Promise<Figure[]> {
  const direct = { p50: [] as number[], p99: [] as number[] };
  const more = {
    gateway: { p50: [] as number[], p99: [] as number[] },
    haproxy: { p50: [] as number[], p99: [] as number[] },
    pipe: { p50: [] as number[], p99: [] as number[] },
    least: { p50: [] as number[], p99: [] as number[] },
  };
  for (let round = 0; round <= CALL_ROUNDS; round += 1) {
    const order = { work: 'ask', connections: 1, seconds: CALL_SECONDS, pauseMs: PAUSE_MS } as const;
    const bare = await load.run({ ...server, ...order });
    if (round > 0) for (const share of ['p50', 'p99'] as const) direct[share].push(bare[share]);
    for (const way of BETWEEN) {
      const found = await load.run({ ...between[way], ...order });
      if (round > 0) for (const share of ['p50', 'p99'] as const) more[way][share].push(found[share] - bare[share]);
    }
  }
  const figure = (share: 'p50' | 'p99', limit: number): Figure[] => [
    onTop(`a call, ${share}, over direct`, median(more.gateway[share]), median(direct[share]), limit),
    { metric: `the same of HAProxy, ${share}`, value: median(more.haproxy[share]), unit: 'ms' },
    { metric: `the same of a Node pipe, ${share}`, value: median(more.pipe[share]), unit: 'ms' },
    { metric: `the same of the least Node relay, ${share}`, value: median(more.least[share]), unit: 'ms' },
  ];
  return [...figure('p50', MEDIAN_LIMIT_MS), ...figure('p99', P99_LIMIT_MS)];
}

/** What comes on top, beside the whole of the floor. */
function onTop(metric: string, value: number, floor: number, limit: number): Figure {
  return { metric, value, floor, unit: 'ms', aim: `<= ${limit} ms`, met: value <= limit };
}

async function turnFigures(model: TestModel, server: Door, gateway: Door): Promise<Figure[]> {
  const times = { direct: [] as number[], gateway: [] as number[] };
  const answer = { text: 'a few words '.repeat(PIECES), chunks: PIECES };
  const turn = async (binding: Binding, client: CopilotClient, count: number): Promise<number[]> => {
    const { provider, model: name } = binding;
    const session = await client.createSession({
      onPermissionRequest: approveAll,
      streaming: true,
      ...(name !== undefined && { model: name }),
      ...(provider && { provider }),
    });
    const taken: number[] = [];
    for (let n = 0; n < count; n += 1) {
      await model.say({ match: 'word', steps: [answer] });
      const begun = performance.now();
      await session.sendAndWait({ prompt: 'word' }, 60_000);
      taken.push(performance.now() - begun);
    }
    await session.disconnect();
    return taken;
  };
  const bindings = {
    direct: model.bind(server, server.token),
    gateway: model.bind(gateway, gateway.token),
  };
  // A session for each few turns, so that both ways meet the same state of machine and server.
  const each = 3;
  for (let done = -each; done < TURNS; done += each) {
    for (const way of ['direct', 'gateway'] as const) {
      const taken = await withClient(bindings[way], (client) => turn(bindings[way], client, each));
      if (done >= 0) times[way].push(...taken);
    }
  }
  return [against('a turn', median(times.gateway), median(times.direct), 'ms', TURN_LIMIT)];
}
