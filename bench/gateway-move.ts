// What it takes to move a session between servers that share a volume, and what their guards and the record add to a call.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isObject } from '../src/copilot/index.ts';
import { CopilotServer } from '../test/support/copilot-server.ts';
import { BINDING_TOKEN, GatewayInProcess } from '../test/support/gateway.ts';
import { SharedBench } from '../test/support/shared-bench.ts';
import { Caller } from './lib/lost-server.ts';
import { RECORDED_SESSION } from './lib/recorded-turn.ts';
import { against, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const MOVES = 20;
const MOVE_LIMIT = 1.5;
const CALLS = 2_000;
const CALL_LIMIT_MS = 0.3;
const WARM_UP = 200;
const SESSION = RECORDED_SESSION;

export async function run(): Promise<BenchResult> {
  await using bench = await SharedBench.start(2, 'cli');
  const { model, provider } = bench.binding;
  const declared = { model, provider };
  const through = await Caller.admitted({ host: bench.gateway.host, port: bench.gateway.port, token: BINDING_TOKEN });
  await haveTurn(through, declared);
  await using byHand = await ByHand.start(bench.token, declared);
  const [ours, bare]: [number[], number[]] = [[], []];
  for (let round = 0; round <= MOVES; round += 1) {
    const [moved, alone] = [await move(bench, through), await byHand.move()];
    // The first one loads what the programs load once.
    if (round > 0) [ours, bare].forEach((all, index) => all.push(index === 0 ? moved : alone));
  }
  const calls = await callFigures(through, byHand, bench.token);
  through.close();
  return {
    name: 'Gateway: moves',
    about:
      `Two CLIs behind guards share a directory; the gateway has its records in memory, and is in the process that measures. An idle session with a turn is moved by a drain of its server, which ends with the answer to the next call of its client; medians of ${MOVES}. Floor: sessions.close at one CLI, and session.resume and the same call at the other, without gateway and guards. ` +
      `A call is session.mode.get about a session that is loaded, one after the other, ${CALLS} each in turn. Floor: the same through a gateway to a CLI with a volume of its own, so without record and guard.`,
    figures: [against('move of an idle session, p50', median(ours), median(bare), 'ms', MOVE_LIMIT), ...calls],
  };
}

/** Has the server of the session drained for good, and calls the session. Returns the ms until the answer. */
async function move(bench: SharedBench, client: Caller): Promise<number> {
  const place = await bench.placeOf(SESSION);
  const begun = performance.now();
  bench.drain(place);
  // Not each round of the event loop: the new server is connected to while the old one closes, for which there are two cores.
  while (!bench.gateway.drains().every(({ isDrained }) => isDrained)) await setTimeout(1);
  await client.call('mode', 'session.mode.get', { sessionId: SESSION });
  const ms = performance.now() - begun;
  if ((await bench.placeOf(SESSION)) === place) throw new Error('the session was not moved');
  bench.gateway.fleet.change({ drains: undefined });
  return ms;
}

/** Two CLIs on one directory, and a client that moves a session between them. */
class ByHand implements AsyncDisposable {
  readonly #disk: string;
  readonly #servers: readonly CopilotServer[];
  readonly #clients: readonly Caller[];
  readonly #declared: object;
  #at = 0;

  private constructor(disk: string, servers: readonly CopilotServer[], clients: readonly Caller[], declared: object) {
    this.#disk = disk;
    this.#servers = servers;
    this.#clients = clients;
    this.#declared = declared;
  }

  static async start(token: string, declared: object): Promise<ByHand> {
    const disk = mkdtempSync(join(tmpdir(), 'by-hand-'));
    const sessions = join(disk, 'sessions');
    mkdirSync(sessions);
    const place = { host: '127.0.0.1', sessions };
    const servers = [
      await CopilotServer.start('cli', token, [], {}, undefined, place),
      await CopilotServer.start('cli', token, [], {}, undefined, place),
    ];
    const clients = await Promise.all(servers.map(({ host, port }) => Caller.admitted({ host, port, token })));
    const byHand = new ByHand(disk, servers, clients, declared);
    await haveTurn(byHand.#client(0), declared);
    return byHand;
  }

  /** The server that has the session. */
  get server(): CopilotServer {
    return this.#servers[this.#at] as CopilotServer;
  }

  async move(): Promise<number> {
    const [from, to] = [this.#client(this.#at), this.#client(1 - this.#at)];
    const begun = performance.now();
    await from.call('close', 'sessions.close', { sessionId: SESSION });
    await to.call('resume', 'session.resume', { ...this.#declared, sessionId: SESSION, disableResume: true });
    await to.call('mode', 'session.mode.get', { sessionId: SESSION });
    this.#at = 1 - this.#at;
    return performance.now() - begun;
  }

  #client(index: number): Caller {
    return this.#clients[index] as Caller;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const server of this.#servers) await server[Symbol.asyncDispose]();
    rmSync(this.#disk, { recursive: true, force: true });
  }
}

async function haveTurn(client: Caller, declared: object): Promise<void> {
  await client.call('create', 'session.create', { ...declared, sessionId: SESSION });
  await client.call('send', 'session.send', { sessionId: SESSION, prompt: 'a few words' });
  for (;;) {
    const found = await client.call('activity', 'session.metadata.activity', { sessionId: SESSION });
    if (isObject(found) && found['hasActiveWork'] === false) return;
    await setImmediate();
  }
}

async function callFigures(through: Caller, { server }: ByHand, token: string): Promise<Figure[]> {
  await using sticky = await GatewayInProcess.start({ server, token });
  const { host, port } = sticky;
  const plain = await Caller.admitted({ host, port, token: BINDING_TOKEN });
  await plain.call('resume', 'session.resume', { sessionId: SESSION });
  const [ours, bare]: [number[], number[]] = [[], []];
  for (let round = 0; round < WARM_UP + CALLS; round += 1) {
    const [one, other] = [await callMs(through), await callMs(plain)];
    if (round >= WARM_UP) [ours, bare].forEach((all, index) => all.push(index === 0 ? one : other));
  }
  plain.close();
  const [value, floor] = [median(ours) - median(bare), median(bare)];
  const met = value <= CALL_LIMIT_MS;
  return [
    {
      metric: 'a call about a placed session, p50, more than with a volume of its own',
      value,
      floor,
      unit: 'ms',
      aim: `<= ${CALL_LIMIT_MS} ms`,
      met,
    },
  ];
}

async function callMs(client: Caller): Promise<number> {
  const begun = performance.now();
  await client.call('mode', 'session.mode.get', { sessionId: SESSION });
  return performance.now() - begun;
}
