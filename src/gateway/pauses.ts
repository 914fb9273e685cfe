/** Which tenants get no further clients and prompts: by their annotation, which outlives this process, or by the internal port until it ends. */
import { keyOf } from '../kube/types/types.ts';
import type { Fleet, TenantRef } from './model.ts';

/** Of this replica. */
export class Pauses {
  readonly #fleet: Pick<Fleet, 'find'>;
  /** UIDs of the tenants that the port has paused, by their keys. */
  readonly #byPort = new Map<string, string>();

  constructor(fleet: Pick<Fleet, 'find'>) {
    this.#fleet = fleet;
  }

  isPaused(tenant: TenantRef): boolean {
    const found = this.#fleet.find(tenant);
    if (found?.isPaused === true) return true;
    return found !== undefined && this.#byPort.get(keyOf(tenant)) === found.uid;
  }

  /** Pauses a tenant of this UID, until `resume` or the end of this process. */
  pause(tenant: TenantRef, uid: string): void {
    this.#byPort.set(keyOf(tenant), uid);
  }

  /** Takes back what the port has paused. The annotation stays as it is. */
  resume(tenant: TenantRef): void {
    this.#byPort.delete(keyOf(tenant));
  }
}

/** What clients are told. */
export function pausedMessage(tenant: TenantRef): string {
  return `tenant ${keyOf(tenant)} is paused: it gets no further clients and prompts at the gateway until an administrator resumes it; try again`;
}
