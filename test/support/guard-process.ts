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
  readonly #state: string;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(port: number, state: string, child: ChildProcess) {
    this.port = port;
    this.#state = state;
    this.#child = child;
    child.stdout?.on('data', (text: Buffer) => (this.#output += text.toString()));
  }

  /** Resolves when it listens. */
  static async start({ tenant, server, podUID, cli, sessions, keyFile }: GuardProcessOptions): Promise<GuardProcess> {
    const port = await freePort();
    const state = mkdtempSync(join(tmpdir(), 'copilot-operator-guard-'));
    const args = [
      join(PROJECT, 'src/main.ts'),
      'guard',
      `--tenant=${tenant}`,
      `--server-name=${server}`,
      `--pod-uid=${podUID}`,
      `--listen-port=${port}`,
      `--server=${cli.host}:${cli.port}`,
      `--state-dir=${state}`,
      `--sessions-dir=${sessions}`,
      `--key-file=${keyFile}`,
      '--health-port=0',
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const guard = new GuardProcess(port, state, child);
    const listens = () => {
      if (child.exitCode !== null) throw new Error(`the guard ended with ${child.exitCode}: ${guard.#output}`);
      return guard.#output.includes('guards the server');
    };
    await waitFor('the guard listens', listens, { withinMs: 30_000 });
    return guard;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#state, { recursive: true, force: true });
  }
}
