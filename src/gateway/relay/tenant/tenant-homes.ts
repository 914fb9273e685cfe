/** The servers of one tenant as the relay uses them: which one has a session, and which one gets a new one. */
import { RpcError, isObject, unquotedMessageOf } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey, keyOf } from '../../../kube/types/types.ts';
import { serverIndex, serverName } from '../../../resources/names.ts';
import { Members, type Member } from '../../members.ts';
import type { GatewayTenant, TenantRef } from '../../model.ts';
import { askServers, type Asked } from '../listing/ask-servers.ts';
import type { Home } from '../home/home.ts';
import type { SharedVolume } from '../home/moves.ts';
import type { RelayLimits, ServerAnswer, SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Owners } from '../listing/owners.ts';
import { chooseServer, type ServerLoad } from './placement.ts';
import type { KeptAccount, KeptMemory } from '../kept-memory.ts';
import { Quota } from './quota.ts';
import { listedTimes } from '../listing/session-list.ts';
import { SessionPlaces } from './session-places.ts';
import { SharedServers, type SharedTenant } from './shared-servers.ts';
import { WakeGate, type WakeGateOptions } from './wake-gate.ts';

/** What the servers of a tenant are found with. */
export interface TenantHomesOptions {
  readonly tenant: TenantRef;
  /** What is known of the tenant now; undefined: it is gone. */
  readonly find: () => GatewayTenant | undefined;
  /** `heard` is to be called when the server says that a session is there, or was deleted. */
  readonly makeHome: (
    key: string,
    heard: (sessionId: string, isDeletion: boolean) => void,
    shared: SharedVolume<Home> | undefined,
  ) => Home;
  /** Where its servers share a volume; undefined: each has its own. */
  readonly shared?: SharedTenant | undefined;
  /** Undefined: all clients are one trust domain. */
  readonly owners: Owners | undefined;
  readonly clock: Pick<Clock, 'setTimer' | 'monotonic'>;
  /** How sleeping tenants are woken. */
  readonly wake: Pick<WakeGateOptions, 'canWake' | 'isHeard' | 'onWanted'>;
  readonly limits: RelayLimits;
  /** What all tenants share. */
  readonly memory: KeptMemory;
  readonly observer: Pick<RelayObserver, 'searched' | 'wakeEnded'>;
  /** The last client has left. */
  readonly onLeft: () => void;
  /** A server did not say which sessions it has. `error` has nothing of what it said. */
  readonly onProblem: (server: string, error: string) => void;
}

/** Of one tenant. Its servers are those that have a volume or serve; one that is none any more stays while clients use its sessions. */
export class TenantHomes {
  /** Undefined: each server has a volume of its own. */
  readonly #shared: SharedServers | undefined;
  /** Undefined: all clients are one trust domain. */
  readonly owners: Owners | undefined;
  /** Defined exactly if `owners` is. */
  readonly quota: Quota | undefined;
  /** What the calls of clients pass. */
  readonly gate: WakeGate;
  readonly #options: TenantHomesOptions;
  /** By the key of the server. */
  readonly #homes = new Map<string, Home>();
  readonly #account: KeptAccount;
  readonly #places = new SessionPlaces();
  readonly #clients = new Members<SessionClient>();
  /** Clients that have left while servers had requests of them. */
  readonly #left = new Set<SessionClient>();
  readonly #listeners = new Set<() => void>();
  /** Of the server that the last new session went to. */
  #lastPlaced: number | undefined;
  #known: { readonly tenant: GatewayTenant | undefined; readonly keys: readonly string[] } | undefined;

  constructor(options: TenantHomesOptions) {
    this.#options = options;
    const { owners, find } = options;
    this.gate = new WakeGate({
      ...options,
      ...options.wake,
      areServing: () => this.current.every(({ isServing }) => isServing),
    });
    this.owners = owners;
    this.#shared =
      options.shared &&
      new SharedServers({
        ...options.shared,
        find,
        clock: options.clock,
        limits: options.limits,
        homes: () => this.#homes.values(),
        current: () => this.current,
        serverOf: (key) => (this.#keys().includes(key) ? this.#home(key) : this.#homes.get(key)),
        otherFor: (home) => this.#otherFor(home),
        unused: (sessionId, key) => this.#places.deleted(sessionId, key),
      });
    this.#account = options.memory.open(() => this.keptBytes);
    this.quota = owners && new Quota({ owners, servers: this, max: () => find()?.limits?.maxPerUser });
    for (const key of this.#keys()) this.#home(key);
  }

  /** Every server, also those that sessions were left on, by index. */
  get all(): readonly Home[] {
    return [...this.#homes.values()].toSorted((a, b) => this.#indexOf(a.key) - this.#indexOf(b.key));
  }

  /** The servers of the tenant, by index. At least one. */
  get current(): readonly Home[] {
    return this.#keys().map((key) => this.#home(key));
  }

  /** Where calls about no session, or about one that no server has, go: the first server that serves. */
  get first(): Home {
    const { current } = this;
    // Of a single one it need not be asked, and every frame wants it.
    const serving = current.length > 1 ? current.find((home) => home.isServing) : undefined;
    return serving ?? (current[0] as Home);
  }

  /** Whether any server can load any session. */
  get isShared(): boolean {
    return this.#shared !== undefined;
  }

  /** The server that has the session, else the one that answers calls about none. */
  homeOf(sessionId: string | undefined): Home {
    return (sessionId === undefined ? undefined : this.find(sessionId)) ?? this.first;
  }

  /** Whether sessions have the login of the tenant, whatever clients say. */
  get hasLogin(): boolean {
    return this.#options.find()?.model !== undefined;
  }

  /** Whether so many bytes more may be kept of the tenant. */
  mayKeep(bytes: number): boolean {
    return this.#account.mayKeep(bytes);
  }

  /** Bytes that are kept of the tenant. */
  get keptBytes(): number {
    let sum = 0;
    for (const { openBytes = 0 } of [...this.#clients, ...this.#left]) sum += openBytes;
    for (const home of this.#homes.values()) for (const { keptBytes } of home.sessions) sum += keptBytes;
    return sum;
  }

  /** Those that are told of sessions that come and go. */
  get clients(): Iterable<SessionClient> {
    return this.#clients;
  }

  get hasClients(): boolean {
    return this.#clients.size > 0;
  }

  /** The server that has the session, or is about to; undefined: it must be looked for. Of a single server it is always known. */
  find(sessionId: string): Home | undefined {
    for (const home of this.#homes.values()) if (home.session(sessionId) !== undefined) return home;
    const place = this.#places.find(sessionId);
    // It is loaded nowhere, so where servers share a volume nothing keeps it at one that is away.
    if (place !== undefined && (!this.isShared || this.#loadOf(this.#home(place)).takesNew)) return this.#home(place);
    return this.#isSingle ? this.first : undefined;
  }

  /** Why the server that has the session is not asked by this method; undefined: it is, or need not be. */
  refusal(sessionId: string, method: string): ServerAnswer | undefined {
    const home = this.find(sessionId);
    if (home === undefined) return undefined;
    // Or what its client had sent would go on when the server can be asked.
    if (LEAVES.has(method) && home.session(sessionId) !== undefined) return undefined;
    const fenced = isReached(home) ? undefined : this.#shared?.fencedBy(home);
    if (fenced !== undefined) return { kind: 'Fenced', why: fenced };
    const why = this.#removal(home);
    return why === undefined ? undefined : { kind: 'Away', why };
  }

  #removal(home: Home): string | undefined {
    const { key } = home;
    if (this.#keys().includes(key)) {
      return this.#mayWait || isExpected(home) ? undefined : this.#unreachable(key, DOES_NOT_WAIT);
    }
    if (this.isShared) return undefined;
    const replicas = this.#indexOf(key) + 1;
    return `the session is on the volume of server ${fromKey(key).name}, which the tenant does not run any more; raise spec.replicas to ${replicas} and try again`;
  }

  /** The server for a session that is about to be made by the user, unless one has it: it is that one from now on. */
  place(sessionId: string, user: string | undefined): Home {
    const known = this.find(sessionId);
    if (known !== undefined) return known;
    const home = this.#choose(this.current, user) ?? this.first;
    this.seen(sessionId, home);
    return home;
  }

  /** A server that was asked has the session. Where servers share a volume all have, and it is placed as a new one. */
  found(sessionId: string, home: Home, user: string | undefined): void {
    if (this.isShared) this.place(sessionId, user);
    else this.seen(sessionId, home);
  }

  #choose(homes: readonly Home[], user: string | undefined): Home | undefined {
    const loads = homes.map((each) => this.#loadOf(each));
    const { placement = 'LeastLoaded' } = this.#options.find() ?? {};
    const chosen = chooseServer(placement, loads, { user, last: this.#lastPlaced })?.server;
    this.#lastPlaced = chosen?.index;
    return chosen?.home;
  }

  /** By its load: sessions of many users leave at once. */
  #otherFor(home: Home): Home | undefined {
    const loads = this.current.filter((each) => each !== home).map((each) => this.#loadOf(each));
    return chooseServer(
      'LeastLoaded',
      loads.filter(({ takesNew }) => takesNew),
      { user: undefined, last: undefined },
    )?.server.home;
  }

  /** The session was found there. */
  seen(sessionId: string, home: Home): void {
    if (!this.#isSingle) this.#places.seen(sessionId, home.key);
  }

  /** The session was deleted. */
  forget(sessionId: string): void {
    const home = this.find(sessionId);
    if (home === undefined) return;
    const session = home.session(sessionId);
    if (session !== undefined) home.deleted(session);
    home.fence?.forget(sessionId);
    this.#places.deleted(sessionId, home.key);
    this.owners?.forget(sessionId);
  }

  /** Looks for the session, which no server is known to have. Returns why that cannot be done now, for the client. */
  async look(sessionId: string): Promise<string | undefined> {
    // Any server can load it. Whether it exists is found out when it is loaded.
    if (this.isShared) return undefined;
    const asked = await this.ask(
      (home) => this.#has(home, sessionId),
      (has) => has,
      (home) => this.mayHave(sessionId, home),
    );
    const found = [...asked.answers].find(([, has]) => has)?.[0];
    if (found !== undefined && this.find(sessionId) === undefined) this.seen(sessionId, found);
    return this.away(asked.missing, sessionId);
  }

  /** Whether the server must be asked for the session: one that is away need not, if it said before what it has. */
  mayHave(sessionId: string, home: Home): boolean {
    return (home.isServing && !home.upstream.hasFailed) || this.#places.mayHave(sessionId, home.key);
  }

  /** Asks all servers of the tenant at once, but for those that `needs` is false of. @throws RpcError if one refuses it */
  async ask<T>(
    ask: (home: Home) => Promise<T>,
    isEnough: (answer: T) => boolean = () => false,
    needs: (home: Home) => boolean = () => true,
  ): Promise<Asked<Home, T>> {
    const { clock, limits, observer } = this.#options;
    // A single one says itself that it is away, and of those that share a volume each has all sessions.
    if (this.#isSingle || this.isShared) {
      const { first } = this;
      await first.drain.whenOpen();
      return { answers: new Map([[first, await first.read(() => ask(first))]]), missing: [] };
    }
    const asked = await askServers({
      servers: () => this.current.filter(needs),
      isServing: (home) => home.isServing,
      isReturning: (home) => home.drain.isReturning,
      areGone: () => this.#options.find() === undefined,
      ask: (home) => this.#asked(home, ask),
      isEnough,
      setTimer: (ms, fn) => clock.setTimer(ms, fn),
      onChange: (fn) => {
        this.#listeners.add(fn);
        return () => void this.#listeners.delete(fn);
      },
      mayWait: this.#mayWait,
      withinMs: limits.awayMs,
      retryMs: limits.redialAfterMs,
    });
    observer.searched(asked.missing.length === 0 ? 'Answered' : 'Away');
    return asked;
  }

  /** What a client is told while these do not answer; undefined: there are none, or none of them can have the session. */
  away(missing: readonly Home[], sessionId?: string): string | undefined {
    const home = missing.find(({ key }) => sessionId === undefined || this.#places.mayHave(sessionId, key));
    if (home === undefined) return undefined;
    const what = sessionId === undefined ? 'has some of the sessions' : 'may have the session';
    return this.#unreachable(home.key, what);
  }

  /** Whether calls wait for a server that is away. */
  get #mayWait(): boolean {
    return this.#options.find()?.limits?.unavailable !== 'Fail';
  }

  /** `what`: what that means for the call. */
  #unreachable(key: string, what: string): string {
    return `server ${fromKey(key).name} of tenant ${keyOf(this.#options.tenant)} cannot be reached now, and ${what}; try again`;
  }

  /** A client that is told of sessions that come and go. Returns its place, for when it leaves. */
  join(client: SessionClient): Member<SessionClient> {
    return this.#clients.add(client);
  }

  leave(member: Member<SessionClient>): void {
    const client = member.value;
    this.#clients.remove(member);
    this.gate.leave(client);
    if ((client.openBytes ?? 0) > 0) this.#left.add(client);
    for (const home of this.#homes.values()) home.leave(client);
    this.#drop();
    if (!this.hasClients) this.#options.onLeft();
  }

  /** A request of a client that has left is not open any more. */
  settled(client: SessionClient): void {
    if ((client.openBytes ?? 0) === 0) this.#left.delete(client);
  }

  /** A CopilotSession has changed: clients leave sessions that are not their user's any more. */
  recheck(): void {
    if (this.owners !== undefined) for (const client of this.#clients) client.recheck?.();
  }

  /** The tenant has changed: it may have other servers, in other pods. */
  changed(): void {
    if (this.#options.find() !== undefined) {
      for (const key of this.#keys()) this.#home(key);
      this.#drop();
    }
    for (const home of this.#homes.values()) {
      home.relocate();
      home.injection.changed();
    }
    this.#shared?.changed();
    this.gate.changed();
    if (this.gate.isWanted) for (const home of this.current) void home.dialEarly().then(() => this.gate.changed());
    for (const listener of this.#listeners) listener();
  }

  /** Closes the connections to all servers, and forgets all sessions. */
  close(): void {
    this.#account.close();
    this.#shared?.close();
    this.gate.close();
    for (const home of this.#homes.values()) home.close();
  }

  /** Then there is nothing to find out, and nothing is recorded. */
  get #isSingle(): boolean {
    return this.#keys().length === 1;
  }

  /** Its servers by index. They are worked out once for each change of the tenant, because every frame asks. */
  #keys(): readonly string[] {
    const tenant = this.#options.find();
    if (this.#known === undefined || this.#known.tenant !== tenant) {
      this.#known = { tenant, keys: serversOf(this.#options.tenant, tenant) };
    }
    return this.#known.keys;
  }

  #indexOf(key: string): number {
    return indexOf(this.#options.tenant, key);
  }

  #home(key: string): Home {
    const known = this.#homes.get(key);
    if (known !== undefined) return known;
    const heard = (sessionId: string, isDeletion: boolean): void => {
      if (isDeletion) this.#places.deleted(sessionId, key);
      else if (!this.#isSingle && !this.isShared) this.#places.seen(sessionId, key);
    };
    const home = this.#options.makeHome(key, heard, this.#shared);
    this.#homes.set(key, home);
    return home;
  }

  /** Drops servers that are the tenant's no more and that nobody uses. */
  #drop(): void {
    const keys = this.#keys();
    for (const [key, home] of this.#homes) {
      if (keys.includes(key) || home.isUsed) continue;
      home.close();
      this.#homes.delete(key);
      this.#places.removed(key);
    }
  }

  #loadOf(home: Home): ServerLoad & { readonly home: Home } {
    const sessions = [...home.sessions];
    const turns = sessions.filter(({ turn }) => turn.isBusy).length;
    // One without a volume is going to stop, or its volume is not known yet: others would not wait for it.
    const { volumes = [] } = this.#options.find() ?? {};
    const stays = home.drain.phase === 'Serving' && (volumes.length === 0 || volumes.includes(home.key));
    return {
      home,
      index: this.#indexOf(home.key),
      takesNew: isReached(home) && stays,
      turns,
      sessions: sessions.length,
    };
  }

  async #has(home: Home, sessionId: string): Promise<boolean> {
    try {
      const result = await home.upstream.call('sessions.getMetadata', { sessionId });
      return isObject(result) && isObject(result['session']);
    } catch (error) {
      // One that refuses this says in its answer to the call itself what is wrong.
      if (error instanceof RpcError) return false;
      throw error;
    }
  }

  async #asked<T>(home: Home, ask: (home: Home) => Promise<T>): Promise<T> {
    const answer = await ask(home);
    // While it is away, other sessions need not wait for it.
    if (!this.#places.isListed(home.key)) void this.#list(home);
    return answer;
  }

  async #list(home: Home): Promise<void> {
    try {
      this.#places.listed(home.key, [...(await listedTimes(home.upstream)).keys()]);
    } catch (error) {
      this.#options.onProblem(home.key, unquotedMessageOf(error));
    }
  }
}

/** Calls by which a client leaves a session: the gateway does that by itself. */
const LEAVES = new Set(['session.detach', 'session.destroy']);

const DOES_NOT_WAIT = 'calls about its sessions do not wait (spec.sessions.unavailable is Fail)';

/** Whether the server is there, as far as is known: the kubelet may say so of one that cannot be connected to. */
const isReached = ({ isServing, upstream }: Home): boolean => isServing && !upstream.isFailing;

/** Whether the server can be asked, or is away on purpose and comes back at once. */
const isExpected = (home: Home): boolean => isReached(home) || home.drain.isReturning;

function indexOf({ name }: TenantRef, key: string): number {
  return serverIndex(name, fromKey(key).name) ?? 0;
}

/** The keys of the servers that have a volume or serve, by index; if there are none, that of the first. */
function serversOf(ref: TenantRef, tenant: GatewayTenant | undefined): string[] {
  const { servers = [], volumes = [] } = tenant ?? {};
  const keys = [...new Set([...volumes, ...servers.map(({ key }) => key)])];
  if (keys.length === 0) return [keyOf({ namespace: ref.namespace, name: serverName(ref.name, 0) })];
  return keys.toSorted((a, b) => indexOf(ref, a) - indexOf(ref, b));
}
