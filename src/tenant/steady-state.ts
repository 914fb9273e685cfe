/** Skips reconciles whose inputs are those of an earlier one that had nothing to do. */
import { isDeepStrictEqual } from 'node:util';
import { keyOf, type KubeObject, nameOf, type NamespacedName } from '../kube/types/types.ts';
import type { HibernationDecision, HibernationReason } from './decisions/hibernation.ts';
import type { ServerObservation, World } from './model.ts';
import type { SessionsStatus } from './sessions/sessions-status.ts';

/** Everything that a reconcile depends on, except time and what is fixed while the process runs. */
export interface ReconcileInputs {
  readonly world: World;
  readonly observed: ReadonlyMap<number, ServerObservation>;
  readonly sessions: SessionsStatus;
  /** Why the tenant sleeps, or does not; undefined: that was not decided. It depends on what the gateway says. */
  readonly sleep: HibernationDecision | undefined;
}

/** What a reconcile that wrote nothing was based on. */
interface SteadyState {
  readonly versions: readonly unknown[];
  readonly observed: ReconcileInputs['observed'];
  readonly sessions: SessionsStatus;
  readonly sleepReason: HibernationReason | undefined;
  /** Monotonic ms: from then on something may be due. */
  readonly until: number;
}

/**
 * After this time a reconcile is not skipped, in ms: it bounds the damage should an input be missing here. With five minutes a
 * thousand tenants were reconciled in full three times a second.
 */
const MAX_STEADY_MS = 30 * 60_000;

/**
 * Remembers for each steady tenant the inputs of its last reconcile. Most reconciles only poll Secrets: they read the world,
 * and if it is unchanged they would decide what they decided before. A process that has just started skips none.
 */
export class SteadyStates {
  readonly #states = new Map<string, SteadyState>();

  /** For how long nothing is due, in ms. Undefined if the tenant is not steady, or no longer: then it is forgotten. */
  remainingMs({ world, observed, sessions, sleep }: ReconcileInputs, monotonicNow: number): number | undefined {
    const last = this.#states.get(keyOf(world.tenant));
    if (last === undefined) return undefined;
    const versions = versionsIn(world);
    const isSteady =
      monotonicNow < last.until &&
      sleep?.reason === last.sleepReason &&
      versions.length === last.versions.length &&
      versions.every((version, index) => version === last.versions[index]) &&
      isDeepStrictEqual(observed, last.observed) &&
      isDeepStrictEqual(sessions, last.sessions);
    if (isSteady) return last.until - monotonicNow;
    this.forget(nameOf(world.tenant));
    return undefined;
  }

  /** Records a reconcile that wrote nothing, had no error, and has nothing to do before `dueInMs`. */
  record({ world, observed, sessions, sleep }: ReconcileInputs, dueInMs: number, monotonicNow: number): void {
    const until = monotonicNow + Math.min(dueInMs, MAX_STEADY_MS);
    this.#states.set(keyOf(world.tenant), {
      versions: versionsIn(world),
      observed,
      sessions,
      sleepReason: sleep?.reason,
      until,
    });
  }

  /** The next reconcile of the tenant is not skipped. */
  forget(request: NamespacedName): void {
    this.#states.delete(keyOf(request));
  }
}

/**
 * Every value in the world, whatever its shape; an object by its resourceVersion, which is unique for each write. So no object
 * is kept for comparison, in particular no Secret.
 */
function versionsIn(value: unknown, found: unknown[] = []): unknown[] {
  if (typeof value !== 'object' || value === null) {
    found.push(value);
  } else if ('metadata' in value) {
    found.push((value as KubeObject).metadata.resourceVersion ?? value);
  } else {
    const parts = value instanceof Map || Array.isArray(value) ? [...value] : Object.values(value);
    // Separates the items of one list from those of the next.
    found.push(parts.length);
    for (const part of parts) versionsIn(part, found);
  }
  return found;
}
