// A real server with many sessions that is killed, and clients that resume them.
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import type { CopilotServer } from '../../test/support/copilot-server.ts';
import type { TestModel } from '../../test/support/model.ts';
import { waitFor } from '../../test/support/wait.ts';
import type { Door, GatewayProcess } from './gateway-world.ts';
import { RECORDED_SESSION, haveTurn } from './recorded-turn.ts';

/** For a machine that is busy with something else. */
const WITHIN_MS = 600_000;
const RESTORED = 'the sessions of a lost server are restored';

/** Ids of so many sessions, of the same length as {@link RECORDED_SESSION} each. */
export const sessionIds = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => RECORDED_SESSION.slice(0, -4) + String(1_000 + index));

/** Gives the server these sessions, as copies of one with a turn. Returns what its clients declare. */
export async function putSessions(
  cli: CopilotServer,
  token: string,
  model: TestModel,
  ids: readonly string[],
): Promise<object> {
  const { model: name, provider } = model.bind(cli, token);
  const declared = { model: name, provider };
  await haveTurn(cli, token, model);
  // It is on the disk when the process is gone.
  await cli.kill('SIGTERM');
  const recorded = join(cli.sessionState, RECORDED_SESSION);
  for (const id of ids) {
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

/** A client that calls many things at the same time. */
export class Caller {
  readonly #socket: Socket;
  readonly #open = new Map<unknown, (answer: Answer) => void>();
  isClosed = false;

  constructor({ host, port }: Door) {
    this.#socket = connect({ host, port, noDelay: true });
    const decoder = new FrameDecoder((body) => {
      const answer = JSON.parse(body.toString()) as Answer;
      this.#open.get(answer.id)?.(answer);
      this.#open.delete(answer.id);
    });
    this.#socket.on('data', (chunk) => decoder.push(chunk));
    // Whoever waits for an answer then is told so.
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => {
      this.isClosed = true;
      for (const [id, take] of this.#open) take({ id, error: { message: 'the connection was closed' } });
    });
  }

  static async admitted(door: Door): Promise<Caller> {
    const caller = new Caller(door);
    await caller.call('connect', 'connect', { token: door.token });
    return caller;
  }

  async call(id: string, method: string, params: object): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#open.set(id, resolve);
    this.#socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, method, params })));
    const { result, error } = await promise;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** Kills the server and starts it again, for the `round`th time. Returns the seconds from the dial until its sessions were restored, as the gateway says. */
export async function restored(
  cli: CopilotServer,
  gateway: GatewayProcess,
  round: number,
  count: number,
): Promise<number> {
  await cli.kill();
  await cli.start();
  const told = () => gateway.log().filter((line) => line.includes(RESTORED));
  await waitFor('the sessions are restored', () => told().length === round, { withinMs: WITHIN_MS });
  const { sessions, failed, readyMs } = JSON.parse(told().at(-1) ?? '') as Record<string, number>;
  if (sessions !== count || failed !== 0) throw new Error(`of ${sessions} sessions ${failed} were not restored`);
  return (readyMs ?? 0) / 1000;
}
