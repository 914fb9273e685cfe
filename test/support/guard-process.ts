// The command `guard`, from source, in front of a Copilot server of this machine.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './copilot-server.ts';
import { PROJECT } from './tenant-api.ts';
import { waitFor } from './wait.ts';

export interface GuardProcessOptions {
  /** `namespace/name`. */
  readonly tenant: string;
  /** `namespace/name` of the server. */
  readonly server: string;
  readonly podUID: string;
  readonly cli: { readonly host: string; readonly port: number };
  /** The shared volume. */
  readonly sessions: string;
  /** The file of the public keys. */
  readonly keyFile: string;
}

export class GuardProcess implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly #options: GuardProcessOptions;
  readonly #state = mkdtempSync(join(tmpdir(), 'copilot-operator-guard-'));
  #child: ChildProcess | undefined;

  private constructor(port: number, options: GuardProcessOptions) {
    this.port = port;
    this.#options = options;
  }

  /** Resolves when it listens. */
  static async start(options: GuardProcessOptions): Promise<GuardProcess> {
    const guard = new GuardProcess(await freePort(), options);
    await guard.restart();
    return guard;
  }

  /** Another process, after the one before was killed, with what that remembered. Resolves when it listens. */
  async restart(): Promise<void> {
    const { tenant, server, podUID, cli, sessions, keyFile } = this.#options;
    const args = [
      join(PROJECT, 'src/main.ts'),
      'guard',
      `--tenant=${tenant}`,
      `--server-name=${server}`,
      `--pod-uid=${podUID}`,
      `--listen-port=${this.port}`,
      `--server=${cli.host}:${cli.port}`,
      `--state-dir=${this.#state}`,
      `--sessions-dir=${sessions}`,
      `--key-file=${keyFile}`,
      '--health-port=0',
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    const listens = () => {
      if (child.exitCode !== null) throw new Error(`the guard ended with ${child.exitCode}: ${output}`);
      return output.includes('guards the server');
    };
    await waitFor('the guard listens', listens, { withinMs: 30_000 });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#state, { recursive: true, force: true });
  }
}
