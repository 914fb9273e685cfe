/** The relay: admitted clients on one side, one connection to each server on the other (docs/adr/0028-relay.md). */
import { randomUUID } from 'node:crypto';
import type { Dial } from '../../copilot/index.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { Fleet, GatewayServer, GatewayTenant, MethodRules, Relay, TenantRef } from '../model.ts';
import { ClientRelay } from './client.ts';
import { Home, type RelayLog } from './home.ts';
import { serverSummary, sessionSummary } from './summaries.ts';
import { DEFAULT_LIMITS, type RelayLimits } from './model.ts';
import type { RelayObserver } from './observer.ts';

export interface RelayOptions {
  readonly fleet: Fleet;
  readonly rules: MethodRules;
  readonly clock: Clock;
  readonly log: RelayLog;
  readonly observer: RelayObserver;
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

/** A relay of the tenants of `fleet`. Nothing is dialled before a client needs it. */
export function createRelay(options: RelayOptions): ClosableRelay {
  const { fleet, rules, clock, log, observer, dial, place = firstServer, newId = randomUUID } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  /** By tenant and server. */
  const homes = new Map<string, { readonly home: Home; readonly tenant: TenantRef }>();

  const homeOf = (ref: TenantRef, sessionId: string | undefined): Home => {
    const tenant = fleet.find(ref);
    const key = (tenant && place(tenant, sessionId)?.key) ?? NO_SERVER;
    // With the tenant: whatever a server is called, nobody gets into another tenant's home.
    const homeKey = `${ref.namespace}/${ref.name}:${key}`;
    const known = homes.get(homeKey);
    if (known !== undefined) return known.home;
    const locate = () => fleet.find(ref)?.servers.find((server) => server.key === key);
    const home = new Home({ key, clock, limits, dial, log, observer, newId, locate });
    homes.set(homeKey, { home, tenant: ref });
    return home;
  };
  const endListening = fleet.onChange((changed) => {
    for (const [homeKey, { home, tenant }] of homes) {
      if (tenant.namespace !== changed.namespace || tenant.name !== changed.name) continue;
      home.upstream.relocate();
      if (fleet.find(tenant) === undefined && home.isUnused) homes.delete(homeKey);
    }
  });
  return {
    attach: (link) =>
      new ClientRelay({
        link,
        rules,
        limits,
        observer,
        clock,
        newId,
        homeOf: (sessionId) => homeOf(link.identity.tenant, sessionId),
      }),
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

/** In place of a server's key while the tenant has none. */
const NO_SERVER = '';

function firstServer({ servers }: GatewayTenant): GatewayServer | undefined {
  return servers[0];
}
