/** What a deletion through a running server leaves on its volume: an empty lock file that the server never removes (docs/cleanup.md). */
import type { Job, PersistentVolumeClaim } from '../kube/builtins.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Clock } from '../kube/clock.ts';
import { ignoreNotFound } from '../kube/notfound.ts';
import type { ReadonlyStore } from '../kube/store.ts';
import { fromKey } from '../kube/types.ts';
import { sweepName, tenantOfServer } from '../resources/names.ts';
import { askForSweep, sweepAt } from '../resources/sweep.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { ServerView } from './servers.ts';

/** From the first deletion to the sweep, in ms: those that come together are swept together. */
export const SWEEP_DELAY_MS = 30_000;

export interface LeftoversOptions {
  readonly client: KubeClient;
  readonly claims: ReadonlyStore<PersistentVolumeClaim>;
  readonly jobs: ReadonlyStore<Job>;
  readonly clock: Clock;
}

/** Whether the session was seen on the server. One that is not there any more may have been deleted by a pass that came no further. */
export function wasOn({ status }: CopilotSession, { name }: Pick<ServerView, 'name'>): boolean {
  return status?.server === name;
}

export class Leftovers {
  readonly #options: LeftoversOptions;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /** A session was deleted through this server: asks for a sweep of its volume, unless one is asked for that has not begun. */
  async of({ key, name, index }: Pick<ServerView, 'key' | 'name' | 'index'>, signal: AbortSignal): Promise<void> {
    const { client, claims, jobs, clock } = this.#options;
    const { namespace } = fromKey(key);
    const claim = claims.get({ namespace, name });
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return;
    const begun = jobs.get({ namespace, name: sweepName(tenantOfServer(name), index) }) !== undefined;
    if (sweepAt(claim) !== undefined && !begun) return;
    await ignoreNotFound(askForSweep(client, claim, clock.now() + SWEEP_DELAY_MS, signal));
  }
}
