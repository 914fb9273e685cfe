/** The internal port of a gateway that says of drains what the test says. */
import { randomBytes } from 'node:crypto';
import pino from 'pino';
import type { KubeClient } from '../../src/kube/client/client.ts';
import { InternalPortServer } from '../../src/kube/runtime/internal-port.ts';
import type { EndpointSlice } from '../../src/kube/types/builtins.ts';
import type { DrainLine } from '../../src/resources/gateway-internal.ts';
import { askDrains } from '../../src/tenant/ask-gateway.ts';
import { GatewayDrains } from '../../src/tenant/gateway-drains.ts';

export class DrainPort implements AsyncDisposable {
  /** What it answers to `/drains`. */
  lines: DrainLine[] = [];
  /** Paths that were asked for. */
  readonly asked: (string | undefined)[] = [];
  readonly #keys = { all: [{ id: 'key', key: randomBytes(32) }] };
  readonly #server = new InternalPortServer({
    keys: this.#keys,
    log: pino({ level: 'silent' }),
    handle: async (request, response) => {
      this.asked.push(request.url);
      response.end(JSON.stringify({ drains: this.lines }));
    },
  });
  #port = 0;

  static async start(): Promise<DrainPort> {
    const port = new DrainPort();
    port.#port = await port.#server.listen({ host: '127.0.0.1', port: 0 });
    return port;
  }

  /** An operator's drains, which ask this port as the only replica. The test polls. */
  drains(tokenFile: string, monotonic: () => number = () => 0): GatewayDrains {
    const at = { port: this.#port, tokenFile, keys: this.#keys };
    const endpoints = [{ addresses: ['127.0.0.1'], conditions: { ready: true } }];
    const listAll = () => Promise.resolve({ items: [{ endpoints } as unknown as EndpointSlice], metadata: {} });
    return new GatewayDrains({
      client: { listAll } as unknown as Pick<KubeClient, 'listAll'>,
      clock: { sleep: () => Promise.resolve(), monotonic },
      log: { warn: (fields) => void this.asked.push(JSON.stringify(fields)) },
      namespace: 'operator',
      service: 'copilot-gateway',
      ask: (address, signal) => askDrains(address, at, signal),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}
