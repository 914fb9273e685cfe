// A program of a page in docs, run as its reader would.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { join } from 'node:path';
import { pythonWithSdk } from './python-sdk.ts';
import { PROJECT } from './tenant-api.ts';

/** Answers each line that it is sent by one line. */
export class PageProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  /** What it has written beside its answers: SDKs log there. */
  #log = '';

  private constructor(child: ChildProcess, output: Interface) {
    this.#child = child;
    this.#lines = output;
    child.stderr?.on('data', (text: Buffer) => (this.#log += text.toString()));
  }

  /** `name`: in the first line of its code block, such as `chat.py`. */
  static async start(page: string, name: string, env: Readonly<Record<string, string>>): Promise<PageProgram> {
    const code = codeOf(page, name);
    const command = name.endsWith('.py')
      ? [await pythonWithSdk(), '-c', code]
      : [process.execPath, '--input-type=module', '--eval', code];
    const [program = '', ...args] = command;
    // Where `npm install` has put the SDK.
    const child = spawn(program, args, {
      cwd: PROJECT,
      env: { PATH: process.env['PATH'], ...env },
      stdio: 'pipe',
    });
    if (child.stdout === null) throw new Error('it has no output');
    return new PageProgram(child, createInterface({ input: child.stdout }));
  }

  /** Sends a line, and resolves to the next one that it prints. */
  async ask(line: string): Promise<string> {
    const answer = once(this.#lines, 'line') as Promise<[string]>;
    this.#child.stdin?.write(`${line}\n`);
    const ended = once(this.#child, 'exit').then(() =>
      Promise.reject(new Error(`the program has ended: ${this.#log}`)),
    );
    const [text] = await Promise.race([answer, ended]);
    return text;
  }

  /** Ends its input, and resolves to its exit code. */
  async end(): Promise<number | null> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

function codeOf(page: string, name: string): string {
  const text = readFileSync(join(PROJECT, page), 'utf8');
  const blocks = [...text.matchAll(/^```\w+\n(?:\/\/|#) (\S+)\n([\s\S]*?)^```$/gm)];
  const code = blocks.find(([, title]) => title === name)?.[2];
  if (code === undefined) throw new Error(`${page} has no code block ${name}`);
  return code;
}
