/** Runs the protocol of the replicas: Leases, connections between replicas, and time, around the core that decides. */
import type { Logger } from 'pino';
import type { InformerLike } from '../../kube/cache/informer.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import type { Check } from '../../kube/runtime/health-server.ts';
import type { Address } from '../../kube/runtime/listen.ts';
import type { Lease } from '../../kube/types/builtins.ts';
import type { Keys } from '../../kube/types/keys.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { TenantRef } from '../model.ts';
import { Core } from './core.ts';
import { dial } from './dial.ts';
import { expireLease } from './expire-lease.ts';
import { leaseNameOf, seenLeaseOf } from './lease.ts';
import { Link } from './link.ts';
import { isReply, type MemberInfo, type Message } from './messages.ts';
import {
  HomeUnavailableError,
  PeerUnreachableError,
  type ForwardAcceptor,
  type Homes,
  type Peer,
  type Route,
  type RouteOptions,
} from './model.ts';
import { OwnLease } from './own-lease.ts';
import type { PeerObserver } from './peer-observer.ts';
import { PeerServer } from './peer-server.ts';
import { initialState, type Effect } from './state.ts';
import { Waiting } from './waiting.ts';

export interface GatewayPeersOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'update' | 'delete'>;
  /** The Leases of all replicas of this gateway. */
  readonly leases: InformerLike<Lease>;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
  /** Unique for each call: makes the id of a process. */
  readonly newSuffix: () => string;
  readonly log: Logger;
  readonly observer: PeerObserver;
  /** Where the Leases are: the gateway's own namespace. */
  readonly namespace: string;
  /** Name of the pod, or what stands for it: another process of this name takes over its Lease. */
  readonly name: string;
  /** UID of the pod, with which its Lease is deleted; undefined outside of a pod. */
  readonly podUID: string | undefined;
  /** Where to listen. */
  readonly at: Address;
  /** Where peers connect to: the pod's address. The port is the one that was bound. */
  readonly host: string;
}

/** Between two looks at the time, ms. */
const TICK_MS = 500;
/** In which a home is found or the client is told to come again: longer than a Lease, so that a dead replica is found out in it, ms. */
const ROUTE_MS = 20_000;

/** This replica among its peers. */
export class GatewayPeers implements Homes {
  readonly #options: GatewayPeersOptions;
  readonly #core: Core;
  readonly #server: PeerServer;
  readonly #lease: OwnLease;
  readonly #links = new Map<string, Link>();
  readonly #peers = new Map<string, Peer>();
  /** Where answers go: the stream on which the member last asked. */
  readonly #replies = new Map<string, (message: Message) => void>();
  readonly #waiting: Waiting;
  readonly #fenced = new Set<() => void>();
  readonly #gone = new Set<(peer: Peer) => void>();
  #accept: ForwardAcceptor = (stream) => void stream.destroy();
  #port = 0;

  constructor(options: GatewayPeersOptions) {
    this.#options = options;
    const { clock, leases, keys, log, podUID: uid, name } = options;
    this.#core = new Core(initialState(this.#newSelf(), clock.monotonic()));
    this.#waiting = new Waiting(clock, ROUTE_MS, (tenant, isLast) => {
      if (isLast) this.#core.abandon(tenant);
      options.observer.claimed('TimedOut');
      return new HomeUnavailableError('the gateway cannot tell yet which of its replicas serves the tenant; try again');
    });
    this.#server = new PeerServer({
      keys,
      clock,
      log,
      self: () => this.#self,
      message: (from, message, reply) => this.#received(from, message, reply),
      forward: (stream, from) => this.#accept(stream, from),
    });
    this.#lease = new OwnLease({
      ...options,
      content: () => ({
        self: this.#self,
        isDraining: this.#core.state.isDraining,
        pod: uid === undefined ? undefined : { name, uid },
      }),
      renewed: (sentAt) => this.#do(this.#core.renewed(sentAt, clock.monotonic())),
      succeeded: (id) => this.#do(this.#core.succeeds(id, clock.monotonic())),
      lost: () => this.#do(this.#core.leaseLost(clock.monotonic())),
    });
    const changed = (): void => this.#readLeases();
    leases.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
  }

  /** Takes the streams that peers open for clients; without it they are closed. */
  onForward(accept: ForwardAcceptor): void {
    this.#accept = accept;
  }

  /** For `/readyz`: until it has joined, no tenant has a home here. It stays ready when the API server is away later. */
  readonly ready: Check = {
    name: 'peers',
    check: () => ({ ok: this.#hasJoined, message: this.#hasJoined ? '' : 'this replica has not joined its peers yet' }),
  };
  #hasJoined = false;

  /** The port that was bound. */
  get port(): number {
    return this.#port;
  }

  /** Other replicas that may be alive, and tenants whose home this one is. */
  get counts(): { readonly members: number; readonly homes: number } {
    return { members: this.#core.state.members.size, homes: this.#core.state.held.size };
  }

  get mayAct(): boolean {
    return this.#core.mayAct(this.#options.clock.monotonic());
  }

  /** Runs until `stop` aborts; `leave` has to follow. Rejects if it cannot listen. */
  async run(stop: AbortSignal): Promise<void> {
    const { clock, at, keys } = this.#options;
    while (keys.all.length === 0 && !stop.aborted) await this.#rest(stop);
    this.#port = await this.#server.listen(at);
    // Nobody has heard of it yet.
    this.#core.state.self = this.#newSelf();
    this.#readLeases();
    const keeping = this.#lease.run(stop);
    while (!stop.aborted) {
      this.#do(this.#core.tick(clock.monotonic()));
      await this.#rest(stop);
    }
    await keeping;
  }

  /** Tells the others that this replica has ended. To be called when the connections to servers are closed, and `run` has ended. */
  async leave(): Promise<void> {
    this.#do(this.#core.leave(this.#options.clock.monotonic()));
    await this.#lease.release();
    for (const link of this.#links.values()) link.close();
    this.#server.close();
    this.#waiting.rejectAll(new HomeUnavailableError('this replica of the gateway stops'));
  }

  async route(tenant: TenantRef, { isForwarded }: RouteOptions): Promise<Route> {
    const { clock } = this.#options;
    const key = keyOf(tenant);
    const known = this.#core.homeOf(key);
    // One that was forwarded comes from a peer that takes this replica for the home, whatever was learned before.
    const isGood = known === this.#self.id ? this.mayAct : !isForwarded;
    if (known !== undefined && isGood) return this.#routeTo(known);
    const waits = this.#waiting.wait(key);
    this.#do(this.#core.search(key, isForwarded, clock.monotonic()));
    return this.#routeTo(await waits);
  }

  misrouted(tenant: TenantRef, peer: Peer): void {
    this.#core.forget(keyOf(tenant), peer.id);
  }

  release(tenant: TenantRef): void {
    this.#do(this.#core.release(keyOf(tenant), this.#options.clock.monotonic()));
  }

  onFenced(listener: () => void): () => void {
    this.#fenced.add(listener);
    return () => this.#fenced.delete(listener);
  }

  onPeerGone(listener: (peer: Peer) => void): () => void {
    this.#gone.add(listener);
    return () => this.#gone.delete(listener);
  }

  drain(): void {
    this.#do(this.#core.drain(this.#options.clock.monotonic()));
    this.#lease.changed();
  }

  get #self(): MemberInfo {
    return this.#core.state.self;
  }

  #newSelf(): MemberInfo {
    const { name, host, newSuffix } = this.#options;
    const address = `${host.includes(':') ? `[${host}]` : host}:${this.#port}`;
    return { id: `${name}.${newSuffix()}`, lease: leaseNameOf(name), address };
  }

  #readLeases(): void {
    const { leases, clock } = this.#options;
    // Before it listens it connects to nobody: its address would be one where nobody can reach it.
    if (!leases.hasSynced() || this.#port === 0) return;
    const seen = [...leases.store.list()].flatMap((lease) => seenLeaseOf(lease) ?? []);
    this.#do(this.#core.leases(seen, clock.monotonic()));
  }

  #received(from: MemberInfo, message: Message, reply?: (message: Message) => void): void {
    if (reply !== undefined) this.#replies.set(from.id, reply);
    this.#do(this.#core.received(from, message, this.#options.clock.monotonic()));
  }

  #do(effects: readonly Effect[]): void {
    // Answers come while this runs only by way of the event loop, so the order of effects stays.
    for (const effect of effects) this.#doOne(effect);
    this.#keepLinks();
    this.#hasJoined ||= this.#core.state.isJoined && this.#core.state.isActing;
  }

  #doOne(effect: Effect): void {
    const { log, observer, clock } = this.#options;
    switch (effect.kind) {
      case 'Send':
        return this.#send(effect.to, effect.message);
      case 'Expire':
        void expireLease(effect, this.#options).then((result) => {
          if (result === 'Deleted')
            log.warn({ peer: effect.member.id }, 'a peer does not answer and its Lease has expired: it is dead');
          this.#do(this.#core.expired(effect.member.id, result, clock.monotonic()));
        });
        return;
      case 'Decided':
        observer.claimed(effect.home === this.#self.id ? 'Here' : 'Peer');
        return this.#waiting.resolve(effect.tenant, effect.home);
      case 'Fenced':
        observer.fenced();
        log.warn('this replica may be taken for dead by others: it gives up all tenants');
        for (const listener of this.#fenced) listener();
        return;
      case 'Gone':
        return this.#end(effect.id);
      case 'Lost':
        return this.#begin();
    }
  }

  #send(to: string, message: Message): void {
    if (isReply(message)) this.#replies.get(to)?.(message);
    else this.#links.get(to)?.send(message);
  }

  /** Takes another id: this one is dead for others, or may be. */
  #begin(): void {
    const { log, clock } = this.#options;
    const before = this.#self.id;
    this.#core.reborn(this.#newSelf(), clock.monotonic());
    log.warn(
      { before, id: this.#self.id },
      'the Lease of this replica is lost: it joins its peers again under another id',
    );
    // They were opened under the id before.
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#server.endControls();
    this.#lease.forget();
  }

  #end(id: string): void {
    this.#links.get(id)?.close();
    this.#links.delete(id);
    this.#replies.delete(id);
    // Also one that nothing was forwarded to may have forwarded clients here.
    const peer = this.#peers.get(id) ?? gone(id);
    this.#peers.delete(id);
    this.#options.log.info({ peer: id }, 'a peer is gone');
    for (const listener of this.#gone) listener(peer);
  }

  /** A link to each member. */
  #keepLinks(): void {
    for (const member of this.#core.state.members.values()) {
      if (!this.#links.has(member.id)) this.#links.set(member.id, this.#link(member));
    }
  }

  #link({ id, lease, address }: MemberInfo): Link {
    const { clock, log } = this.#options;
    const member = { id, lease, address };
    let wasDown = false;
    log.info({ peer: id, address }, 'a peer is known');
    return new Link({
      ...this.#options,
      member,
      self: () => this.#self,
      up: () => {
        wasDown = false;
        this.#do(this.#core.reachable(id, clock.monotonic()));
      },
      message: (message) => this.#received(member, message),
      down: (why) => {
        if (!wasDown) log.warn({ peer: id, error: why }, 'there is no connection to a peer');
        wasDown = true;
      },
      quiet: () => {
        for (const listener of this.#gone) listener(this.#peers.get(id) ?? gone(id));
      },
    });
  }

  #routeTo(id: string): Route {
    if (id === this.#self.id) return 'Here';
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    const member = this.#core.state.members.get(id);
    if (member === undefined) throw new HomeUnavailableError('the replica that served the tenant is gone; try again');
    const { address, lease } = member;
    const peer: Peer = {
      id,
      connect: (purpose) => dial({ id, address, lease }, purpose, { ...this.#options, self: () => this.#self }),
    };
    this.#peers.set(id, peer);
    return peer;
  }

  async #rest(stop: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(TICK_MS, stop).catch((error: unknown) => {
      if (!stop.aborted) throw error;
    });
  }
}

function gone(id: string): Peer {
  return { id, connect: () => Promise.reject(new PeerUnreachableError(`${id} is gone`)) };
}
