/** Messages to clients that hear nothing for a while, for proxies that end what is silent. */
import type { Timer } from '../../kube/clock/clock.ts';
import type { Timers } from '../../copilot/index.ts';

/**
 * A notification of which clients take no notice: JSON-RPC peers may ignore a notification whose method begins with `$/`, and both SDKs
 * were measured to (test/integration/gateway/features.test.ts and python.test.ts). Proxies that end TCP themselves do not pass TCP keepalive on.
 */
export const KEEPALIVE_MESSAGE = JSON.stringify({ jsonrpc: '2.0', method: '$/keepalive' });

/** Who may need a message. */
export interface KeptAlive {
  /** Sends the message if nothing was sent since the last call. */
  keepAlive(): void;
}

/** Looks at all connections twice an interval, so that each gets something at least once in it. */
export class Keepalive {
  readonly #timers: Timers;
  readonly #everyMs: number;
  readonly #connections: Iterable<KeptAlive>;
  #timer: Timer | undefined;

  constructor(timers: Timers, everyMs: number, connections: Iterable<KeptAlive>) {
    this.#timers = timers;
    this.#everyMs = everyMs;
    this.#connections = connections;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer = this.#timers.setTimer(this.#everyMs / 2, () => {
      for (const connection of this.#connections) connection.keepAlive();
      this.#arm();
    });
  }
}
