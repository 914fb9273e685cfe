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
import type { Memory } from '../session-state.ts';
import type { SessionMetrics } from '../metrics.ts';
import { type Remover } from './data-remover.ts';
import { unchangedStatus } from '../status.ts';
import type { StatusTeller } from '../status-writer.ts';
import { tenantOf } from '../tenant-lookup.ts';
import { EventReason } from '../transitions.ts';
import { NOTHING, type Removal } from '../model.ts';

/** How soon what failed, or is waited for without anything that tells of it, is looked at again, in ms. */
const RETRY_MS = 5_000;

export interface FinalizerOptions {
  readonly client: KubeClient;
  readonly tenants: ReadonlyStore<CopilotTenant>;
  readonly memory: Memory;
  readonly remover: Remover;
  readonly teller: StatusTeller;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly metrics: SessionMetrics;
  readonly clock: Clock;
}

interface Attempt {
  readonly removal: Removal;
  readonly tenantGoing: boolean;
}

export class Finalizer {
  readonly #options: FinalizerOptions;
  /** When this process first looked at a deleted resource, ms. */
  #since: number | undefined;

  constructor(options: FinalizerOptions) {
    this.#options = options;
  }

  /** Removes the data and then our finalizer, or says what it waits for. */
  async finalize(session: CopilotSession, context: ReconcileContext): Promise<Result> {
    const { client, memory, clock, recorder, metrics } = this.#options;
    if (memory.of(session).released) return {};
    this.#since ??= clock.now();
    const { removal, tenantGoing } = await this.#attempt(session, context);
    const deadline = deadlineOf({
      deletedAt: Date.parse(session.metadata.deletionTimestamp ?? ''),
      tenantGoing,
      since: this.#since,
    });
    const now = clock.now();
    const remembered = memory.of(session);
    remembered.deleted ||= removal.deleted;
    if (removal.waits.length + removal.unswept.length > 0 && now < deadline) {
      await this.#tell(session, removal, deadline, context);
      return { requeueAfterMs: Math.min(RETRY_MS, deadline - now) };
    }
    const left = [...removal.left, ...removal.waits];
    const told = [...left, ...removal.unswept].join(' ');
    if (left.length > 0) {
      const message = `The data of the session could not be deleted and stays behind. ${told}`;
      recorder.event(session, 'Warning', EventReason.SessionDataLeftBehind, message);
      context.log.warn({ left }, 'the data of a deleted session stays behind');
    } else if (told !== '') {
      recorder.event(session, 'Warning', EventReason.SessionLockLeftBehind, `The data of the session is gone. ${told}`);
    }
    if (removal.another) {
      const message = `The data under id ${sessionIdOf(session)} of CopilotTenant ${session.spec.tenantRef.name} stays: another owner is stored beside it than spec.owner.`;
      recorder.event(session, 'Normal', EventReason.SessionDataOfAnother, message);
    }
    await removeFinalizer(client, CopilotSession, session, SESSION_DATA_FINALIZER);
    remembered.released = true;
    metrics.removed(left.length > 0 ? 'LeftBehind' : remembered.deleted ? 'Deleted' : 'NotFound');
    return {};
  }

  async #attempt(session: CopilotSession, { signal, log }: ReconcileContext): Promise<Attempt> {
    const { client, tenants, remover } = this.#options;
    let tenant: CopilotTenant | undefined;
    let removal: Removal;
    try {
      tenant = await tenantOf(session, tenants, client, signal);
      removal =
        tenant === undefined
          ? await remover.withoutTenant(session, signal)
          : await remover.remove(session, tenant, { signal, log });
    } catch (error) {
      // Whatever keeps going wrong must not outlast the deadline.
      if (signal.aborted) throw error;
      log.warn({ err: error }, 'the data of a deleted session could not be deleted');
      const waits = ['The API server did not do what was asked of it.'];
      removal = { ...NOTHING, waits, cause: missingPermission(error) };
    }
    return { removal, tenantGoing: tenant?.metadata.deletionTimestamp !== undefined };
  }

  #tell(session: CopilotSession, removal: Removal, deadline: number, context: ReconcileContext): Promise<unknown> {
    const { teller, clock } = this.#options;
    const { waits, unswept } = removal;
    const what = waits.length > 0 ? 'the data' : 'that';
    const deleting = `${[...waits, ...unswept].join(' ')} If that has not changed by ${timestamp(deadline)}, ${what} is left behind.`;
    const status = unchangedStatus({ session, deleting, cause: removal.cause, now: clock.now() });
    return teller.tell(session, status, context.signal);
  }
}
