import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** kubectl or helm: the local cluster's, or with CLUSTER=current the one in the PATH. */
export function toolPath(name: 'kubectl' | 'helm'): string {
  if (process.env['CLUSTER'] === 'current') return name;
  const path = join(import.meta.dirname, '../../.cluster/bin', name);
  return existsSync(path) ? path : name;
}

/** Runs a program to its end. The caller checks the exit code. */
export async function run(program: string, args: string[], { input = '' } = {}): Promise<Outcome> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  // A program may exit without reading its input.
  child.stdin.once('error', () => undefined).end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

/** Standard output of a program that must succeed. */
export async function output(program: string, args: string[], options?: { input?: string }): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}

/** kubectl as the identity of a kubeconfig, with a discovery cache that no other test sees. */
export function kubectlWith(kubeconfig: string) {
  const identity = ['--kubeconfig', kubeconfig, '--cache-dir', `${kubeconfig}-cache`];
  return {
    /** Standard output; throws when kubectl fails. */
    ok: (args: string[], input?: unknown) => output(toolPath('kubectl'), [...identity, ...args], stdin(input)),
    /** The outcome, success or not. */
    try: (args: string[], input?: unknown) => run(toolPath('kubectl'), [...identity, ...args], stdin(input)),
  };
}
export type Kubectl = ReturnType<typeof kubectlWith>;

const stdin = (input: unknown) => ({
  input: input === undefined ? '' : typeof input === 'string' ? input : JSON.stringify(input),
});
