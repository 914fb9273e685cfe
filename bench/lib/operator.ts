// The operator under measurement: the bundle that ships, as a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './cluster.ts';

const root = join(import.meta.dirname, '../..');

/** How the operator names itself to the API server. */
export const OPERATOR_AGENT = 'copilot-operator/';

export interface OperatorProcess extends AsyncDisposable {
  pid: number;
  /** Until its caches are filled and its controllers run. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts `dist/main.js operator` against the current kubeconfig. Its last log lines are shown when it fails. */
export function startOperator(args: string[] = []): OperatorProcess {
  const child = spawn(
    process.execPath,
    [
      join(root, 'dist/main.js'),
      'operator',
      '--leader-elect=false',
      '--metrics-bind-address=127.0.0.1:18080',
      '--health-probe-bind-address=127.0.0.1:18081',
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => lines.push(text));
  }
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await exited;
  };
  return {
    pid: child.pid ?? 0,
    ready: () =>
      until('/readyz of the operator', 30_000, async () => {
        if (child.exitCode !== null)
          throw new Error(`the operator ended with ${child.exitCode}:\n${lines.slice(-20).join('\n')}`);
        try {
          return (await fetch('http://127.0.0.1:18081/readyz')).ok;
        } catch {
          // Not listening yet: `until` names the deadline.
          return false;
        }
      }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
