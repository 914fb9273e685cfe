import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { PROJECT } from './tenant-api.ts';
import { waitFor } from './wait.ts';

export interface OperatorOptions {
  serverImage?: string;
  operatorImage?: string;
  /** The one namespace that it looks after. */
  namespace?: string;
  /** Further flags. */
  args?: string[];
}

/** One line of the operator's log. */
export interface LogRecord {
  level: number;
  msg: string;
  name?: string;
  err?: { message: string };
  [field: string]: unknown;
}

/** pino's numbers. */
const ERROR = 50;

export class OperatorProcess {
  readonly log: LogRecord[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => this.log.push(JSON.parse(line) as LogRecord));
    }
  }

  /** Sends SIGTERM and waits; fails when it does not end in order. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    await this.#exited;
    if (this.#child.exitCode !== 0) throw new Error(`the operator ended with ${this.#child.exitCode}:\n${this.tail()}`);
  }

  /** Ends it as a power failure does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Records at level error or above. */
  errors(): LogRecord[] {
    return this.log.filter(({ level }) => level >= ERROR);
  }

  tail(): string {
    return this.log
      .slice(-20)
      .map((record) => JSON.stringify(record))
      .join('\n');
  }
}

/** Runs the operator from source with a kubeconfig; resolves once it works. */
export async function startOperator(
  kubeconfig: string,
  {
    serverImage = 'localhost/copilot-cli:1.0.102',
    operatorImage = 'localhost/copilot-operator:dev',
    namespace,
    args = [],
  }: OperatorOptions = {},
): Promise<OperatorProcess> {
  const flags = [
    `--kubeconfig=${kubeconfig}`,
    `--server-image=${serverImage}`,
    `--operator-image=${operatorImage}`,
    '--leader-elect=false',
    ...(namespace === undefined ? [] : [`--watch-namespaces=${namespace}`]),
    ...args,
  ];
  const child = spawn(process.execPath, [join(PROJECT, 'src/main.ts'), 'operator', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      KUBE_CACHE_MUTATION_DETECTOR: 'true',
      ...(namespace !== undefined && { POD_NAMESPACE: namespace }),
    },
  });
  const operator = new OperatorProcess(child);
  const working = (): boolean => operator.log.some(({ msg }) => msg === 'starting workers');
  await waitFor(
    'the operator works',
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${operator.tail()}`);
      return working();
    },
    { withinMs: 90_000 },
  );
  return operator;
}
