/** Finds out what the decision on a tenant's sleep is made from, and takes it before everything else is decided. */
import { ConditionType } from '../api/conditions.ts';
import { durationMs } from '../api/duration.ts';
import type { HibernationStatus } from '../api/tenant.ts';
import { msLeft } from '../kube/types/time.ts';
import { nameOf, type NamespacedName } from '../kube/types/types.ts';
import { findCondition, isConditionTrue } from '../kube/write/conditions.ts';
import { isTenantPaused, type CopilotTenant } from '../resources/tenant.ts';
import { hibernationDecision, type HibernationDecision } from './decisions/hibernation.ts';
import { replicasOf } from './deployments.ts';
import type { ClientCounts } from './gateway-clients.ts';
import type { ServerObservation, ServerWorld } from './model.ts';
import { hasEnded } from './pods.ts';
import type { Wakes } from './wakes.ts';

/** What tells whether tenants are used; undefined where nobody can be asked to wake them. */
export interface SleepSources {
  readonly clients: Pick<ClientCounts, 'idleMs'>;
  readonly wakes: Pick<Wakes, 'isAsked' | 'takePlace' | 'settle' | 'waking'>;
}

/** A tenant and its servers. */
export interface SleeperWorld {
  readonly tenant: CopilotTenant;
  readonly servers: ReadonlyMap<number, ServerWorld>;
}

/** Decides on the tenant's sleep. `mayStop`: see HibernationInput. Undefined: it stays as it is, because it has never slept. */
export function decideSleep(
  { tenant, servers }: SleeperWorld,
  observed: Iterable<ServerObservation>,
  sources: SleepSources | undefined,
  now: number,
  mayStop = false,
): HibernationDecision | undefined {
  const { spec, status } = tenant;
  const { hibernation: wanted } = spec;
  const { hibernation: stated } = status ?? {};
  if (wanted === undefined && stated === undefined) return undefined;
  const all = [...servers.values()];
  const desired = [...observed];
  const ref = nameOf(tenant);
  return hibernationDecision({
    stated,
    wanted: wanted && {
      afterIdleMs: durationMs(wanted.afterIdle),
      wakeTimeoutMs: durationMs(wanted.wakeTimeout),
    },
    canWake: sources !== undefined && status?.access === 'Gateway',
    isExpected: !spec.suspend && spec.replicas > 0,
    isPaused: isTenantPaused(tenant),
    idleMs: sources?.clients.idleMs(ref),
    servesSince: servesSince(tenant),
    isAsked: sources?.wakes.isAsked(ref, stated?.epoch ?? 0) === true,
    hasPlace: () => sources?.wakes.takePlace(ref) === true,
    ...wakingTimes(ref, stated, sources, now),
    areReady: desired.every(({ ready }) => ready),
    arePortsOpen: desired.every(({ portOpen }) => portOpen),
    isChanging: (status?.servers ?? []).some(({ drain }) => drain !== undefined && drain.reason !== 'Hibernating'),
    areStopped: all.every(isGone),
    mayStop,
    cause: whyNotReady(tenant),
    now,
  });
}

/** Since when its servers can serve, by no other clock than the operator's; undefined: the status does not state that all are ready. */
function servesSince({ spec, status }: CopilotTenant): string | undefined {
  const { conditions, readyReplicas = 0 } = status ?? {};
  return readyReplicas < spec.replicas ? undefined : findCondition(conditions, ConditionType.Ready)?.lastTransitionTime;
}

/** How long a wake takes so far. What has passed before this process knew of it is told by the wall clock, and then no more. */
function wakingTimes(
  tenant: NamespacedName,
  stated: HibernationStatus | undefined,
  sources: SleepSources | undefined,
  now: number,
): { readonly wakingMs: number; readonly foundAtMs: number } {
  if (stated?.phase !== 'Waking' || sources === undefined) return { wakingMs: 0, foundAtMs: 0 };
  // A time that is to come is of a clock that was set back, or of a machine whose clock is ahead.
  return sources.wakes.waking(tenant, Math.max(0, now - Date.parse(stated.since)));
}

/**
 * How long a wake takes a place, in ms. One that lasts longer waits for an image, a node or a volume: servers that start take up the processor
 * for seconds, and tenants that can start must not wait for those that cannot.
 */
const PLACE_MS = 60_000;

/** Whether a tenant that is being woken takes one of the places of those that start at the same time. */
export function takesWakePlace({ spec, status }: CopilotTenant, now: number): boolean {
  return spec.hibernation !== undefined && msLeft(Date.parse(status?.hibernation?.since ?? ''), PLACE_MS, now) > 0;
}

/** The tenant as it is from now on: everything else is decided from this. */
export function withSleep(tenant: CopilotTenant, status: HibernationStatus | undefined): CopilotTenant {
  if (tenant.status?.hibernation === status) return tenant;
  const { hibernation: _before, ...rest } = tenant.status ?? {};
  return { ...tenant, status: { ...rest, ...(status && { hibernation: status }) } };
}

/** Whether the writes have stopped every server. */
export function hasStopped(after: ReadonlyMap<number, ServerWorld>): boolean {
  return [...after.values()].every(({ deployment }) => replicasOf(deployment) === 0);
}

/** What the queue of wakes is told of this phase. */
export function settled(
  { phase, status }: HibernationDecision,
  stated: HibernationStatus | undefined,
): 'Begun' | 'Waking' | 'Asleep' | 'Running' {
  if (phase === 'Waking') return status?.since === stated?.since ? phase : 'Begun';
  return phase === 'Stopping' || phase === 'Stopped' ? 'Asleep' : 'Running';
}

function isGone({ deployment, pods }: ServerWorld): boolean {
  return replicasOf(deployment) === 0 && pods.every(hasEnded);
}

/** As the last status says it. */
function whyNotReady({ status }: CopilotTenant): string | undefined {
  const { conditions } = status ?? {};
  const type = isConditionTrue(conditions, ConditionType.Stalled) ? ConditionType.Stalled : ConditionType.Ready;
  const found = findCondition(conditions, type);
  return found?.status === 'True' && type === ConditionType.Ready ? undefined : found?.message;
}
