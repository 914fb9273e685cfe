// The measured process: the shipped bundle, with the flags and the environment of the image.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './cluster.ts';

const root = join(import.meta.dirname, '../..');

/** As in the image. The first start, which is not counted, fills V8's code cache. */
const compileCache = join(tmpdir(), 'copilot-operator-compile-cache');

const GATEWAY = 'charts/copilot-operator/templates/gateway/deployment.yaml';

/** The bundle, and the flags of node and the environment that the image gives a command, or the chart the gateway: the shipped state. */
export function shipped(command = 'operator'): { bundle: string; flags: string[]; env: Record<string, string> } {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const words = command === 'gateway' ? gatewayCommand() : entrypoint(dockerfile);
  const env = [...dockerfile.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  return {
    bundle: join(root, 'dist/main.js'),
    flags: words.filter((word) => word.startsWith('--')),
    env: { ...Object.fromEntries(env), NODE_COMPILE_CACHE: compileCache },
  };
}

function entrypoint(dockerfile: string): string[] {
  const found = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1];
  if (found === undefined) throw new Error('Dockerfile: no ENTRYPOINT in exec form');
  return JSON.parse(found) as string[];
}

function gatewayCommand(): string[] {
  const found = /^ +command: \[(.*)\]$/m.exec(readFileSync(join(root, GATEWAY), 'utf8'))?.[1];
  if (found === undefined) throw new Error(`${GATEWAY}: no command in one line`);
  return found.split(', ');
}

export interface ShippedProcess extends AsyncDisposable {
  pid: number;
  /** Resolves when `/readyz` says so. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a command of the bundle. Its last log lines are shown when it fails. */
export function startShipped(command: string, args: readonly string[], healthPort: number): ShippedProcess {
  const { bundle, flags, env } = shipped(command);
  const child = spawn(process.execPath, [...flags, bundle, command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => lines.push(text));
  }
  // A benchmark that fails must not leave a running process behind.
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
      until(
        `/readyz of the ${command}`,
        30_000,
        async () => {
          if (child.exitCode !== null)
            throw new Error(`the ${command} ended with ${child.exitCode}:\n${lines.slice(-20).join('\n')}`);
          try {
            return (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok;
          } catch {
            // Not listening yet: `until` names the deadline.
            return false;
          }
        },
        10,
      ),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
