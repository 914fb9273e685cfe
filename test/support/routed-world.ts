/** Several replicas of the gateway in one process, without network: relays that share a clock, and who is the home as the test says. */
import { duplexPair, type Duplex } from 'node:stream';
import type { ForwardLimits } from '../../src/gateway/forward/limits.ts';
import type { ForwardObserver } from '../../src/gateway/forward/observer.ts';
import { RoutedRelay } from '../../src/gateway/forward/routed-relay.ts';
import { rulesByIsolation } from '../../src/gateway/methods/rules.ts';
import {
  HomeUnavailableError,
  PeerUnreachableError,
  type Homes,
  type Peer,
  type Route,
  type RouteOptions,
} from '../../src/gateway/peers/model.ts';
import type { TenantRef } from '../../src/gateway/model.ts';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import { UnreadMemory } from '../../src/gateway/client/unread-memory.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { ClientEnd, RelayWorld, type Frame } from './relay-world.ts';
import { TENANT } from './static-fleet.ts';

/** Which replica is the home of the one tenant. */
export interface Directory {
  home: string | undefined;
  /** Which one becomes it. */
  next: string;
}

/** Who is the home, as one replica sees it. */
export class ScriptedHomes implements Homes {
  mayAct = true;
  isDraining = false;
  /** It cannot be decided. */
  isUnavailable = false;
  readonly misroutes: string[] = [];
  readonly releases: string[] = [];
  readonly #fenced = new Set<() => void>();
  readonly #gone = new Set<(peer: Peer) => void>();
  readonly #id: string;
  readonly #directory: Directory;
  readonly #peer: (id: string) => Peer;

  constructor(id: string, directory: Directory, peer: (id: string) => Peer) {
    this.#id = id;
    this.#directory = directory;
    this.#peer = peer;
  }

  async route(_: TenantRef, { isForwarded }: RouteOptions): Promise<Route> {
    if (this.isUnavailable) throw new HomeUnavailableError('not decided');
    const { home, next } = this.#directory;
    const found = home ?? (isForwarded ? this.#id : next);
    if (found !== this.#id) return this.#peer(found);
    this.#directory.home = found;
    return 'Here';
  }

  misrouted(_: TenantRef, peer: Peer): void {
    this.misroutes.push(peer.id);
  }

  release({ name }: TenantRef): void {
    this.releases.push(name);
    if (this.#directory.home === this.#id) this.#directory.home = undefined;
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
    this.isDraining = true;
  }

  /** It may be taken for dead. */
  fence(): void {
    if (this.#directory.home === this.#id) this.#directory.home = undefined;
    for (const listener of this.#fenced) listener();
  }

  peerGone(id: string): void {
    for (const listener of this.#gone) listener(this.#peer(id));
  }
}

/** One replica. */
export class Replica {
  readonly id: string;
  /** Its own relay and the servers as it sees them. */
  readonly local: RelayWorld;
  readonly homes: ScriptedHomes;
  readonly relay: RoutedRelay;
  /** What was told to the observer. */
  readonly observed: string[] = [];
  /** What was logged. */
  readonly logged: object[] = [];
  /** Its ends of streams. */
  readonly streams: Duplex[] = [];
  isGone = false;
  #clients = 0;

  constructor(world: RoutedWorld, id: string) {
    this.id = id;
    this.local = new RelayWorld(world.relayLimits, { mayFollow: true, clock: world.clock });
    this.homes = new ScriptedHomes(id, world.directory, (other) => world.peer(id, other));
    for (const method of ['session.resume', 'session.create']) {
      this.answers(method, ({ params }) => ({ sessionId: params?.['sessionId'] ?? 'made' }));
    }
    for (const method of [
      'sessions.close',
      'sessions.getMetadata',
      'session.permissions.modifyRules',
      'session.sendMessages',
    ]) {
      this.answers(method, () => ({}));
    }
    const observer: ForwardObserver = {
      clientMoved: (why) => void this.observed.push(`client ${why}`),
      homeEnded: (why) => void this.observed.push(`home ${why}`),
      sessionRestored: (how) => void this.observed.push(`session ${how}`),
    };
    this.relay = new RoutedRelay({
      relay: this.local.relay,
      homes: this.homes,
      fleet: this.local.fleet,
      rules: rulesByIsolation(),
      unread: new UnreadMemory({ total: 2 ** 30, free: 0 }),
      clock: world.clock,
      random: () => 0,
      log: { info: (fields) => void this.logged.push(fields) },
      observer,
      limits: world.limits,
    });
  }

  /** Its servers answer this method by themselves. */
  answers(method: string, result: (frame: Frame) => object): void {
    this.local.answers.set(method, (end, frame) => end.answer(frame.id, result(frame)));
  }

  /** A client that is connected to it. */
  client(tenant = TENANT): ClientEnd {
    const end = new ClientEnd();
    this.#clients += 1;
    end.attachTo(this.relay, this.#clients, tenant);
    return end;
  }

  /** The frames of this method that servers got from it. */
  received(method: string): Frame[] {
    return this.local.dials.flatMap((end) => end.all(method));
  }
}

export class RoutedWorld {
  readonly clock = new FakeClock();
  readonly directory: Directory = { home: undefined, next: 'b' };
  readonly relayLimits: Partial<RelayLimits>;
  readonly limits: Partial<ForwardLimits>;
  readonly replicas = new Map<string, Replica>();
  /** From now on homes do not say that they take over, as those of an earlier version. */
  isEarlier = false;
  /** From now on holders are as those of an earlier version. */
  areHoldersEarlier = false;
  /** Replicas that do not know the form in which all others say who their clients are. */
  readonly ofEarlierForm = new Set<string>();

  constructor(limits: Partial<ForwardLimits> = {}, relayLimits: Partial<RelayLimits> = {}) {
    this.limits = limits;
    this.relayLimits = relayLimits;
    for (const id of ['a', 'b', 'c']) this.replicas.set(id, new Replica(this, id));
  }

  replica(id: string): Replica {
    const found = this.replicas.get(id);
    if (found === undefined) throw new Error(`there is no replica ${id}`);
    return found;
  }

  /** Replica `to`, as `from` sees it. */
  peer(from: string, to: string): Peer {
    return {
      id: to,
      connect: async () => {
        for (const id of [from, to]) if (this.replica(id).isGone) throw new PeerUnreachableError(`${id} is gone`);
        const [near, far] = duplexPair();
        this.replica(from).streams.push(near);
        this.replica(to).streams.push(far);
        const isHomeEarlier = this.isEarlier || this.areHoldersEarlier;
        this.replica(to).relay.accept(isHomeEarlier ? ofEarlierVersion(far) : far, from);
        if (this.ofEarlierForm.has(to)) return saying(near, /"version":1/g, () => '"version":2');
        return this.areHoldersEarlier ? ofEarlierVersion(near) : near;
      },
    };
  }

  /** The replica dies. */
  kill(id: string, next: string): void {
    const replica = this.replica(id);
    replica.isGone = true;
    this.directory.next = next;
    if (this.directory.home === id) this.directory.home = undefined;
    for (const stream of replica.streams) stream.destroy();
  }

  /** A client of `at` that has resumed a session. */
  async attached(at: string, sessionId: string, params: object = {}): Promise<ClientEnd> {
    const client = this.replica(at).client();
    const id = client.call('session.resume', { ...params, sessionId });
    await this.settle();
    if (client.answer(id)?.result === undefined) throw new Error('the client was not attached');
    return client;
  }

  /** Lets everything that is ready go on, on all replicas. */
  settle(): Promise<void> {
    return settle(20);
  }
}

/** The end of a stream of a replica that does not say what it can do. */
function ofEarlierVersion(stream: Duplex): Duplex {
  // Of the same length, which the frame states.
  return saying(stream, /,"takes(?:Over|Runs)":true/g, (text) => ' '.repeat(text.length));
}

/** The end of a stream of a replica that says something of the same length in place of this. */
function saying(stream: Duplex, what: RegExp, other: (text: string) => string): Duplex {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(Buffer.from(String(chunk).replace(what, other)), ...rest);
  return stream;
}
