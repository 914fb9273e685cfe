/** What operator and gateway say to each other, over HTTP on the gateway's internal port. */
import { isObject } from '../copilot/index.ts';
import { GROUP } from '../api/names.ts';
import { defineResource } from '../kube/types/resource.ts';
import type { KubeObject, NamespacedName } from '../kube/types/types.ts';

/** The audience of tokens for the internal port. They are worth nothing to the API server, nor on the port of clients. */
export const INTERNAL_AUDIENCE = 'copilot-gateway-internal';

/** What can be asked: paths of the internal port, and subresources of {@link Gateway}. */
export const INTERNAL_VIEWS = ['tenants', 'clients', 'sessions', 'drains'] as const;
export type InternalView = (typeof INTERNAL_VIEWS)[number];

/** What can be done to the clients of one tenant: `POST /tenants/NAMESPACE/NAME/ACTION`. */
export const TENANT_ACTIONS = ['pause', 'resume', 'kick'] as const;
export type TenantAction = (typeof TENANT_ACTIONS)[number];

/** The verb on `gateways/tenants` that each of them takes. Who may pause a tenant may resume it. */
export const ACTION_VERBS = { pause: 'pause', resume: 'pause', kick: 'kick' } as const satisfies Record<
  TenantAction,
  string
>;

/** A right of the internal port: a verb on a subresource of {@link Gateway}. */
export interface InternalRight {
  readonly view: InternalView | 'wakes';
  /** `create`: of `wakes`, on the operator's port. */
  readonly verb: 'get' | 'create' | (typeof ACTION_VERBS)[TenantAction];
}

/** RBAC knows `gateways` though the API does not serve them: `get` of `gateways/clients` in the gateway's namespace is a right of its port. */
export const Gateway = defineResource<KubeObject>({
  group: GROUP,
  version: '*',
  plural: 'gateways',
  kind: 'Gateway',
  namespaced: true,
});

/** A line of `/tenants`: a tenant that has clients at this replica, or was used there. */
export interface TenantCount extends NamespacedName {
  readonly clients: number;
  /** For how long nobody has used it, in ms. */
  readonly idleMs?: number | undefined;
}

/** Whose the turn of a session is, of one that several users work on: `namespace` and `name` are those of its tenant. */
export interface HeldTurn extends NamespacedName {
  readonly session: string;
  /** The user, as the gateway was told. */
  readonly holder: string;
  /** It rises whenever the turn passes to another client, as long as the replica serves the session. */
  readonly epoch: number;
  /** For how long, in ms: the clocks of two machines differ. */
  readonly heldMs: number;
}

/**
 * The sessions that a server has in memory, or will have again when it is back: of servers that share a volume, which all list them. `namespace`
 * and `name` are those of the tenant.
 */
export interface ServerPlaces extends NamespacedName {
  /** Name of the server. */
  readonly server: string;
  readonly sessions: readonly string[];
}

/** The answer to `GET /tenants`. */
export interface TenantsAnswer {
  /** Those that have clients at this replica, and those that were used here. */
  readonly tenants: readonly TenantCount[];
  /**
   * For how long this replica knows what is used, in ms: whatever else there is was not used here for that long. Undefined: it is of a
   * version that knows nothing of it.
   */
  readonly upMs?: number | undefined;
  /** The turns that users hold at this replica, of sessions whose CopilotSession has `spec.collaboration.turns`. Undefined: none. */
  readonly heldTurns?: readonly HeldTurn[] | undefined;
  /** Where sessions of tenants with `topology: SharedStorage` are. Undefined: there are none here. */
  readonly places?: readonly ServerPlaces[] | undefined;
}

/** For how long after its deadline a drained pod is not used when no other one follows, in ms. Then a drain of it has to begin anew. */
export const DRAIN_RETURN_MS = 300_000;

/** A line of `/drains`: how far the drain of a server is at this replica. */
export interface DrainLine {
  /** `namespace/server`. */
  readonly server: string;
  readonly epoch: number;
  /** Turns that it waits for. */
  readonly turns: number;
  /** This replica has no connection to the pod any more, and makes none. */
  readonly drained: boolean;
}

/** What a replica that was asked for its drains says, or what it says that it does not. */
export type DrainAnswer = readonly DrainLine[] | 'NoDrains' | 'Refused';

/** The answer to `GET /tenants`. @throws Error for anything else */
export function parseTenants(text: string): TenantsAnswer {
  const answer: unknown = JSON.parse(text);
  const tenants = listOf(answer, 'tenants').map((entry: unknown) => {
    const { namespace, name, clients, idleMs } = isObject(entry) ? entry : {};
    if (typeof namespace !== 'string' || typeof name !== 'string' || !isCount(clients)) {
      throw new Error('an entry of the answer is no tenant with a number of clients');
    }
    return { namespace, name, clients, ...(isCount(idleMs) && { idleMs }) };
  });
  const { upMs, heldTurns, places } = isObject(answer) ? answer : {};
  return {
    tenants,
    ...(isCount(upMs) && { upMs }),
    ...(Array.isArray(heldTurns) && heldTurns.length > 0 && { heldTurns: heldTurns.map(heldTurn) }),
    ...(Array.isArray(places) && places.length > 0 && { places: places.map(serverPlaces) }),
  };
}

function serverPlaces(entry: unknown): ServerPlaces {
  const { namespace, name, server, sessions } = isObject(entry) ? entry : {};
  const areNames = typeof namespace === 'string' && typeof name === 'string' && typeof server === 'string';
  if (!areNames || !Array.isArray(sessions) || !sessions.every((session) => typeof session === 'string'))
    throw new Error('an entry of the answer is no server with sessions');
  return { namespace, name, server, sessions };
}

function heldTurn(entry: unknown): HeldTurn {
  const { namespace, name, session, holder, epoch, heldMs } = isObject(entry) ? entry : {};
  const areNames = typeof namespace === 'string' && typeof name === 'string' && typeof session === 'string';
  if (!areNames || typeof holder !== 'string' || !isCount(epoch) || !isCount(heldMs)) {
    throw new Error('an entry of the answer is no turn that a user holds');
  }
  return { namespace, name, session, holder, epoch, heldMs };
}

/** The answer to `GET /drains`. @throws Error for anything else */
export function parseDrains(text: string): DrainLine[] {
  return listOf(JSON.parse(text), 'drains').map((entry: unknown) => {
    const { server, epoch, turns, drained } = isObject(entry) ? entry : {};
    if (typeof server !== 'string' || !isCount(epoch) || !isCount(turns) || typeof drained !== 'boolean') {
      throw new Error('an entry of the answer is no drain of a server');
    }
    return { server, epoch, turns, drained };
  });
}

function listOf(answer: unknown, name: InternalView): readonly unknown[] {
  const found = isObject(answer) ? answer[name] : undefined;
  if (!Array.isArray(found)) throw new Error(`the answer has no list of ${name}`);
  return found;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
