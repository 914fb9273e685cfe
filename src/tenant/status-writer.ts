/** Writes the status of a tenant, and the events of its transitions. */
import { FIELD_MANAGER } from '../api/names.ts';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import { isForbidden } from '../kube/types/errors.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import { type StatusWrite, writeStatus } from '../kube/write/status.ts';
import { CopilotTenant } from '../resources/tenant.ts';
import { refusalOfRequest } from './decisions/refusal.ts';
import type { FirstReady } from './first-ready.ts';
import type { SessionStatistics } from './sessions/session-statistics.ts';
import { transitions } from './transitions.ts';

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Our own writes of tenants' status, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly statistics: SessionStatistics;
  readonly firstReady: FirstReady;
}

/** Writes statuses; every write is also recorded in the session statistics and in the time to the first Ready. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Writes the status if it differs. `forbidden`: the operator lacks the permission, which an event reports instead. */
  async write(
    tenant: CopilotTenant,
    status: CopilotTenantStatus,
    signal: AbortSignal,
  ): Promise<StatusWrite | 'forbidden'> {
    const { client, recent, recorder, statistics, firstReady } = this.#options;
    let outcome: StatusWrite;
    try {
      const options = { client, recent, fieldManager: FIELD_MANAGER };
      outcome = await writeStatus(options, CopilotTenant, tenant, status, signal);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      // Not thrown: with back-off it could take minutes until a granted permission is noticed.
      const refusal = refusalOfRequest(error, `CopilotTenant ${tenant.metadata.name}`);
      if (refusal) recorder.event(tenant, 'Warning', refusal.reason, refusal.message);
      return 'forbidden';
    }
    if (outcome !== 'written') return outcome;
    statistics.statusWritten(tenant);
    firstReady.statusWritten(tenant, status);
    for (const { type, reason, message } of transitions(tenant.status, status)) {
      recorder.event(tenant, type, reason, message);
    }
    return outcome;
  }
}
