/** The relay of one replica among several: each client is served by the home of its tenant, whichever replica that is (docs/adr/0038-clients-at-any-replica.md). */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Isolation } from '../../api/names.ts';
import { LruMap } from '../../kube/cache/lru.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import type { UnreadMemory } from '../client/unread-memory.ts';
import { Members, type Member } from '../members.ts';
import type {
  ClientHandler,
  ClientLink,
  CloseReason,
  Fleet,
  GatewayTenant,
  MethodRules,
  Relay,
  DrainProgress,
  ServerSummary,
  SessionSummary,
  TenantUses,
} from '../model.ts';
import type { WakeAsk } from '../../resources/operator-internal.ts';
import { HomeUnavailableError, type ForwardAcceptor, type Homes, type Peer } from '../peers/model.ts';
import type { ClientState } from '../relay/setup/client-state.ts';
import type { RelayLog } from '../relay/model.ts';
import type { ClosableRelay } from '../relay/relay.ts';
import { ForwardLeg, NotHomeError } from './forward-leg.ts';
import { ForwardedClient } from './forwarded-client.ts';
import { LocalLeg, type Leg, type LegClient } from './leg.ts';
import { HeldMemory } from './held-frames.ts';
import { FORWARD_LIMITS, type ForwardLimits } from './limits.ts';
import { VERSION, type ClientMessage } from './messages.ts';
import type { ForwardObserver } from './observer.ts';
import type { Resident } from './resident.ts';
import { Residents } from './residents.ts';
import { RoutedClient } from './routed-client.ts';

export interface RoutedRelayOptions {
  /** Serves the tenants whose home this replica is. */
  readonly relay: ClosableRelay;
  readonly homes: Homes;
  readonly fleet: Pick<Fleet, 'find'>;
  readonly rules: Readonly<Record<Isolation, Pick<MethodRules, 'ruleOf'>>>;
  /** The memory for what clients have yet to read, of this process. */
  readonly unread: UnreadMemory;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: RelayLog;
  readonly observer: ForwardObserver;
  readonly limits?: Partial<ForwardLimits>;
  readonly newId?: () => string;
}

/** Clients that were cut, of which that is remembered until their holder comes with them again. */
const REMEMBERED_CUTS = 1000;
/** Peers of another version of which it is remembered that they were logged. */
const REMEMBERED_PEERS = 100;

/** The clients that are connected here, and those that peers forward. */
export class RoutedRelay implements Relay {
  readonly #options: RoutedRelayOptions;
  readonly #limits: ForwardLimits;
  readonly #residents: Residents;
  readonly #held: HeldMemory;
  /** Clients that are connected here and have their home at a peer, by the peer's id. */
  readonly #forwarded = new Map<string, Members<ForwardLeg>>();
  /** Clients that peers hold. */
  readonly #taken = new Members<ForwardedClient>();
  /** By the id of a client that a peer holds, why its connection is to be closed. */
  readonly #cut = new LruMap<string, CloseReason>(REMEMBERED_CUTS);
  /** Peers of another version, each told of once. */
  readonly #foreign = new LruMap<string, true>(REMEMBERED_PEERS);
  readonly #endListening: (() => void)[];

  constructor(options: RoutedRelayOptions) {
    this.#options = options;
    this.#limits = { ...FORWARD_LIMITS, ...options.limits };
    this.#residents = new Residents({ ...options, limits: this.#limits });
    this.#held = new HeldMemory(this.#limits.heldTotalBytes);
    const { homes } = options;
    this.#endListening = [
      homes.onFenced(() => this.#residents.fence()),
      homes.onPeerGone((peer) => this.#peerGone(peer)),
    ];
  }

  /** Clients that are connected here and served by a peer, and those that peers hold and this replica serves. */
  get counts(): { readonly toPeers: number; readonly fromPeers: number } {
    const toPeers = [...this.#forwarded.values()].reduce((sum, legs) => sum + legs.size, 0);
    return { toPeers, fromPeers: this.#taken.size };
  }

  attach(link: ClientLink): ClientHandler {
    const { fleet, rules, clock, random, log, observer, newId = randomUUID } = this.#options;
    const tenant = fleet.find(link.identity.tenant);
    return new RoutedClient({
      link,
      rules: rules[tenant?.isolation ?? 'Dedicated'],
      clock,
      random,
      newId,
      limits: this.#limits,
      heldMemory: this.#held,
      log,
      observer,
      open: (client, before, resident) => this.#open(client, before, resident, tenant),
      left: (resident) => this.#residents.remove(link.identity.tenant, resident),
    });
  }

  /** Takes a client that a peer forwards. */
  readonly accept: ForwardAcceptor = (stream: Duplex, from: string): void => {
    const client = new ForwardedClient({
      stream,
      from,
      timers: this.#options.clock,
      limits: this.#limits,
      unread: this.#options.unread,
      presented: (presented, message) => void this.#presented(presented, message),
      foreign: () => this.#tellForeign(from),
      cut: ({ id }, reason) => this.#cut.set(id, reason),
      gone: (gone) => {
        this.#taken.remove(member);
        if (gone.isPresented) this.#residents.remove(gone.identity.tenant, gone);
      },
    });
    const member = this.#taken.add(client);
  };

  sessions(): SessionSummary[] {
    return this.#options.relay.sessions();
  }

  servers(): ServerSummary[] {
    return this.#options.relay.servers();
  }

  wakes(): WakeAsk[] {
    return this.#options.relay.wakes();
  }

  uses(): TenantUses {
    return this.#options.relay.uses();
  }

  drains(): DrainProgress[] {
    return this.#options.relay.drains();
  }

  /** This replica is to stop: its tenants move, each when it has come to rest, but none later than after `withinMs`. */
  async drain(withinMs: number): Promise<void> {
    this.#options.homes.drain();
    await this.#residents.drain(withinMs);
  }

  close(): void {
    for (const end of this.#endListening) end();
    this.#residents.close();
    this.#options.relay.close();
  }

  async #open(
    client: LegClient,
    before: ClientState,
    resident: Resident,
    tenant: GatewayTenant | undefined,
  ): Promise<Leg> {
    const { homes, relay } = this.#options;
    const ref = client.identity.tenant;
    await this.#residents.settled(ref);
    return this.#residents.arriving(ref, async () => {
      const { generation } = this.#residents;
      const route = await homes.route(ref, { isForwarded: false });
      if (route !== 'Here') return this.#forward(route, client, before, tenant);
      this.#residents.found(ref);
      if (!this.#isStill(generation, client)) throw new HomeUnavailableError('the home of the tenant is moving');
      const leg = new LocalLeg(relay.attach(client), before);
      this.#residents.add(ref, resident);
      return leg;
    });
  }

  /** Its clients wait, and are told only that there is no home now. */
  #tellForeign(peer: string): void {
    if (this.#foreign.get(peer)) return;
    this.#foreign.set(peer, true);
    this.#options.log.info(
      { peer },
      'a replica of another version forwards clients, which are not taken: they wait until replicas of one version are left',
    );
  }

  /** Whether a route that was asked for in this generation still holds. */
  #isStill(generation: number, { identity }: Pick<ClientLink, 'identity'>): boolean {
    return this.#residents.generation === generation && !this.#residents.isMoving(identity.tenant);
  }

  async #forward(peer: Peer, client: LegClient, before: ClientState, tenant: GatewayTenant | undefined): Promise<Leg> {
    const { homes, clock, rules } = this.#options;
    const { id, identity, askedBefore = 0 } = client;
    const { uid, isolation } = tenant ?? {};
    let legs: Members<ForwardLeg> | undefined;
    let member: Member<ForwardLeg> | undefined;
    try {
      return await ForwardLeg.open({
        peer,
        client,
        presented: {
          type: 'Client',
          version: VERSION,
          id: String(id),
          identity,
          uid,
          isolation,
          askedBefore,
          takesOver: true,
          takesRuns: true,
        },
        rules: rules[isolation ?? 'Dedicated'],
        before,
        timers: clock,
        now: () => clock.monotonic(),
        limits: this.#limits,
        // By what is there at that moment: the last leg of others may end while this one is opened.
        opened: (leg) => {
          legs = this.#forwarded.get(peer.id) ?? new Members();
          this.#forwarded.set(peer.id, legs);
          member = legs.add(leg);
        },
        over: () => {
          if (member !== undefined) legs?.remove(member);
          if (legs?.size === 0) this.#forwarded.delete(peer.id);
        },
      });
    } catch (error) {
      if (error instanceof NotHomeError) homes.misrouted(identity.tenant, peer);
      throw error;
    }
  }

  #peerGone(peer: Peer): void {
    for (const leg of this.#forwarded.get(peer.id) ?? []) leg.lose();
    for (const client of this.#taken) if (client.from === peer.id) client.lose();
  }

  async #presented(client: ForwardedClient, { identity, uid, isolation }: ClientMessage): Promise<void> {
    const { homes, fleet, relay } = this.#options;
    const ref = identity.tenant;
    // Its holder has lost the stream before it could read that.
    const reason = this.#cut.get(client.id);
    if (reason !== undefined) return client.close(reason);
    // Nor may its end have come here. Who is asked something twice would answer once.
    for (const other of this.#taken) if (other !== client && other.isPresented && other.id === client.id) other.lose();
    if (this.#residents.isMoving(ref))
      return client.refuse({ type: 'Refused', message: 'the home of the tenant is moving' });
    try {
      await this.#residents.arriving(ref, async () => {
        const { generation } = this.#residents;
        const route = await homes.route(ref, { isForwarded: true });
        if (route !== 'Here') return client.refuse({ type: 'NotHome' });
        this.#residents.found(ref);
        if (client.isOver) return;
        const known = fleet.find(ref);
        // What its holder knows of the tenant may be older or newer than what is known here.
        const isSame = known?.uid === uid && known?.isolation === isolation;
        if (!isSame) return client.refuse({ type: 'Refused', message: 'the tenant is not known here as it is there' });
        if (!this.#isStill(generation, client)) {
          return client.refuse({ type: 'Refused', message: 'the home of the tenant is moving' });
        }
        client.attach((link) => relay.attach(link));
        this.#residents.add(ref, client);
      });
    } catch (error) {
      if (!(error instanceof HomeUnavailableError)) throw error;
      client.refuse({ type: 'Refused', message: error.message });
    }
  }
}
