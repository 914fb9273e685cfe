// Real Copilot servers as child processes on the loopback, each with a home of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { cliPackageCache, serverBinary, type ServerBinary } from './copilot-binary.ts';

/** A port of the loopback that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** One server that can be killed, stopped and started again at the same port with the same state. */
export class CopilotServer implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly port: number;
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
  ) {
    this.#binary = binary;
    this.port = port;
    this.#token = token;
    this.#options = options;
    this.#env = env;
  }

  /**
   * Starts a server with further `options` of its command line and further variables of its environment. Resolves when it listens.
   * Without a token it takes any client. Default of `port`: one that nobody listens on.
   */
  static async start(
    binary: ServerBinary,
    token?: string,
    options: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    port?: number,
  ): Promise<CopilotServer> {
    const server = new CopilotServer(binary, port ?? (await freePort()), token, options, env);
    await server.start();
    return server;
  }

  /** Where it keeps its sessions, one directory each. */
  get sessionState(): string {
    return join(this.#home, '.copilot/session-state');
  }

  async start(): Promise<void> {
    const args = ['--headless', '--host', this.host, '--port', String(this.port), '--no-auto-update', ...this.#options];
    const child = spawn(serverBinary(this.#binary), args, {
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

  /** Stops it for good (SIGKILL), or until `start()`. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
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
