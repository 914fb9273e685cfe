/** The relay: admitted clients on one side, one connection to each server on the other (docs/adr/0028-relay.md). */
import { randomUUID } from 'node:crypto';
import type { Dial } from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { Fleet, GatewayServer, GatewayTenant, MethodRules, Relay, TenantRef } from '../model.ts';
import { ClientRelay } from './client.ts';
import { Home, type RelayLog } from './home.ts';
import { DEFAULT_LIMITS, type RelayLimits } from './model.ts';

export interface RelayOptions {
  readonly fleet: Fleet;
  readonly rules: MethodRules;
  readonly clock: Clock;
  readonly log: RelayLog;
  readonly limits?: Partial<RelayLimits>;
  /** How connections to servers are made; default: TCP. */
  readonly dial?: Dial;
  /** On which server of a tenant a session is, or a new one is put; default: the first one. */
  readonly place?: (tenant: GatewayTenant, sessionId: string | undefined) => GatewayServer | undefined;
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
  const { fleet, rules, clock, log, dial, place = firstServer, newId = randomUUID } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  /** By tenant, its UID, and server. */
  const homes = new Map<string, KnownHome>();

  /** The tenant that a client was admitted to; undefined: it is gone, also if there is another one of its name. */
  const tenantOf = (ref: TenantRef, uid: string | undefined): GatewayTenant | undefined => {
    const tenant = fleet.find(ref);
    return tenant?.uid === uid ? tenant : undefined;
  };
  const homeOf = (ref: TenantRef, uid: string | undefined, sessionId: string | undefined): Home => {
    const tenant = tenantOf(ref, uid);
    const key = (tenant && place(tenant, sessionId)?.key) ?? NO_SERVER;
    // With the tenant: whatever a server is called, nobody gets into another tenant's home.
    const homeKey = `${ref.namespace}/${ref.name}:${uid ?? ''}:${key}`;
    const known = homes.get(homeKey);
    if (known !== undefined) return known.home;
    const locate = () => tenantOf(ref, uid)?.servers.find((server) => server.key === key);
    const dropIfGone = (): void => {
      if (tenantOf(ref, uid) !== undefined || home.hasClients) return;
      home.close();
      homes.delete(homeKey);
    };
    const home: Home = new Home({ key, clock, limits, dial, log, newId, locate, onLeft: dropIfGone });
    homes.set(homeKey, { home, tenant: ref, dropIfGone });
    return home;
  };
  const endListening = fleet.onChange((changed) => {
    for (const { home, tenant, dropIfGone } of homes.values()) {
      if (tenant.namespace !== changed.namespace || tenant.name !== changed.name) continue;
      home.upstream.relocate();
      dropIfGone();
    }
  });
  return {
    attach: (link) => {
      const { tenant } = link.identity;
      const uid = fleet.find(tenant)?.uid;
      return new ClientRelay({
        link,
        rules,
        limits,
        clock,
        newId,
        homeOf: (sessionId) => homeOf(tenant, uid, sessionId),
      });
    },
    close: () => {
      endListening();
      for (const { home } of homes.values()) home.close();
    },
  };
}

/** In place of a server's key while the tenant has none. */
const NO_SERVER = '';

function firstServer({ servers }: GatewayTenant): GatewayServer | undefined {
  return servers[0];
}
