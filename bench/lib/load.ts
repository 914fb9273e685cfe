// Orders for the process that loads a server, and what it reports.
import { startChild } from './child.ts';
import type { Door } from './gateway-world.ts';

export interface LoadOrder extends Door {
  /**
   * `ask`: each connection has one request under way. `stream`: each has a turn under way. `admit`: connections that are closed when they
   * are admitted. `hold`: connections that stay, spread over `seconds`. `drop`: closes those. `read`: each connection sends `prompt` once and
   * reads what is streamed to it. `stall`: the same, and it reads nothing.
   */
  readonly work: 'ask' | 'stream' | 'admit' | 'hold' | 'drop' | 'read' | 'stall';
  readonly connections: number;
  readonly seconds: number;
  /** Between an answer and the next request, for `ask`; default: none. */
  readonly pauseMs?: number;
  /** For `read` and `stall`. */
  readonly prompt?: string;
}

export interface LoadReport {
  /** Requests, frames or connections. */
  readonly count: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Of the loading process, in seconds. */
  readonly cpu: number;
  /** Of a request, in ms. */
  readonly p50: number;
  readonly p99: number;
}

export interface Load extends AsyncDisposable {
  run(order: LoadOrder): Promise<LoadReport>;
}

export async function startLoad(): Promise<Load> {
  const child = startChild('load-process.ts');
  await child.message();
  return {
    run: async (order) => {
      const report = child.message<LoadReport | { error: string }>();
      child.process.send(order);
      const found = await report;
      if ('error' in found) throw new Error(`${order.work} at port ${order.port}: ${found.error}`);
      return found;
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
