/** A network of its own whose only addresses are of IPv6, as the pods of a cluster with IPv6 alone have. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export class IPv6OnlyNetwork implements AsyncDisposable {
  /** The address that a kubelet and a Service would reach a pod at. */
  readonly address = 'fd00:88::a';
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(): Promise<IPv6OnlyNetwork> {
    // Held open by a process, which ends with this one.
    const holder = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', '--net', 'sh', '-c', 'echo made; exec sleep infinity'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const network = new IPv6OnlyNetwork(holder);
    await once(holder.stdout ?? holder, 'data');
    network.#ip('link', 'set', 'lo', 'up');
    network.#ip('address', 'delete', '127.0.0.1/8', 'dev', 'lo');
    network.#ip('address', 'add', `${network.address}/128`, 'dev', 'lo', 'nodad');
    return network;
  }

  /** The command line that runs a program in it. */
  enter(program: string, ...args: readonly string[]): [string, string[]] {
    return ['nsenter', [`--net=/proc/${this.#holder.pid}/ns/net`, '--', program, ...args]];
  }

  /** Runs a program in it to its end. */
  run(
    program: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): { code: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync(...this.enter(program, ...args), { env, encoding: 'utf8' });
    return { code: status, output: stdout + stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill('SIGKILL');
    await once(this.#holder, 'exit');
  }

  #ip(...args: string[]): void {
    const { code, output } = this.run('ip', args);
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${output}`);
  }
}
