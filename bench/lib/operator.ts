// The measured operator: the shipped bundle, as a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { FIELD_MANAGER } from '../../src/api/names.ts';
import { recordsSince, type AuditMark, type AuditRecord } from '../../test/support/audit.ts';
import { until } from './cluster.ts';

const root = join(import.meta.dirname, '../..');

/** Requests of the measured operator to the API server; those of an operator in the cluster have a pod. */
export function operatorRequestsSince(mark: AuditMark): AuditRecord[] {
  const requests = recordsSince(mark, `"userAgent":"${FIELD_MANAGER}"`).filter(({ pod }) => pod === undefined);
  return requests.filter(({ userAgent }) => userAgent === FIELD_MANAGER);
}

/** As in the image. The first start, which is not counted, fills V8's code cache. */
const compileCache = join(tmpdir(), 'copilot-operator-compile-cache');

/** The bundle, and the flags of node and the environment of the image, so that the shipped state is measured. */
export function shipped(): { bundle: string; flags: string[]; env: Record<string, string> } {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const entrypoint = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1];
  if (entrypoint === undefined) throw new Error('Dockerfile: no ENTRYPOINT in exec form');
  const flags = (JSON.parse(entrypoint) as string[]).filter((word) => word.startsWith('--'));
  const env = [...dockerfile.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  return {
    bundle: join(root, 'dist/main.js'),
    flags,
    env: { ...Object.fromEntries(env), NODE_COMPILE_CACHE: compileCache },
  };
}

export interface OperatorProcess extends AsyncDisposable {
  pid: number;
  /** Resolves when its caches are filled and its controllers run. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts `dist/main.js operator` against the current kubeconfig. Its last log lines are shown when it fails. */
export function startOperator(args: string[] = []): OperatorProcess {
  const { bundle, flags, env } = shipped();
  const child = spawn(
    process.execPath,
    [
      ...flags,
      bundle,
      'operator',
      '--leader-elect=false',
      '--server-image=localhost/copilot-cli:1.0.102',
      '--operator-image=localhost/copilot-operator:dev',
      '--metrics-bind-address=127.0.0.1:18080',
      '--health-probe-bind-address=127.0.0.1:18081',
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
  );
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => lines.push(text));
  }
  // A benchmark that fails must not leave a running operator behind.
  const kill = (): unknown => child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'exit').finally(() => process.off('exit', kill));
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
