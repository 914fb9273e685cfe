// Real Copilot servers as child processes on the loopback, each with a home of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { cliPackageCache, serverBinary, type ServerBinary } from './copilot-binary.ts';
import type { IPv6OnlyNetwork } from './ipv6-only.ts';
import { waitFor } from './wait.ts';

/**
 * A port of the loopback that nobody listens on at this moment, and that the kernel gives to no connection: whoever dials a port of that
 * range while nobody listens there may be connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, host), 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/** Where a server listens in place of 127.0.0.1. */
interface Place {
  /** Default: that of this process. */
  readonly network?: IPv6OnlyNetwork;
  /** What it is told to listen on. */
  readonly host: string;
  /** The directory of its sessions, which others have, too; default: one in its home. */
  readonly sessions?: string;
}

/** One server that can be killed, stopped and started again at the same port with the same state. */
export class CopilotServer implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly #network: IPv6OnlyNetwork | undefined;
  readonly #binary: ServerBinary;
  readonly #token: string | undefined;
  readonly #options: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #home = mkdtempSync(join(tmpdir(), 'copilot-operator-server-'));
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(
    binary: ServerBinary,
    port: number,
    token: string | undefined,
    options: readonly string[],
    env: Readonly<Record<string, string>>,
    place: Place | undefined,
  ) {
    this.host = place?.host ?? '127.0.0.1';
    this.#network = place?.network;
    this.#binary = binary;
    this.port = port;
    this.#token = token;
    this.#options = options;
    this.#env = env;
    if (place?.sessions === undefined) return;
    mkdirSync(join(this.#home, '.copilot'));
    symlinkSync(place.sessions, this.sessionState);
  }

  /**
   * Starts a server with further `options` of its command line and further variables of its environment. Resolves when it listens.
   * Without a token it takes any client. Default of `port`: one that nobody listens on. `place`: another address or network.
   */
  static async start(
    binary: ServerBinary,
    token?: string,
    options: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    port?: number,
    place?: Place,
  ): Promise<CopilotServer> {
    const server = new CopilotServer(binary, port ?? (await freePort()), token, options, env, place);
    await server.start();
    return server;
  }

  /** Where it keeps its sessions, one directory each. */
  get sessionState(): string {
    return join(this.#home, '.copilot/session-state');
  }

  /** What is on the disk of a session's journal; empty if there is none. */
  journalOf(sessionId: string): string {
    const path = join(this.sessionState, sessionId, 'events.jsonl');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  async start(): Promise<void> {
    // A child that a killed server was about to start has its sockets for a moment longer.
    await waitFor('nobody listens on the port', () => this.#isFree(), { withinMs: 30_000, everyMs: 10 });
    const args = ['--headless', '--host', this.host, '--port', String(this.port), '--no-auto-update', ...this.#options];
    const program = serverBinary(this.#binary);
    const command: [string, string[]] = this.#network?.enter(program, ...args) ?? [program, args];
    const child = spawn(...command, {
      cwd: this.#home,
      env: {
        PATH: process.env['PATH'],
        HOME: this.#home,
        COPILOT_PKG_CACHE_HOME: cliPackageCache(),
        COPILOT_AUTO_UPDATE: 'false',
        ...(this.#token === undefined ? {} : { COPILOT_CONNECTION_TOKEN: this.#token }),
        ...this.#env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#output = '';
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string) =>
        reject(new Error(`the ${this.#binary} server ${what}; it wrote:\n${this.#output}`));
      const deadline = setTimeout(() => fail('does not listen after 60 s'), 60_000);
      const take = (text: Buffer) => {
        this.#output += text.toString();
        if (this.#output.includes(`listening on port ${this.port}`)) {
          clearTimeout(deadline);
          resolve();
        }
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.on('error', (error) => fail(`can't be started: ${error.message}`));
      child.on('exit', (code, signal) => {
        clearTimeout(deadline);
        fail(`exited with ${code ?? signal}`);
      });
    });
  }

  /** Another network has nobody else in it. */
  async #isFree(): Promise<boolean> {
    return this.#network !== undefined || isFree(this.port, this.host);
  }

  /** Stops it for good, or until `start()`. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  /** It stands still: the kernel still takes connections for it, and nobody answers. */
  async freeze(): Promise<void> {
    const tasks = `/proc/${this.#process?.pid}/task`;
    const isStopped = (task: string) => / T /.test(readFileSync(join(tasks, task, 'stat'), 'latin1'));
    this.#process?.kill('SIGSTOP');
    // The signal reaches its threads one after the other; until the last one stands, the server may still answer.
    while (!readdirSync(tasks).every(isStopped)) await setImmediate();
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#home, { recursive: true, force: true });
  }
}
