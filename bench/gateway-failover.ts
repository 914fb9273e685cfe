// How long it takes until the sessions of a lost server are as before, beside the calls alone by which clients without a gateway would do it.
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVER_PORT } from '../src/api/names.ts';
import { DEFAULT_LIMITS } from '../src/gateway/relay/model.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { TestModel } from '../test/support/model.ts';
import { waitFor } from '../test/support/wait.ts';
import { Caller } from './lib/caller.ts';
import { openGatewayWorld, type GatewayProcess } from './lib/gateway-world.ts';
import { cpuSeconds } from './lib/process.ts';
import { RECORDED_SESSION, haveTurn } from './lib/recorded-turn.ts';
import { against, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** An address of its own, so that a server of another benchmark is not in the way. */
const HOST = '127.0.7.2';
const SESSIONS = 1_000;
const ROUNDS = 2;
const LIMIT = 3;
/** For a machine that is busy with something else. */
const WITHIN_MS = 600_000;
const RESTORED = 'the sessions of a lost server are restored';
/** A session of the same length as {@link RECORDED_SESSION} each. */
const IDS = Array.from({ length: SESSIONS }, (_, index) => RECORDED_SESSION.slice(0, -4) + String(1_000 + index));

export async function run(): Promise<BenchResult> {
  using model = await TestModel.start();
  await using world = await openGatewayWorld(HOST);
  const { server } = world;
  await using behind = await CopilotServer.start('cli', server.token, [], {}, SERVER_PORT, { host: HOST });
  await using alone = await CopilotServer.start('cli', server.token);
  const declared = await putSessions(behind, server.token, model);
  await putSessions(alone, server.token, model);
  await using gateway = await world.startGateway();
  const client = await Caller.admitted(gateway.door);
  await resumeAll(client, declared);
  const [ours, bare, cpu]: [number[], number[], number[]] = [[], [], []];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = cpuSeconds(gateway.pid);
    ours.push(await restored(behind, gateway, round));
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

/** Gives the server all sessions, as copies of one with a turn. Returns what its clients declare. */
async function putSessions(cli: CopilotServer, token: string, model: TestModel): Promise<object> {
  const { model: name, provider } = model.bind(cli, token);
  const declared = { model: name, provider };
  await haveTurn(cli, token, model);
  // It is on the disk when the process is gone.
  await cli.kill('SIGTERM');
  const recorded = join(cli.sessionState, RECORDED_SESSION);
  for (const id of IDS) {
    const copy = join(cli.sessionState, id);
    cpSync(recorded, copy, { recursive: true });
    for (const { name: file } of readdirSync(copy, { withFileTypes: true }).filter((entry) => entry.isFile())) {
      const path = join(copy, file);
      writeFileSync(path, readFileSync(path, 'latin1').replaceAll(RECORDED_SESSION, id), 'latin1');
    }
  }
  rmSync(recorded, { recursive: true });
  await cli.start();
  return declared;
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

/** Kills the server and starts it again. Returns the seconds from the dial until its sessions were restored, as the gateway says. */
async function restored(cli: CopilotServer, gateway: GatewayProcess, round: number): Promise<number> {
  await cli.kill();
  await cli.start();
  const told = () => gateway.log().filter((line) => line.includes(RESTORED));
  await waitFor('the sessions are restored', () => told().length === round, { withinMs: WITHIN_MS });
  const { sessions, failed, readyMs } = JSON.parse(told().at(-1) ?? '') as Record<string, number>;
  if (sessions !== SESSIONS || failed !== 0) throw new Error(`of ${sessions} sessions ${failed} were not restored`);
  return (readyMs ?? 0) / 1000;
}
