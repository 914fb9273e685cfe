/** Removes the data of a deleted session and then our finalizer, which is removed in any case at the deadline of decisions/removal.ts. */
import type { Logger } from 'pino';
import { SESSION_DATA_FINALIZER } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { ReconcileContext, Result } from '../../kube/runtime/controller.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import type { EventRecorder } from '../../kube/runtime/events.ts';
import { removeFinalizer } from '../../kube/write/finalizer.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { timestamp } from '../../kube/types/time.ts';
import { sessionIdOf } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import { isTenantPaused, type CopilotTenant } from '../../resources/tenant.ts';
import { missingPermission } from '../../resources/permission.ts';
import { deadlineOf } from '../decisions/removal.ts';
import type { SessionStates } from '../session-state.ts';
import type { SessionMetrics } from '../metrics.ts';
import type { DataRemover } from './data-remover.ts';
import { dataWithoutTenant, type DataWithoutTenantOptions } from './data-without-tenant.ts';
import { unobservedStatus } from '../status.ts';
import type { StatusWriter } from '../status-writer.ts';
import { findTenant } from '../tenant-lookup.ts';
import { EventReason } from '../transitions.ts';
import { EMPTY_REMOVAL, type Removal } from '../model.ts';

/** Between two attempts to remove the data, in ms. */
const RETRY_MS = 5_000;
/** Until a server that was polled again has answered, in ms. */
const REFRESH_MS = 1_000;

export interface DataFinalizerOptions extends DataWithoutTenantOptions {
  readonly client: KubeClient;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  readonly states: SessionStates;
  readonly remover: DataRemover;
  readonly statusWriter: StatusWriter;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly metrics: SessionMetrics;
  readonly clock: Clock;
}

interface Attempt {
  readonly removal: Removal;
  readonly tenantTerminating: boolean;
}

/** Runs the finalizer `copilot-operator.dev/session-data`. */
export class DataFinalizer {
  readonly #options: DataFinalizerOptions;
  /** When this process first reconciled a deleted resource, monotonic ms. */
  #startedAt: number | undefined;

  constructor(options: DataFinalizerOptions) {
    this.#options = options;
  }

  /** Removes the data and then our finalizer, or reports what is pending. */
  async finalize(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, states, clock, metrics } = this.#options;
    if (states.of(session).finalizerRemoved) return {};
    const seen = (states.of(session).deletionSeen ??= { wall: clock.now(), monotonic: clock.monotonic() });
    this.#startedAt ??= seen.monotonic;
    const { removal, tenantTerminating } = await this.#remove(session, seen.wall, context);
    // By the wall clock as it was then: one that is set meanwhile must neither give up the data at once, nor hold the resource for longer.
    const offset = seen.wall - seen.monotonic;
    const deadline = deadlineOf({
      deletedAt: Date.parse(session.metadata.deletionTimestamp ?? ''),
      tenantTerminating,
      until: removal.until,
      startedAt: offset + this.#startedAt,
    });
    const now = offset + clock.monotonic();
    const state = states.of(session);
    state.deleted ||= removal.deleted;
    if (removal.pending.length + removal.unswept.length > 0 && now < deadline) {
      await this.#reportProgress(session, removal, deadline, context);
      return { requeueAfterMs: Math.min(removal.refreshing ? REFRESH_MS : RETRY_MS, deadline - now) };
    }
    const leftBehind = [...removal.leftBehind, ...removal.pending];
    this.#recordResult(session, removal, leftBehind, context.log);
    await removeFinalizer(client, CopilotSession, session, SESSION_DATA_FINALIZER, context.signal);
    state.finalizerRemoved = true;
    metrics.removed(leftBehind.length > 0 ? 'LeftBehind' : state.deleted ? 'Deleted' : 'NotFound');
    return {};
  }

  /** Events have the result: the resource is about to be gone. */
  #recordResult(session: CopilotSession, removal: Removal, leftBehind: readonly string[], log: Logger): void {
    const { recorder } = this.#options;
    const details = [...leftBehind, ...removal.unswept].join(' ');
    if (leftBehind.length > 0) {
      const message = `The data of the session could not be deleted and is left behind. ${details}`;
      recorder.event(session, 'Warning', EventReason.SessionDataLeftBehind, message);
      log.warn({ leftBehind }, 'the data of a deleted session is left behind');
    } else if (details !== '') {
      const message = `The data of the session was deleted. ${details}`;
      recorder.event(session, 'Warning', EventReason.SessionLockLeftBehind, message);
    }
    if (removal.ownedByAnother) {
      const message = `The data of session ${sessionIdOf(session)} of CopilotTenant ${session.spec.tenantRef.name} is kept: its owner differs from spec.owner.`;
      recorder.event(session, 'Normal', EventReason.SessionDataOfAnother, message);
    }
  }

  async #remove(session: CopilotSession, since: number, { signal, log }: ReconcileContext): Promise<Attempt> {
    const { client, tenants, remover } = this.#options;
    let tenant: CopilotTenant | undefined;
    let removal: Removal;
    try {
      tenant = await findTenant(session, tenants, client, signal);
      removal = isPausedFor(tenant)
        ? pausedRemoval(tenant)
        : tenant === undefined
          ? await dataWithoutTenant(this.#options, session, signal)
          : await remover.remove(session, tenant, { since, signal, log });
    } catch (error) {
      // Errors are not returned: they must not delay the deadline.
      if (signal.aborted) throw error;
      log.warn({ err: error }, 'failed to delete the data of a session');
      const pending = ['A request to the API server failed.'];
      removal = { ...EMPTY_REMOVAL, pending, cause: missingPermission(error) };
    }
    return { removal, tenantTerminating: tenant?.metadata.deletionTimestamp !== undefined };
  }

  #reportProgress(
    session: CopilotSession,
    removal: Removal,
    deadline: number,
    context: ReconcileContext,
  ): Promise<unknown> {
    const { statusWriter, clock } = this.#options;
    const { pending, unswept } = removal;
    const what = pending.length > 0 ? 'the data' : 'the lock file';
    const deleting = `${[...pending, ...unswept].join(' ')} The operator gives up at ${timestamp(deadline)} and leaves ${what} behind.`;
    const status = unobservedStatus({ session, deleting, cause: removal.cause, now: clock.now() });
    return statusWriter.write(session, status, context.signal);
  }
}

/** A tenant that is being deleted takes its sessions along, paused or not. */
function isPausedFor(tenant: CopilotTenant | undefined): tenant is CopilotTenant {
  return tenant !== undefined && isTenantPaused(tenant) && tenant.metadata.deletionTimestamp === undefined;
}

function pausedRemoval({ metadata: { name } }: CopilotTenant): Removal {
  return { ...EMPTY_REMOVAL, pending: [`CopilotTenant ${name} is paused, so no data of its sessions is deleted.`] };
}
