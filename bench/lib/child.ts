import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface Child extends AsyncDisposable {
  process: ChildProcess;
  pid: number;
  /** The next message that it sends; fails when it ends instead. */
  message<T>(): Promise<T>;
}

/** Runs a module of bench/lib as a process of its own, with a channel to it. */
export function startChild(module: string, args: string[] = []): Child {
  const child = fork(join(import.meta.dirname, module), args);
  const exited = once(child, 'exit');
  return {
    process: child,
    pid: child.pid ?? 0,
    async message<T>() {
      const ended = exited.then(([code]) => {
        throw new Error(`${module} ended with ${String(code)}`);
      });
      const [message] = (await Promise.race([once(child, 'message'), ended])) as [T];
      return message;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
