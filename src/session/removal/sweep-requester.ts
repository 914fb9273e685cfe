/** Requests a sweep of what a deletion through a running server leaves on its volume: an empty lock file that the server never removes (docs/cleanup.md). */
import type { Job, PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { fromKey } from '../../kube/types/types.ts';
import { sweepName, tenantOfServer } from '../../resources/names.ts';
import { requestSweep, sweepAt } from '../../resources/sweep-request.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { wasSeen } from '../decisions/phase.ts';
import type { ServerView } from '../model.ts';

/** From the first deletion to the sweep, in ms: one sweep serves deletions that come together. */
const SWEEP_DELAY_MS = 30_000;

export interface SweepRequesterOptions {
  readonly client: KubeClient;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly jobs: ReadonlyStore<Job>;
  readonly clock: Clock;
}

export class SweepRequester {
  readonly #options: SweepRequesterOptions;

  constructor(options: SweepRequesterOptions) {
    this.#options = options;
  }

  /**
   * To be called after a deletion, with its result: requests a sweep of the server's volume, unless there can be nothing to sweep, or a
   * requested sweep has not started yet.
   */
  async afterDeletion(
    session: CopilotSession,
    server: ServerView,
    deleted: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, claims, jobs, clock } = this.#options;
    if (!deleted && !mayHaveLeftLock(session, server)) return;
    const { namespace } = fromKey(server.key);
    const claim = claims.get({ namespace, name: server.volume.claim });
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return;
    const job = jobs.get({ namespace, name: sweepName(tenantOfServer(server.name), server.volume.index) });
    const requested = sweepAt(claim);
    if (requested !== undefined && requested !== (job && sweepAt(job))) return;
    await ignoreNotFound(requestSweep(client, claim, clock.now() + SWEEP_DELAY_MS, signal));
  }
}

/**
 * Whether a session that its server does not have may have left its lock there: one that is lost, or that an earlier reconcile deleted
 * before it failed. One that was never seen probably had no turn, and left none.
 */
function mayHaveLeftLock({ status }: CopilotSession, { name }: ServerView): boolean {
  return wasSeen(status) && (status?.server === undefined || status.server === name);
}
