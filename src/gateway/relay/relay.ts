/** The relay: admitted clients on one side, one connection to each server on the other (docs/adr/0028-relay.md). */
import { randomBytes, randomUUID } from 'node:crypto';
import { unquotedMessageOf, type Dial } from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { fromKey, keyOf } from '../../kube/types/types.ts';
import type { Isolation } from '../../api/names.ts';
import type { ClientLink, Fleet, GatewayServer, GatewayTenant, MethodRules, Relay, TenantRef } from '../model.ts';
import { Pauses } from '../pauses.ts';
import { ClientRelay } from './clients/client.ts';
import { Fence, type FencedServer, type FenceMeans } from './fence/fence.ts';
import type { MovableHandler } from './setup/client-state.ts';
import { KeptMemory } from './kept-memory.ts';
import { Home } from './home/home.ts';
import { drainSummary, heldTurns, serverPlaces, serverSummary, sessionSummary, stateOf } from './tenant/summaries.ts';
import { DEFAULT_LIMITS, type RelayLimits, type RelayLog } from './model.ts';
import type { RelayObserver } from './observer.ts';
import { Owners, type OwnershipSources } from './listing/owners.ts';
import { LastUses } from './tenant/last-uses.ts';
import type { WakeGate } from './tenant/wake-gate.ts';
import { TenantHomes, type TenantHomesOptions } from './tenant/tenant-homes.ts';
import { isBusy } from './session/under-way.ts';

export interface RelayOptions {
  readonly fleet: Fleet;
  readonly rules: Readonly<Record<Isolation, MethodRules>>;
  /** What owners of sessions are found out with, in tenants whose users are kept apart. */
  readonly ownership: Pick<OwnershipSources, 'keys' | 'records'>;
  /** Which tenants get no prompts; default: those whose annotation says so. */
  readonly pauses?: Pick<Pauses, 'isPaused'>;
  readonly clock: Clock;
  readonly log: RelayLog;
  readonly observer: RelayObserver;
  readonly limits?: Partial<RelayLimits>;
  /** How connections to servers are made; default: TCP. */
  readonly dial?: Dial;
  /** An id for what the gateway makes itself; default: a random UUID. */
  readonly newId?: () => string;
  /** When tenants were last used; default: as this relay sees it. */
  readonly uses?: LastUses;
  /** Asks the operator, whenever a client waits for a tenant that sleeps. `isHeard`: it has taken the last such ask. Undefined: it cannot be asked. */
  readonly wakes?: { readonly isHeard: boolean; ask(): void } | undefined;
  /** What sessions of tenants whose servers share a volume are loaded with; undefined: none of them is. */
  readonly shared?: FenceMeans | undefined;
  /** There are further replicas, of which another one may have been the home of a tenant before; default: false. */
  readonly mayFollow?: boolean;
}

/** What a tenant has in a relay. `Busy`: a turn runs, or clients are asked. `Idle`: sessions, of which none does anything but wait for permissions, which it does anywhere. `Empty`: no sessions. */
export type TenantActivity = 'Busy' | 'Idle' | 'Empty';

/** A relay that also can be closed, for all tenants or for one. */
export interface ClosableRelay extends Relay {
  attach(client: ClientLink): MovableHandler;
  /** Closes the connections to all servers. */
  close(): void;
  activity(tenant: TenantRef): TenantActivity;
  /** Has the servers of a tenant unload its sessions, for another relay to load them. `drop` is to follow. */
  unload(tenant: TenantRef): Promise<void>;
  /** Closes the connections to the servers of a tenant at once. */
  drop(tenant: TenantRef): void;
}

interface KnownTenant {
  readonly homes: TenantHomes;
  readonly tenant: TenantRef;
  /** Closes and drops it if the tenant is gone and the last client has left. */
  readonly dropIfGone: () => void;
}

/** What makes of one tenant another one, although it has the same name. */
type TenantKind = Pick<GatewayTenant, 'isolation' | 'topology'> & { readonly uid: string | undefined };

function kindOf(tenant: GatewayTenant | undefined): TenantKind {
  return { uid: tenant?.uid, isolation: tenant?.isolation ?? 'Dedicated', topology: tenant?.topology };
}

function keyOfKind({ uid = '', isolation, topology }: TenantKind): string {
  return `${uid}:${isolation}:${topology ?? 'Sticky'}`;
}

/** A relay of the tenants of `fleet`. Nothing is dialled before a client needs it. */
export function createRelay(options: RelayOptions): ClosableRelay {
  const { fleet, rules, ownership, clock, log, observer, dial, newId = randomUUID, mayFollow } = options;
  const { pauses = new Pauses(fleet), uses = new LastUses(clock), wakes, shared } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const memory = new KeptMemory({ total: limits.keptBytes, clock });
  /** By tenant, its UID and its isolation. */
  const tenants = new Map<string, KnownTenant>();

  /**
   * Finds the tenant that a client was admitted to; undefined: it is gone, also if there is another one of its name. What it is is looked at once
   * for each change of it, because every frame asks.
   */
  const finderOf = (ref: TenantRef, kind: string): (() => GatewayTenant | undefined) => {
    let seen: GatewayTenant | undefined;
    let found: GatewayTenant | undefined;
    return () => {
      const tenant = fleet.find(ref);
      if (tenant !== seen) found = tenant !== undefined && keyOfKind(kindOf(tenant)) === kind ? tenant : undefined;
      seen = tenant;
      return found;
    };
  };
  const used = (ref: TenantRef): void => uses.used(ref);
  const fenceOf = (tenant: TenantRef, tenantUID: string) => ({
    fates: shared?.fates,
    makeFence: (serverOf: (key: string) => FencedServer | undefined) =>
      new Fence({
        means: shared,
        tenant,
        tenantUID,
        serverOf,
        clock,
        limits,
        onFailure: (method, error) =>
          log.info(
            { tenant: keyOf(tenant), method, error: unquotedMessageOf(error) },
            'a session is not where it should be',
          ),
      }),
  });
  const homesOf = (ref: TenantRef, kind: TenantKind): TenantHomes => {
    const { uid, isolation, topology } = kind;
    const kindKey = keyOfKind(kind);
    const tenantKey = `${keyOf(ref)}:${kindKey}`;
    const known = tenants.get(tenantKey);
    if (known !== undefined) return known.homes;
    const find = finderOf(ref, kindKey);
    const owners = isolation === 'Dedicated' ? undefined : new Owners({ ...ownership, randomBytes, tenant: ref });
    const { forced } = rules[isolation];
    const isKnown = () => tenants.get(tenantKey)?.homes === homes;
    const makeHome: TenantHomesOptions['makeHome'] = (key, heard, others) => {
      // Nothing that is still under way may dial again for a home that was dropped.
      const isOfKey = (server: GatewayServer): boolean => server.key === key;
      const locate = () => {
        const { servers = [], starting = [] } = (isKnown() ? find() : undefined) ?? {};
        return servers.find(isOfKey) ?? starting.find(isOfKey);
      };
      const drain = () => find()?.drains?.find(({ server }) => server === key);
      const model = () => find()?.model;
      return new Home({
        key,
        clock,
        limits,
        dial,
        log,
        observer,
        newId,
        locate,
        isReady: () => find()?.servers.some(isOfKey) === true,
        isGone: () => !isKnown() || find() === undefined,
        drain,
        mayFollow,
        model,
        record: (sessionId) => ownership.records.find(ref, sessionId),
        mayKeep: (bytes) => homes.mayKeep(bytes),
        tenantLimits: () => find()?.limits ?? {},
        clients: () => homes.clients,
        onIdle: () => used(ref),
        heard,
        forced,
        owners,
        shared: others,
      });
    };
    // What it keeps is nobody else's.
    const dropIfGone = (): void => {
      if (!isKnown() || find() !== undefined || homes.hasClients) return;
      homes.close();
      tenants.delete(tenantKey);
    };
    const onProblem = (server: string, error: string): void =>
      log.info({ server, error }, 'the sessions of a server could not be listed');
    const onLeft = dropIfGone;
    const homes: TenantHomes = new TenantHomes({
      tenant: ref,
      find,
      makeHome,
      owners,
      clock,
      wake: { canWake: wakes !== undefined, isHeard: () => wakes?.isHeard !== false, onWanted: () => wakes?.ask() },
      limits,
      memory,
      observer,
      onLeft,
      onProblem,
      ...(topology === 'SharedStorage' && { shared: fenceOf(ref, uid ?? '') }),
    });
    tenants.set(tenantKey, { homes, tenant: ref, dropIfGone });
    // A server may drain already.
    homes.changed();
    return homes;
  };
  const knownOf = (changed: TenantRef): KnownTenant[] =>
    [...tenants.values()].filter(({ tenant }) => keyOf(tenant) === keyOf(changed));
  const endListening = fleet.onChange((changed) => {
    for (const { homes, dropIfGone } of knownOf(changed)) {
      homes.changed();
      dropIfGone();
    }
  });
  ownership.records.onChange((changed) => {
    for (const { homes } of knownOf(changed)) homes.recheck();
  });
  const allHomes = () =>
    [...tenants.values()].flatMap(({ homes, tenant }) => homes.all.map((home) => ({ home, tenant })));
  const homesOfTenant = (tenant: TenantRef): Home[] => knownOf(tenant).flatMap(({ homes }) => homes.all);
  const gatesOf = (tenant: TenantRef): WakeGate[] => knownOf(tenant).map(({ homes }) => homes.gate);
  /** For how long a tenant was not used here. One with attached clients, or a turn, is used now. */
  const idleMs = (tenant: TenantRef): number => {
    const sessions = homesOfTenant(tenant).flatMap((home) => [...home.sessions]);
    if (sessions.some((session) => session.clientCount > 0 || ['Running', 'Waiting'].includes(stateOf(session))))
      uses.used(tenant);
    return uses.idleMs(tenant);
  };
  /** Whether the tenant is being put to sleep, and must not be: what the operator knows of its use is half a minute old. */
  const keepsAwake = (tenant: TenantRef): boolean => {
    const { sleep } = fleet.find(tenant) ?? {};
    if (sleep?.phase !== 'Draining') return false;
    return gatesOf(tenant).some(({ isWanted }) => isWanted) || idleMs(tenant) < sleep.afterIdleMs;
  };
  return {
    wakes: () => {
      const waiting = [...tenants.values()].filter(({ homes }) => homes.gate.isWanted).map(({ tenant }) => tenant);
      const wanted = [...waiting, ...fleet.draining().filter(keepsAwake)];
      const asks = wanted.map(({ namespace, name }) => {
        return { namespace, name, epoch: fleet.find({ namespace, name })?.sleep?.epoch ?? 0 };
      });
      return [...new Map(asks.map((ask) => [keyOf(ask), ask])).values()];
    },
    uses: () => {
      const { upMs } = uses;
      // Those that are used now were not recorded as such, if nothing was called. Also of tenants that never sleep: they may be told to.
      for (const { tenant } of tenants.values()) idleMs(tenant);
      for (const key of uses.keys()) {
        const tenant = fromKey(key) as TenantRef;
        if (fleet.find(tenant) === undefined) uses.forget(tenant);
      }
      const known = Array.from(uses.keys(), (key) => fromKey(key) as TenantRef);
      const now = clock.now();
      return {
        upMs,
        idle: known.map((tenant) => ({ ...tenant, idleMs: uses.idleMs(tenant) })),
        heldTurns: allHomes().flatMap(({ home, tenant }) =>
          [...home.sessions].flatMap((session) => heldTurns(tenant, session, now)),
        ),
        places: allHomes().flatMap(({ home, tenant }) => serverPlaces(tenant, home)),
      };
    },
    attach: (link) => {
      const { tenant } = link.identity;
      const kind = kindOf(fleet.find(tenant));
      const { isolation } = kind;
      return new ClientRelay({
        link,
        rules: rules[isolation],
        limits,
        observer,
        clock,
        newId,
        homes: homesOf(tenant, kind),
        isPaused: () => pauses.isPaused(tenant),
        onUse: () => used(tenant),
        isIsolated: isolation !== 'Dedicated',
      });
    },
    sessions: () =>
      allHomes().flatMap(({ home, tenant }) =>
        Array.from(home.sessions, (session) => sessionSummary(tenant, home.key, session)),
      ),
    drains: () =>
      fleet.draining().flatMap((tenant) =>
        (fleet.find(tenant)?.drains ?? []).map((drain) => {
          const homes = homesOfTenant(tenant).filter(({ key }) => key === drain.server);
          const found = drainSummary(tenant, drain, homes);
          return keepsAwake(tenant) ? { ...found, isDrained: false } : found;
        }),
      ),
    servers: () => allHomes().map(({ home, tenant }) => serverSummary(tenant, home)),
    activity: (tenant) => {
      const sessions = homesOfTenant(tenant).flatMap((home) => [...home.sessions]);
      if (sessions.length === 0) return 'Empty';
      return sessions.some(isBusy) ? 'Busy' : 'Idle';
    },
    unload: async (tenant) => {
      await Promise.all(homesOfTenant(tenant).map((home) => home.unloadAll()));
    },
    drop: (tenant) => {
      for (const [key, known] of tenants) {
        if (keyOf(known.tenant) !== keyOf(tenant)) continue;
        tenants.delete(key);
        known.homes.close();
      }
    },
    close: () => {
      endListening();
      for (const { homes } of tenants.values()) homes.close();
    },
  };
}
