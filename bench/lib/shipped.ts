// The measured process: the shipped bundle, with the flags and the environment of the image.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './cluster.ts';

const root = join(import.meta.dirname, '../..');

/** As in the image. The first start, which is not counted, fills V8's code cache. */
const compileCache = join(tmpdir(), 'copilot-operator-compile-cache');

const GATEWAY = 'charts/copilot-operator/templates/gateway/deployment.yaml';

/** The bundle, and the flags of node and the environment that the image gives a command, or the chart the gateway: the shipped state. */
export function shipped(command = 'operator'): { bundle: string; flags: string[]; env: Record<string, string> } {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const words = command === 'gateway' ? gatewayCommand() : entrypoint(dockerfile);
  // Those of the image, and those of the command alone.
  const variables = [...dockerfile.matchAll(/^ENV (\w+=\S+)$/gm)].map(([, variable = '']) => variable);
  variables.push(...words.filter((word) => /^[A-Z_]+=/.test(word)));
  const env = variables.map((variable) => variable.split('=', 2) as [name: string, value: string]);
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
  /** The lines that it has written so far. */
  log(): string[];
  /** Resolves when `/readyz` says so. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** What is started in place of the bundle as it is. */
export interface Variant {
  /** The bundle of another commit. */
  readonly bundle?: string | undefined;
  /** Further flags of node. */
  readonly flags?: readonly string[];
  /** Further variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a command of the bundle. Its last log lines are shown when it fails. */
export function startShipped(
  command: string,
  args: readonly string[],
  healthPort: number,
  variant: Variant = {},
): ShippedProcess {
  const { bundle, flags, env } = shipped(command);
  const nodeFlags = [...flags, ...(variant.flags ?? [])];
  const child = spawn(process.execPath, [...nodeFlags, variant.bundle ?? bundle, command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, ...variant.env },
  });
  // Taken apart when somebody asks for them: the process that measures shares the cores with the measured one, which may write thousands a second.
  const outputs = [child.stdout, child.stderr].map((stream) => {
    const parts: string[] = [];
    stream.setEncoding('utf8').on('data', (part: string) => parts.push(part));
    return parts;
  });
  const log = (): string[] =>
    // Behind the last line break is one that is not complete.
    outputs.flatMap((parts) => parts.join('').split('\n').slice(0, -1));
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
    log,
    ready: () =>
      until(
        `/readyz of the ${command}`,
        30_000,
        async () => {
          if (child.exitCode !== null)
            throw new Error(`the ${command} ended with ${child.exitCode}:\n${log().slice(-20).join('\n')}`);
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
