/** Limits how often the status is written only because session statistics have changed. */
import { isDeepStrictEqual } from 'node:util';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import { pressureChanged, reportedSessions } from './sessions/sessions-status.ts';
import { computeStatus, type StatusInput } from './status.ts';

/** The status to write. If only session statistics have changed, they are held back for `waitMs`, and `statisticsDueMs` is set. */
export function statusToWrite(
  input: StatusInput,
  waitMs: number,
): { readonly status: CopilotTenantStatus; readonly statisticsDueMs?: number } {
  const { tenant, sessions } = input;
  const status = withoutNewFields(computeStatus(input), tenant.status);
  if (waitMs === 0 || pressureChanged(tenant, sessions)) return { status };
  const held = withoutNewFields(computeStatus({ ...input, sessions: reportedSessions(tenant) }), tenant.status);
  // A write that is needed anyway includes the new statistics.
  if (!isDeepStrictEqual(held, tenant.status) || isDeepStrictEqual(status, held)) return { status };
  return { status: held, statisticsDueMs: waitMs };
}

/**
 * `access`, `modelInjection` and `clients` are new in this version, and absent they mean Direct, ServerEnv and none: they are written with the
 * next change of the status. An upgrade, or the start of a gateway, would otherwise write the status of every tenant at once.
 */
function withoutNewFields(status: CopilotTenantStatus, last: CopilotTenantStatus | undefined): CopilotTenantStatus {
  if (last === undefined) return status;
  const { access, modelInjection, clients, ...rest } = status;
  const known = {
    ...rest,
    ...((last.access !== undefined || access !== 'Direct') && access !== undefined && { access }),
    ...((last.modelInjection !== undefined || modelInjection !== 'ServerEnv') && { modelInjection }),
    ...((last.clients !== undefined || clients !== 0) && clients !== undefined && { clients }),
  };
  return isDeepStrictEqual(known, last) ? known : status;
}
