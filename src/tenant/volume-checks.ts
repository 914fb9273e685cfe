/** When the volumes of tenants were last checked, and what is known of them besides. */
import type { VolumeUsage } from '../api/tenant-status.ts';
import { LruMap } from '../kube/cache/lru.ts';
import type { SweepDecision } from './cleanup/sweep-decision.ts';
import type { ServerWorld, VolumeFacts, World } from './model.ts';
import type { SessionStatistics } from './sessions/session-statistics.ts';

/** Number of volumes whose last check is remembered. */
const MAX_VOLUMES = 10_000;

/** Of all tenants. */
export class VolumeChecks {
  readonly #statistics: Pick<SessionStatistics, 'totalOf'>;
  /** By the UID of the claim: a volume that cannot be measured is not checked over and over. */
  readonly #checkedAt = new LruMap<string, number>(MAX_VOLUMES);

  constructor(statistics: Pick<SessionStatistics, 'totalOf'>) {
    this.#statistics = statistics;
  }

  /** Checks were requested now. */
  record(sweeps: readonly SweepDecision[], now: number): void {
    for (const step of sweeps) {
      if (step.action === 'request') this.#checkedAt.set(step.claim.metadata.uid ?? '', now);
    }
  }

  /** By the index of the server. */
  factsOf({ tenant, servers }: World, usages: ReadonlyMap<number, VolumeUsage>): Map<number, VolumeFacts> {
    const factsOf = ({ index, claim }: ServerWorld): VolumeFacts => ({
      sessions: this.#statistics.totalOf(tenant, index),
      usage: usages.get(index),
      requestedAt: this.#checkedAt.get(claim?.metadata.uid ?? ''),
    });
    return new Map([...servers.values()].map((server) => [server.index, factsOf(server)]));
  }
}
