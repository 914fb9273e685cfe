/** Holds back a status in which nothing but the numbers of sessions has changed, so that these alone are not written too often. */
import { isDeepStrictEqual } from 'node:util';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import { pressureChanged, reportedSessions } from './sessions/sessions-status.ts';
import { computeStatus, type StatusInput } from './status.ts';

/** The status to write. Numbers of sessions that alone have changed wait for their turn, which comes in `waitMs`; when that is due. */
export function statusToWrite(
  input: StatusInput,
  waitMs: number,
): { readonly status: CopilotTenantStatus; readonly statisticsDueMs?: number } {
  const { tenant, sessions } = input;
  const status = computeStatus(input);
  if (waitMs === 0 || pressureChanged(tenant, sessions)) return { status };
  const held = computeStatus({ ...input, sessions: reportedSessions(tenant) });
  // What is to be written anyway takes the numbers along.
  if (!isDeepStrictEqual(held, tenant.status) || isDeepStrictEqual(status, held)) return { status };
  return { status: held, statisticsDueMs: waitMs };
}
