/** One pass of a resource that is being deleted. It never holds the resource beyond the deadline of decisions/removal.ts. */
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
import type { CopilotTenant } from '../../resources/tenant.ts';
import { missingPermission } from '../../resources/permission.ts';
import { deadlineOf } from '../decisions/removal.ts';
import type { SessionStates } from '../session-state.ts';
import type { SessionMetrics } from '../metrics.ts';
import { type DataRemover } from './data-remover.ts';
import { unobservedStatus } from '../status.ts';
import type { StatusWriter } from '../status-writer.ts';
import { findTenant } from '../tenant-lookup.ts';
import { EventReason } from '../transitions.ts';
import { NOTHING_TO_REMOVE, type Removal } from '../model.ts';

/** How soon what failed, or is waited for without anything that tells of it, is looked at again, in ms. */
const RETRY_MS = 5_000;

export interface DataFinalizerOptions {
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

export class DataFinalizer {
  readonly #options: DataFinalizerOptions;
  /** When this process first looked at a deleted resource, ms. */
  #startedAt: number | undefined;

  constructor(options: DataFinalizerOptions) {
    this.#options = options;
  }

  /** Removes the data and then our finalizer, or reports what it waits for. */
  async finalize(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, states, clock, recorder, metrics } = this.#options;
    if (states.of(session).finalizerRemoved) return {};
    this.#startedAt ??= clock.now();
    const { removal, tenantTerminating } = await this.#remove(session, context);
    const deadline = deadlineOf({
      deletedAt: Date.parse(session.metadata.deletionTimestamp ?? ''),
      tenantTerminating,
      startedAt: this.#startedAt,
    });
    const now = clock.now();
    const state = states.of(session);
    state.deleted ||= removal.deleted;
    if (removal.pending.length + removal.unswept.length > 0 && now < deadline) {
      await this.#reportProgress(session, removal, deadline, context);
      return { requeueAfterMs: Math.min(RETRY_MS, deadline - now) };
    }
    const leftBehind = [...removal.leftBehind, ...removal.pending];
    const told = [...leftBehind, ...removal.unswept].join(' ');
    if (leftBehind.length > 0) {
      const message = `The data of the session could not be deleted and stays behind. ${told}`;
      recorder.event(session, 'Warning', EventReason.SessionDataLeftBehind, message);
      context.log.warn({ leftBehind }, 'the data of a deleted session stays behind');
    } else if (told !== '') {
      recorder.event(session, 'Warning', EventReason.SessionLockLeftBehind, `The data of the session is gone. ${told}`);
    }
    if (removal.ownedByAnother) {
      const message = `The data under id ${sessionIdOf(session)} of CopilotTenant ${session.spec.tenantRef.name} stays: another owner is stored beside it than spec.owner.`;
      recorder.event(session, 'Normal', EventReason.SessionDataOfAnother, message);
    }
    await removeFinalizer(client, CopilotSession, session, SESSION_DATA_FINALIZER);
    state.finalizerRemoved = true;
    metrics.removed(leftBehind.length > 0 ? 'LeftBehind' : state.deleted ? 'Deleted' : 'NotFound');
    return {};
  }

  async #remove(session: CopilotSession, { signal, log }: ReconcileContext): Promise<Attempt> {
    const { client, tenants, remover } = this.#options;
    let tenant: CopilotTenant | undefined;
    let removal: Removal;
    try {
      tenant = await findTenant(session, tenants, client, signal);
      removal =
        tenant === undefined
          ? await remover.withoutTenant(session, signal)
          : await remover.remove(session, tenant, { signal, log });
    } catch (error) {
      // Whatever keeps going wrong must not outlast the deadline.
      if (signal.aborted) throw error;
      log.warn({ err: error }, 'the data of a deleted session could not be deleted');
      const pending = ['The API server did not do what was asked of it.'];
      removal = { ...NOTHING_TO_REMOVE, pending, cause: missingPermission(error) };
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
    const what = pending.length > 0 ? 'the data' : 'that';
    const deleting = `${[...pending, ...unswept].join(' ')} If that has not changed by ${timestamp(deadline)}, ${what} is left behind.`;
    const status = unobservedStatus({ session, deleting, cause: removal.cause, now: clock.now() });
    return statusWriter.write(session, status, context.signal);
  }
}
