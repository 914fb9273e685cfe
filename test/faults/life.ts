/** The life of a tenant and its sessions: what users do, one step after the other, and when each step is done. */
import { COPILOT_TENANT, API_VERSION } from '../../src/api/names.ts';
import { PersistentVolumeClaim, Secret, Service } from '../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { Condition } from '../../src/kube/types/types.ts';
import { findCondition } from '../../src/kube/write/conditions.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import { SERVER_IMAGE } from './process.ts';
import type { FaultWorld } from './world.ts';

/** One thing that a user does. */
export interface Step {
  readonly name: string;
  readonly act: (world: FaultWorld) => Promise<void>;
  /** What is missing until the step is done; undefined: nothing. Beside that, everything must be as its status says. */
  readonly missing?: (world: FaultWorld) => string | undefined;
  /** Nothing is written in it, so all must have been heard of before. */
  readonly steady?: boolean;
  /** How soon it must be done, in ms of the world. */
  readonly withinMs?: number;
}

/** The tenant that lives. */
const ACME = 'acme';
/** A tenant beside it, to which nothing happens. */
export const CALM = 'calm';
/** A tenant that can't run, because a Service of its name is another's. */
export const BLOCKED = 'blocked';
export const FOREIGN = 'blocked-0';
const SWEEP_ANNOTATION = 'copilot-operator.dev/sweep-at';
const UPDATED_IMAGE = `${SERVER_IMAGE}.1`;

/** Longer than every wait of the operator, and than it takes to notice that a watch is silent. */
const STEADY_MS = 240_000;
/** Changes that a healthy operator is told of by its watches. */
const AT_ONCE_MS = 5_000;

export const LIFE: readonly Step[] = [
  {
    name: 'create',
    act: async (world) => {
      await world.create(Service, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: FOREIGN, namespace: world.namespace },
        spec: { ports: [{ port: 80 }] },
      });
      for (const name of [CALM, BLOCKED]) await world.create(CopilotTenant, tenant(world, name, {}));
      await world.create(CopilotTenant, acme(world));
    },
  },
  {
    name: 'sessions',
    act: async (world) => {
      const sessions = world.volumes.sessionsOf('acme-0');
      for (const id of ['alpha', 'beta', 'gamma']) sessions.turn(id);
      sessions.turn('of-nobody');
      await world.create(CopilotSession, session(world, 'alpha', { participants: ['carol'] }));
      await world.create(CopilotSession, session(world, 'beta', {}));
      await world.create(CopilotSession, session(world, 'gamma', { deletionPolicy: 'Retain' }));
    },
    missing: (world) => counted(world, 4),
  },
  { name: 'update', act: (world) => world.patch(CopilotTenant, ACME, { spec: { server: { image: UPDATED_IMAGE } } }) },
  { name: 'scale-up', act: (world) => world.patch(CopilotTenant, ACME, { spec: { replicas: 2 } }) },
  {
    name: 'scale-down',
    act: (world) => world.patch(CopilotTenant, ACME, { spec: { replicas: 1 } }),
    missing: (world) => gone(world, PersistentVolumeClaim, 'acme-1'),
  },
  {
    name: 'delete-session',
    act: (world) => world.delete(CopilotSession, 'alpha'),
    missing: (world) => gone(world, CopilotSession, 'alpha') ?? counted(world, 3),
  },
  { name: 'suspend', act: (world) => world.patch(CopilotTenant, ACME, { spec: { suspend: true } }) },
  {
    name: 'delete-suspended',
    act: (world) => world.delete(CopilotSession, 'beta'),
    missing: (world) => gone(world, CopilotSession, 'beta'),
  },
  {
    name: 'resume',
    act: (world) => world.patch(CopilotTenant, ACME, { spec: { suspend: false } }),
    missing: (world) => counted(world, 2),
  },
  {
    // Last of what waits: the API server dates deletions by its own clock, and a deletion has a deadline.
    name: 'expire',
    act: async (world) => {
      world.volumes.sessionsOf('acme-0').turn('delta');
      await world.create(CopilotSession, session(world, 'delta', { ttl: '2m' }));
    },
    // Its time to live is short, so that it ends by itself.
    missing: (world) => {
      const { phase } = world.get(CopilotSession, 'delta')?.status ?? {};
      return phase === 'Expired' ? counted(world, 2) : `session delta is ${phase}`;
    },
  },
  {
    // The sessions that were deleted have left files behind.
    name: 'sweep',
    act: async () => undefined,
    missing: (world) => {
      const claims = world.list(PersistentVolumeClaim);
      const requested = claims.find(({ metadata }) => metadata.annotations?.[SWEEP_ANNOTATION] !== undefined);
      return requested === undefined ? undefined : `the sweep of ${requested.metadata.name}`;
    },
  },
  { name: 'rest', steady: true, act: (world) => world.expectSteady(STEADY_MS) },
  {
    // No key was lost, and every watch is alive.
    name: 'drift',
    act: async (world) => {
      await world.delete(Service, 'acme-0');
      await world.patch(CopilotSession, 'gamma', { spec: { participants: ['dave'] } });
    },
    missing: (world) => (world.get(Service, 'acme-0') === undefined ? 'Service acme-0' : undefined),
    withinMs: AT_ONCE_MS,
  },
  {
    name: 'delete-tenant',
    act: (world) => world.delete(CopilotTenant, ACME),
    missing: (world) => gone(world, CopilotTenant, ACME) ?? gone(world, Secret, 'acme-binding'),
  },
  { name: 'recreate', act: (world) => world.create(CopilotTenant, acme(world)) },
  { name: 'end', steady: true, act: (world) => world.expectSteady(STEADY_MS) },
];

/** What is missing until every status is of its spec and says that nothing is going on. */
export function unsettled(world: FaultWorld): string | undefined {
  const objects = [...world.list(CopilotTenant), ...world.list(CopilotSession)];
  for (const { kind, metadata, status } of objects) {
    const name = `${kind} ${metadata.name}`;
    const conditions: Condition[] = status?.conditions ?? [];
    if (status?.observedGeneration !== metadata.generation) return `${name} is not observed`;
    const open = findCondition(conditions, 'Reconciling');
    if (open?.status !== 'False') return `${name} is reconciling: ${open?.reason} ${open?.message}`;
    const ready = findCondition(conditions, 'Ready');
    const stalled = metadata.name === BLOCKED || findCondition(conditions, 'Stalled')?.status === 'True';
    if (kind === COPILOT_TENANT.kind && !stalled && ready?.status !== 'True' && ready?.reason !== 'Suspended') {
      return `${name} is not ready: ${ready?.reason} ${ready?.message}`;
    }
  }
  return undefined;
}

function gone(world: FaultWorld, type: ResourceType, name: string): string | undefined {
  return world.get(type, name) === undefined ? undefined : `${type.kind} ${name} still exists`;
}

/** The statistics of the tenant's sessions are written a while after everything else. */
function counted(world: FaultWorld, sessions: number): string | undefined {
  const total = world.get(CopilotTenant, ACME)?.status?.sessions?.total;
  return total === sessions ? undefined : `the tenant has ${total} sessions instead of ${sessions}`;
}

const acme = (world: FaultWorld): object =>
  tenant(world, ACME, { storage: { reclaimPolicy: 'Delete' }, sessions: { ttl: '720h' } });

function tenant(world: FaultWorld, name: string, spec: object): object {
  return { apiVersion: API_VERSION, kind: COPILOT_TENANT.kind, metadata: world.ref(name), spec };
}

function session(world: FaultWorld, name: string, spec: object): object {
  return {
    apiVersion: API_VERSION,
    kind: 'CopilotSession',
    metadata: world.ref(name),
    spec: { tenantRef: { name: ACME }, ...spec },
  };
}
