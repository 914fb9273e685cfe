import type { StalledReason } from '../../api/conditions.ts';

/** Why a tenant cannot get on by itself: the reason for programs, and for people what was found and what to do. */
export interface Cause {
  readonly reason: StalledReason;
  readonly message: string;
}
