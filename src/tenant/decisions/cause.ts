import type { ReconcilingReason, StalledReason } from '../../api/conditions.ts';

/** Why a tenant cannot get on by itself: the reason for programs, and for people what was found and what to do. */
export interface Cause {
  readonly reason: StalledReason;
  readonly message: string;
}

/** Something that passes by itself, and what the tenant waits for. */
export interface Wait {
  readonly reason: ReconcilingReason;
  readonly message: string;
}
