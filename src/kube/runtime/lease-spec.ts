/** The spec of a Lease, as whoever holds it writes it. */
import type { Lease } from '../types/builtins.ts';
import { microTimestamp } from '../types/time.ts';

/** Of a Lease. */
export type LeaseSpec = NonNullable<Lease['spec']>;

/** Who holds a Lease. */
export interface LeaseHolder {
  /** Unique to this process. */
  readonly identity: string;
  /** ms after the last renewal that others see, in which they leave it to its holder. */
  readonly durationMs: number;
}

/** Of a Lease that nobody held before. `now` is the wall clock's, ms. */
export function newLeaseSpec({ identity, durationMs }: LeaseHolder, now: number): LeaseSpec {
  const time = microTimestamp(now);
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(durationMs / 1000),
    acquireTime: time,
    renewTime: time,
    leaseTransitions: 0,
  };
}

/** Of the Lease when it is renewed, or taken over: that counts the transition. */
export function renewedLeaseSpec(before: LeaseSpec | undefined, holder: LeaseHolder, now: number): LeaseSpec {
  const { holderIdentity, acquireTime, leaseTransitions = 0 } = before ?? {};
  const kept =
    holderIdentity === holder.identity
      ? { leaseTransitions, ...(acquireTime && { acquireTime }) }
      : { leaseTransitions: leaseTransitions + 1 };
  return { ...before, ...newLeaseSpec(holder, now), ...kept };
}

/** Of the Lease when it is given up, as client-go: no holder, and a duration of a second for candidates that only read that. */
export function releasedLeaseSpec(before: LeaseSpec, now: number): LeaseSpec {
  const time = microTimestamp(now);
  return { ...before, holderIdentity: '', leaseDurationSeconds: 1, renewTime: time, acquireTime: time };
}
