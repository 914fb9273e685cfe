// How long a client with one session waits for a server that was killed, from the gateway's dial of its successor on, for both programs.
import { SERVER_PORT } from '../src/api/names.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { TestModel } from '../test/support/model.ts';
import { openGatewayWorld } from './lib/gateway-world.ts';
import { Caller, putSessions, restored, sessionIds } from './lib/lost-server.ts';
import { bounded, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** Addresses of their own, so that a server of another benchmark is not in the way. */
const PROGRAMS = [
  { binary: 'runtime', host: '127.0.7.4', limitMs: 100 },
  { binary: 'cli', host: '127.0.7.5', limitMs: 200 },
] as const;
const ROUNDS = 15;
const IDS = sessionIds(1);

export async function run(): Promise<BenchResult> {
  const figures: Figure[] = [];
  for (const program of PROGRAMS) figures.push(...(await figuresOf(program)));
  return {
    name: 'Gateway: a server that is killed',
    about:
      `A server with one session, which has a turn in its journal, is killed and started again while its client is connected. Measured from the gateway's dial of the new process until the session is as before, its provider included. ` +
      `Floor: connect and session.resume by hand, to a server that was started again, without a gateway. Medians of ${ROUNDS}, in turn.`,
    figures,
  };
}

async function figuresOf({ binary, host, limitMs }: (typeof PROGRAMS)[number]): Promise<Figure[]> {
  using model = await TestModel.start();
  await using world = await openGatewayWorld(host);
  const { server } = world;
  await using behind = await CopilotServer.start(binary, server.token, [], {}, SERVER_PORT, { host });
  await using alone = await CopilotServer.start(binary, server.token);
  const declared = await putSessions(behind, server.token, model, IDS);
  await putSessions(alone, server.token, model, IDS);
  await using gateway = await world.startGateway();
  const client = await Caller.admitted(gateway.door);
  const resume = (by: Caller): Promise<unknown> => by.call('resume', 'session.resume', { ...declared, sessionId: IDS[0] });
  await resume(client);
  const [ours, bare]: [number[], number[]] = [[], []];
  for (let round = 1; round <= ROUNDS; round += 1) {
    ours.push((await restored(behind, gateway, round, IDS.length)) * 1000);
    await alone.kill();
    await alone.start();
    const begun = performance.now();
    const direct = await Caller.admitted({ host: alone.host, port: alone.port, token: server.token });
    await resume(direct);
    bare.push(performance.now() - begun);
    direct.close();
  }
  client.close();
  const [value, floor] = [median(ours), median(bare)];
  return [
    { ...bounded(`${binary}: dial to ready, p50`, value, 'ms', limitMs), floor, ratio: value / floor },
    { metric: `${binary}: the slowest`, value: Math.max(...ours), unit: 'ms', floor: Math.max(...bare) },
  ];
}
