// The command `gateway`, from source.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { GATEWAY_NAMESPACE } from './gateway-rights.ts';
import { PROJECT } from './tenant-api.ts';
import { waitFor } from './wait.ts';

export class GatewayProcess {
  /** What it has written: its log. */
  output = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    child.stdout?.on('data', (text: Buffer) => (this.output += text.toString()));
  }

  /** Resolves once it accepts clients. `namespace`: its own. */
  static async start(
    kubeconfig: string,
    flags: readonly string[],
    namespace = GATEWAY_NAMESPACE,
  ): Promise<GatewayProcess> {
    const args = [join(PROJECT, 'src/main.ts'), 'gateway', `--kubeconfig=${kubeconfig}`, ...flags];
    const env = { ...process.env, POD_NAMESPACE: namespace };
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
    const gateway = new GatewayProcess(child);
    await waitFor(
      'the gateway accepts clients',
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${gateway.output}`);
        return gateway.output.includes('clients are accepted');
      },
      { withinMs: 30_000 },
    );
    return gateway;
  }

  /** Sends SIGTERM, and resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#exited;
    return this.#child.exitCode;
  }

  /** Nothing of it runs until {@link resume}. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Ends it, if it has not ended. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
