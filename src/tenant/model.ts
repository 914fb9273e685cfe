/** The types that all of this part shares: what stands in a tenant's way, and what passes by itself. */
import type { ReconcilingReason, StalledReason } from '../api/conditions.ts';
import type { Cause } from '../kube/write/conditions.ts';

/** Why a tenant can't get on by itself: a user has to act. */
export type TenantCause = Cause<StalledReason>;

/** What a tenant waits for and what passes by itself. */
export type Wait = Cause<ReconcilingReason>;
