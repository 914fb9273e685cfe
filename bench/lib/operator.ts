// The operator under measurement: the bundle that ships, as a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/kube/clock.ts';

const root = join(import.meta.dirname, '../..');

export interface OperatorProcess extends AsyncDisposable {
  pid: number;
  /** ms from the start of the process until a log line holds `text`. */
  logged(text: string, deadlineMs?: number): Promise<number>;
  stop(): Promise<void>;
}

/** Starts `dist/main.js operator` against the current kubeconfig. Its log lines are kept for `logged`. */
export function startOperator(args: string[] = []): OperatorProcess {
  const started = performance.now();
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
  const lines: { at: number; text: string }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => lines.push({ at: performance.now() - started, text }));
  }
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await exited;
  };
  return {
    pid: child.pid ?? 0,
    async logged(text, deadlineMs = 30_000) {
      const deadline = performance.now() + deadlineMs;
      for (;;) {
        const found = lines.find((line) => line.text.includes(text));
        if (found) return found.at;
        if (child.exitCode !== null || performance.now() > deadline) {
          throw new Error(
            `operator never logged '${text}'; its last lines:\n${lines
              .slice(-20)
              .map((line) => line.text)
              .join('\n')}`,
          );
        }
        await systemClock.sleep(5);
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
