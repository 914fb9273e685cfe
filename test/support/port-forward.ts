import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Forward extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
}

/** Forwards a free local port to a port of a Service, such as `service/acme`, or of a pod of something else by `kubectl`, until disposed. */
export async function portForward(kubectl: string, namespace: string, target: string, port: number): Promise<Forward> {
  const args = ['port-forward', '--namespace', namespace, target, `:${port}`];
  const child = spawn(kubectl, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface(child.stdout);
  const forwarding = new Promise<number>((resolve) => {
    // Goes on reading: kubectl stops when nobody takes its line about each connection.
    lines.on('line', (line) => {
      const local = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (local !== undefined) resolve(Number(local));
    });
  });
  const started = await Promise.race([forwarding, exited]);
  if (typeof started !== 'number')
    throw new Error(`kubectl could not forward to ${target} in ${namespace} (see above)`);
  return {
    port: started,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
    },
  };
}
