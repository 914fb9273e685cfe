/** Measures how long a new tenant takes to become Ready. */
import { ConditionType } from '../api/conditions.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import { isConditionTrue } from '../kube/write/conditions.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { TenantMetrics } from './metrics.ts';

/** Measures only tenants that this process has seen without a status: any other may have been Ready before. */
export class FirstReady {
  readonly #clock: Clock;
  readonly #metrics: Pick<TenantMetrics, 'becameReady'>;
  /** UIDs of the tenants that are being measured, by key. */
  readonly #waiting = new Map<string, string | undefined>();

  constructor(clock: Clock, metrics: Pick<TenantMetrics, 'becameReady'>) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Starts the measurement of a tenant that has no status yet. */
  start(tenant: CopilotTenant): void {
    if (tenant.status === undefined) this.#waiting.set(keyOf(tenant), tenant.metadata.uid);
  }

  /** Ends it with the first status that says Ready. */
  statusWritten(tenant: CopilotTenant, status: NonNullable<CopilotTenant['status']>): void {
    const { uid, creationTimestamp = '' } = tenant.metadata;
    if (!isConditionTrue(status.conditions, ConditionType.Ready) || this.#waiting.get(keyOf(tenant)) !== uid) return;
    this.#waiting.delete(keyOf(tenant));
    this.#metrics.becameReady(this.#clock.now() - Date.parse(creationTimestamp));
  }

  /** Gives up on a tenant that was deleted. */
  forget(request: NamespacedName): void {
    this.#waiting.delete(keyOf(request));
  }
}
