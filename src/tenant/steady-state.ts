/** Passes that need not be made again, because nothing has changed since one found nothing to do. */
import { isDeepStrictEqual } from 'node:util';
import { keyOf, type KubeObject, type NamespacedName } from '../kube/types/types.ts';
import type { ServerObservation, World } from './model.ts';
import type { SessionsStatus } from './sessions/sessions-status.ts';

/** Everything that a pass goes by, time and what is fixed while the process runs aside. */
export interface ReconcileInputs {
  readonly world: World;
  readonly observed: ReadonlyMap<number, ServerObservation>;
  readonly sessions: SessionsStatus;
}

interface SteadyState {
  readonly versions: readonly unknown[];
  readonly observed: ReconcileInputs['observed'];
  readonly sessions: SessionsStatus;
  /** Monotonic ms: then time alone may ask for something. */
  readonly until: number;
}

/** After so long a pass is made anyway, in ms: should it ever depend on something that is not among its grounds, that heals. */
const MAX_STEADY_MS = 300_000;

/**
 * Remembers, by tenant, what the last pass that wrote nothing went by. Most passes are there for the Secrets, which are
 * polled: each of them reads the world, and one that finds it as it was would plan what it planned before. A process
 * that has just begun knows none, so it makes every pass.
 */
export class SteadyStates {
  readonly #states = new Map<string, SteadyState>();

  /** For how long nothing is due, in ms, when all is as it was at the tenant's settled pass. Otherwise undefined. */
  remainingMs({ world, observed, sessions }: ReconcileInputs, monotonicNow: number): number | undefined {
    const last = this.#states.get(keyOf(world.tenant));
    if (last === undefined || monotonicNow >= last.until) return undefined;
    const versions = versionsIn(world);
    const same =
      versions.length === last.versions.length &&
      versions.every((version, index) => version === last.versions[index]) &&
      isDeepStrictEqual(observed, last.observed) &&
      isDeepStrictEqual(sessions, last.sessions);
    return same ? last.until - monotonicNow : undefined;
  }

  /** Takes note of a pass that wrote nothing, failed in nothing, and has something to do in `dueInMs` at the earliest. */
  record({ world, observed, sessions }: ReconcileInputs, dueInMs: number, monotonicNow: number): void {
    const until = monotonicNow + Math.min(dueInMs, MAX_STEADY_MS);
    this.#states.set(keyOf(world.tenant), { versions: versionsIn(world), observed, sessions, until });
  }

  /** The next pass is made, whatever it finds. */
  forget(request: NamespacedName): void {
    this.#states.delete(keyOf(request));
  }
}

/**
 * What stands in the world, whatever its shape: each object by its resourceVersion, which etcd gives to one write only,
 * so that no object has to be kept to be compared, least of all a Secret.
 */
function versionsIn(value: unknown, found: unknown[] = []): unknown[] {
  if (typeof value !== 'object' || value === null) {
    found.push(value);
  } else if ('metadata' in value) {
    found.push((value as KubeObject).metadata.resourceVersion ?? value);
  } else {
    const parts = value instanceof Map || Array.isArray(value) ? [...value] : Object.values(value);
    // Tells where the parts of one list end and those of the next begin.
    found.push(parts.length);
    for (const part of parts) versionsIn(part, found);
  }
  return found;
}
