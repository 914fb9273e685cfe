/** The relay: admitted clients on one side, one connection to each server on the other (docs/adr/0028-relay.md). */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Dial } from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { keyOf } from '../../kube/types/types.ts';
import { serverName } from '../../resources/names.ts';
import type { Isolation } from '../../api/names.ts';
import type { Fleet, GatewayTenant, MethodRules, Relay, TenantRef } from '../model.ts';
import { ClientRelay } from './client.ts';
import { Home, type RelayLog } from './home.ts';
import { serverSummary, sessionSummary } from './summaries.ts';
import { DEFAULT_LIMITS, type RelayLimits } from './model.ts';
import type { RelayObserver } from './observer.ts';
import type { OwnershipSources } from './owners.ts';

export interface RelayOptions {
  readonly fleet: Fleet;
  readonly rules: Readonly<Record<Isolation, MethodRules>>;
  /** What owners of sessions are found out with, in tenants whose users are kept apart. */
  readonly ownership: Pick<OwnershipSources, 'keys' | 'records'>;
  readonly clock: Clock;
  readonly log: RelayLog;
  readonly observer: RelayObserver;
  readonly limits?: Partial<RelayLimits>;
  /** How connections to servers are made; default: TCP. */
  readonly dial?: Dial;
  /** An id for what the gateway makes itself; default: a random UUID. */
  readonly newId?: () => string;
}

/** A relay that also can be closed. */
export interface ClosableRelay extends Relay {
  /** Closes the connections to all servers. */
  close(): void;
}

interface KnownHome {
  readonly home: Home;
  readonly tenant: TenantRef;
  /** Closes and drops it if its tenant is gone and the last client has left: what it keeps is nobody else's. */
  readonly dropIfGone: () => void;
}

/** A relay of the tenants of `fleet`. Nothing is dialled before a client needs it. */
export function createRelay(options: RelayOptions): ClosableRelay {
  const { fleet, rules, ownership, clock, log, observer, dial, newId = randomUUID } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  /** By tenant, its UID and its isolation. */
  const homes = new Map<string, KnownHome>();

  /** The tenant that a client was admitted to; undefined: it is gone, also if there is another one of its name. */
  const tenantOf = (ref: TenantRef, uid: string | undefined, isolation: Isolation): GatewayTenant | undefined => {
    const tenant = fleet.find(ref);
    return tenant?.uid === uid && tenant?.isolation === isolation ? tenant : undefined;
  };
  const homeOf = (ref: TenantRef, uid: string | undefined, isolation: Isolation): Home => {
    // Where a session is, is not recorded yet, so all are on the first server, also while others serve and it does not: on
    // another one they would be unknown, or made again without what they had.
    const key = keyOf({ namespace: ref.namespace, name: serverName(ref.name, 0) });
    const homeKey = `${keyOf(ref)}:${uid ?? ''}:${isolation}`;
    const known = homes.get(homeKey);
    if (known !== undefined) return known.home;
    const locate = () => tenantOf(ref, uid, isolation)?.servers.find((server) => server.key === key);
    const dropIfGone = (): void => {
      if (tenantOf(ref, uid, isolation) !== undefined || home.hasClients) return;
      home.close();
      homes.delete(homeKey);
    };
    const home: Home = new Home({
      key,
      clock,
      limits,
      dial,
      log,
      observer,
      newId,
      locate,
      model: () => tenantOf(ref, uid, isolation)?.model,
      onLeft: dropIfGone,
      forced: rules[isolation].forced,
      ownership: isolation === 'Dedicated' ? undefined : { ...ownership, randomBytes, tenant: ref },
    });
    homes.set(homeKey, { home, tenant: ref, dropIfGone });
    return home;
  };
  const endListening = fleet.onChange((changed) => {
    for (const { home, tenant, dropIfGone } of homes.values()) {
      if (tenant.namespace !== changed.namespace || tenant.name !== changed.name) continue;
      home.upstream.relocate();
      home.injection.changed();
      dropIfGone();
    }
  });
  ownership.records.onChange((changed) => {
    for (const { home, tenant } of homes.values()) if (keyOf(tenant) === keyOf(changed)) home.recheck();
  });
  return {
    attach: (link) => {
      const { tenant } = link.identity;
      const { uid, isolation = 'Dedicated' } = fleet.find(tenant) ?? {};
      return new ClientRelay({
        link,
        rules: rules[isolation],
        limits,
        observer,
        clock,
        newId,
        homeOf: () => homeOf(tenant, uid, isolation),
        isIsolated: isolation !== 'Dedicated',
      });
    },
    sessions: () =>
      [...homes.values()].flatMap(({ home, tenant }) =>
        Array.from(home.sessions, (session) => sessionSummary(tenant, home.key, session)),
      ),
    servers: () => Array.from(homes.values(), ({ home, tenant }) => serverSummary(tenant, home)),
    close: () => {
      endListening();
      for (const { home } of homes.values()) home.close();
    },
  };
}
