/** Replicas of the gateway in this process that agree on the home by a real API server, over networks that can be cut. */
import { setTimeout } from 'node:timers/promises';
import type { NamedKey } from '../../src/kube/types/keys.ts';
import type { ApiServer } from './apiserver.ts';
import { GatewayInProcess, type GatewayInProcessOptions } from './gateway.ts';
import { ACME, PeerReplica } from './peer-replica.ts';
import { waitFor } from './wait.ts';

/** One replica. */
export interface AgreeingGateway {
  readonly peer: PeerReplica;
  readonly gateway: GatewayInProcess;
}

export class AgreeingGateways implements AsyncDisposable {
  /** How often two of them were seen with a connection to a server. */
  overlaps = 0;
  /** How often one alone was. */
  alone = 0;
  readonly #replicas = new Map<string, AgreeingGateway>();
  readonly #ended = new AbortController();

  /** Replicas of these names that know each other. The first one is the home of the tenant. */
  static async start(
    api: ApiServer,
    keys: readonly NamedKey[],
    names: readonly string[],
    options: GatewayInProcessOptions,
  ): Promise<AgreeingGateways> {
    const all = new AgreeingGateways();
    for (const name of names) {
      const peer = await PeerReplica.start(api, name, keys);
      const gateway = await GatewayInProcess.start({ ...options, homes: peer.peers });
      peer.peers.onForward(gateway.accept);
      all.#replicas.set(name, { peer, gateway });
    }
    for (const { peer } of all.#replicas.values()) {
      await waitFor('they know each other', () => peer.peers.counts.members === names.length - 1);
    }
    await all.of(names[0] ?? '').peer.claim(ACME);
    void all.#watch();
    return all;
  }

  of(name: string): AgreeingGateway {
    const found = this.#replicas.get(name);
    if (found === undefined) throw new Error(`there is no replica ${name}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    for (const { gateway } of this.#replicas.values()) await gateway[Symbol.asyncDispose]();
    for (const { peer } of this.#replicas.values()) await peer.stop();
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const connected = [...this.#replicas.values()].filter(({ gateway }) => gateway.isConnected);
      if (connected.length > 1) this.overlaps += 1;
      if (connected.length === 1) this.alone += 1;
      await setTimeout(2);
    }
  }
}
