/** What a deletion through a running server leaves on its volume: an empty lock file that the server never removes (docs/cleanup.md). */
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

/** From the first deletion to the sweep, in ms: those that come together are swept together. */
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
   * The server was told to delete the session, and what came of it: asks for a sweep of its volume, unless there can be nothing
   * to sweep, or one is asked for that has not begun.
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
    const claim = claims.get({ namespace, name: server.name });
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return;
    const job = jobs.get({ namespace, name: sweepName(tenantOfServer(server.name), server.index) });
    const asked = sweepAt(claim);
    if (asked !== undefined && asked !== (job && sweepAt(job))) return;
    await ignoreNotFound(requestSweep(client, claim, clock.now() + SWEEP_DELAY_MS, signal));
  }
}

/**
 * Whether a session that its server does not have may have left its lock there: one that is lost, or was deleted by a pass that came
 * no further. One that was never seen may have had no turn, and then nobody knows.
 */
function mayHaveLeftLock({ status }: CopilotSession, { name }: ServerView): boolean {
  return wasSeen(status) && (status?.server === undefined || status.server === name);
}
