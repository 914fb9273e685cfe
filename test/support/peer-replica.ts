import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { GatewayPeers, type GatewayPeersOptions } from '../../src/gateway/peers/gateway-peers.ts';
import { PEER_LEASES } from '../../src/gateway/peers/lease.ts';
import type { Route } from '../../src/gateway/peers/model.ts';
import { Informer } from '../../src/kube/cache/informer.ts';
import { sleepOn, systemClock, type Clock } from '../../src/kube/clock/clock.ts';
import { Lease } from '../../src/kube/types/builtins.ts';
import type { NamedKey } from '../../src/kube/types/keys.ts';
import type { ApiServer } from './apiserver.ts';
import { freePort } from './copilot-server.ts';
import { FaultProxy } from './fault-proxy.ts';
import { connect } from './kube.ts';
import { TcpGate } from './tcp-gate.ts';
import { waitFor } from './wait.ts';

/** So many times faster than real time. */
const SPEED = 4;
export const PEERS_NAMESPACE = 'default';
/** The home of it is looked for. */
export const ACME = { namespace: 'team', name: 'acme' };

/** Time that runs faster, so that Leases need not be waited for. */
export const fastClock: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * SPEED,
  setTimer: (ms, fn) => systemClock.setTimer(ms / SPEED, fn),
  sleep: (ms, signal) => sleepOn(fastClock, ms, signal),
};

let hosts = 1;

/** One replica in this process, which reaches the API server, and is reached by its peers, through networks that can be cut. */
export class PeerReplica {
  readonly name: string;
  readonly peers: GatewayPeers;
  /** Where its peers connect to. */
  readonly address: string;
  readonly log: string[] = [];
  /** When it was fenced, monotonic ms. */
  readonly fencedAt: number[] = [];
  readonly #stop = new AbortController();
  readonly #proxy: FaultProxy;
  readonly #gate: TcpGate;
  readonly #end: () => Promise<unknown>;

  private constructor(
    name: string,
    address: string,
    peers: GatewayPeers,
    log: string[],
    proxy: FaultProxy,
    gate: TcpGate,
    end: () => Promise<unknown>,
  ) {
    this.name = name;
    this.address = address;
    this.peers = peers;
    this.log = log;
    this.#proxy = proxy;
    this.#gate = gate;
    this.#end = end;
    peers.onFenced(() => void this.fencedAt.push(systemClock.monotonic()));
  }

  /** Resolves once it has joined, unless `isAlone`. */
  static async start(
    api: ApiServer,
    name: string,
    keys: readonly NamedKey[],
    options: Partial<GatewayPeersOptions> & { readonly mayFail?: boolean } = {},
  ): Promise<PeerReplica> {
    const proxy = await FaultProxy.start(api);
    const { client, transport } = connect(api.kubeconfig({ server: proxy.url }));
    const informer = new Informer({
      client,
      type: Lease,
      clock: systemClock,
      random: Math.random,
      namespaces: [PEERS_NAMESPACE],
      labelSelector: PEER_LEASES,
    });
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const port = await freePort();
    hosts += 1;
    const host = `127.0.0.${hosts}`;
    const gate = await TcpGate.start({ host, port }, { host: '127.0.0.1', port });
    const peers = new GatewayPeers({
      client,
      leases: informer,
      keys: { all: keys },
      clock: fastClock,
      random: Math.random,
      newSuffix: () => randomUUID().slice(0, 8),
      log,
      observer: { claimed: () => undefined, fenced: () => undefined },
      namespace: PEERS_NAMESPACE,
      name,
      podUID: undefined,
      at: { host: '127.0.0.1', port },
      host,
      ...options,
    });
    const caches = new AbortController();
    const watching = informer.run(caches.signal);
    await informer.waitForSync(caches.signal);
    const replica: PeerReplica = new PeerReplica(name, `${host}:${port}`, peers, lines, proxy, gate, async () => {
      await running;
      await peers.leave();
      caches.abort();
      await watching;
      await transport.close();
      await proxy.stop();
      gate.stop();
    });
    const running = peers.run(replica.#stop.signal);
    if (options.mayFail !== true) await waitFor(`${name} has joined`, () => peers.ready.check().ok);
    return replica;
  }

  /** `Here`, or the name of the replica that is the home. */
  async home(tenant = ACME, isForwarded = false): Promise<string> {
    return nameOf(await this.peers.route(tenant, { isForwarded }));
  }

  /** Becomes the home, as if a peer had sent a client. */
  claim(tenant = ACME): Promise<string> {
    return this.home(tenant, true);
  }

  /** No request reaches the API server any more, and no answer of it arrives. */
  cutOffFromApi(): void {
    this.#proxy.inject({}, { kind: 'reset' }, { times: Infinity });
    this.#proxy.breakWatches({}, 'reset');
  }

  reconnectToApi(): void {
    this.#proxy.clearFaults();
  }

  /** Peers do not reach it any more. */
  cutOffFromPeers(): void {
    this.#gate.cut();
  }

  /** The connections that peers have to it are half open from now on. */
  stallPeers(): void {
    this.#gate.stall();
  }

  /** What peers say to it is lost, and they are not told. */
  silencePeers(): void {
    this.#gate.silence();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#end();
  }

  reconnectToPeers(): void {
    this.#gate.mend();
  }

  /** Nothing of it is heard of any more; it ends without having said so to the others. */
  async crash(...others: readonly PeerReplica[]): Promise<void> {
    this.cutOffFromApi();
    for (const replica of [this, ...others]) replica.cutOffFromPeers();
    await this.stop();
    for (const other of others) other.reconnectToPeers();
  }
}

/** The name in the id of a peer. */
export function nameOf(route: Route): string {
  return route === 'Here' ? route : route.id.slice(0, route.id.lastIndexOf('.'));
}
