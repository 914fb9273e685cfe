/** Has the coordination store forget the records of tenants that do not exist any more. */
import { Backoff } from '../../kube/clock/backoff.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { toError } from '../../kube/types/errors.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { CoordinationStore } from '../locks/store.ts';
import type { CachedFleet } from './fleet.ts';
import type { RoutedTenant } from './slim.ts';

export interface GoneTenantsOptions {
  readonly fleet: Pick<CachedFleet, 'onDeleted' | 'has'>;
  readonly store: Pick<CoordinationStore, 'forgetTenant'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly random: Random;
  readonly log: { info(fields: object, message: string): void };
  /** Aborts when the process stops. */
  readonly stop: AbortSignal;
}

/** At least so long after the deletion, in ms: what its home has under way is over, and a list that lacked it by mistake was made again. */
const AFTER_MS = 60_000;
const RETRY = { baseMs: 5_000, maxMs: 600_000 };

/**
 * Every replica does it, each at its own time: the home of a tenant that nobody used is no replica, and those that come later find nothing.
 * Returns the function that ends it.
 */
export function forgetGoneTenants(options: GoneTenantsOptions): () => void {
  return options.fleet.onDeleted((tenant) => {
    if (tenant.spec?.topology === 'SharedStorage') void forget(tenant, options);
  });
}

async function forget(tenant: RoutedTenant, options: GoneTenantsOptions): Promise<void> {
  const { fleet, store, clock, random, log, stop } = options;
  const { uid = '' } = tenant.metadata;
  const backoff = new Backoff(RETRY, random);
  for (let ms = AFTER_MS * (1 + random()); ; ms = backoff.next()) {
    await clock.sleep(ms, stop).catch(() => undefined);
    // It was taken for gone while its type or its namespace could not be listed.
    if (stop.aborted || fleet.has(tenant)) return;
    try {
      return await store.forgetTenant(uid);
    } catch (error) {
      const fields = { tenant: keyOf(tenant), error: toError(error).message };
      log.info(fields, 'the records of a deleted tenant are still in the coordination store; tried again later');
    }
  }
}
