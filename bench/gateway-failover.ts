// How long it takes until the sessions of a lost server are as before, beside the calls alone by which clients without a gateway would do it.
import { SERVER_PORT } from '../src/api/names.ts';
import { DEFAULT_LIMITS } from '../src/gateway/relay/model.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { TestModel } from '../test/support/model.ts';
import { openGatewayWorld } from './lib/gateway-world.ts';
import { Caller, putSessions, restored, sessionIds } from './lib/lost-server.ts';
import { cpuSeconds } from './lib/process.ts';
import { against, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** An address of its own, so that a server of another benchmark is not in the way. */
const HOST = '127.0.7.2';
const SESSIONS = 1_000;
const ROUNDS = 2;
const LIMIT = 3;
const IDS = sessionIds(SESSIONS);

export async function run(): Promise<BenchResult> {
  using model = await TestModel.start();
  await using world = await openGatewayWorld(HOST);
  const { server } = world;
  await using behind = await CopilotServer.start('cli', server.token, [], {}, SERVER_PORT, { host: HOST });
  await using alone = await CopilotServer.start('cli', server.token);
  const declared = await putSessions(behind, server.token, model, IDS);
  await putSessions(alone, server.token, model, IDS);
  await using gateway = await world.startGateway();
  const client = await Caller.admitted(gateway.door);
  await resumeAll(client, declared);
  const [ours, bare, cpu]: [number[], number[], number[]] = [[], [], []];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = cpuSeconds(gateway.pid);
    ours.push(await restored(behind, gateway, round, SESSIONS));
    cpu.push(cpuSeconds(gateway.pid) - before);
    await alone.kill();
    await alone.start();
    const bareClient = await Caller.admitted({ host: alone.host, port: alone.port, token: server.token });
    bare.push(await resumeAll(bareClient, declared));
    bareClient.close();
  }
  const isAlive = !client.isClosed;
  client.close();
  return {
    name: 'Gateway: fail-over',
    about:
      `A CLI with ${SESSIONS} sessions of one client, each with a turn in its journal, is killed and started again. Measured from the gateway's dial of the new process until all sessions are restored. ` +
      `Floor: as many calls of session.resume, ${DEFAULT_LIMITS.restoredAtOnce} at a time as the gateway makes them, over one connection to a CLI that was started again, without a gateway. Medians of ${ROUNDS}, in turn.`,
    figures: [
      against(`${SESSIONS} sessions restored`, median(ours), median(bare), 's', LIMIT),
      { metric: 'CPU of the gateway, a session', value: (median(cpu) / SESSIONS) * 1000, unit: 'ms' },
      { metric: 'clients cut', value: isAlive ? 0 : 1, unit: 'clients', aim: '0 clients', met: isAlive },
    ],
  };
}

/** Seconds for all sessions, of which so many are resumed at the same time as the gateway restores. */
async function resumeAll(client: Caller, declared: object): Promise<number> {
  const begun = performance.now();
  const left = IDS.values();
  const resumeNext = async (): Promise<void> => {
    for (const sessionId of left) {
      await client.call(sessionId, 'session.resume', { ...declared, sessionId });
    }
  };
  await Promise.all(Array.from({ length: DEFAULT_LIMITS.restoredAtOnce }, resumeNext));
  return (performance.now() - begun) / 1000;
}
