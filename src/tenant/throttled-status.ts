/** Holds back a status in which nothing but the numbers of sessions has changed, so that these alone are not written too often. */
import { isDeepStrictEqual } from 'node:util';
import type { CopilotTenantStatus } from '../api/tenant.ts';
import { flips, numbersAsTold } from './sessions/sessions-status.ts';
import { computeStatus, type StatusInput } from './status.ts';

/** The status to write. Numbers of sessions that alone have changed wait for their turn, which comes in `waitMs`; when that is due. */
export function statusToWrite(
  input: StatusInput,
  waitMs: number,
): { readonly status: CopilotTenantStatus; readonly numbersDueMs?: number } {
  const { tenant, sessions } = input;
  const status = computeStatus(input);
  if (waitMs === 0 || flips(tenant, sessions)) return { status };
  const former = computeStatus({ ...input, sessions: numbersAsTold(tenant) });
  // What is to be written anyway takes the numbers along.
  if (!isDeepStrictEqual(former, tenant.status) || isDeepStrictEqual(status, former)) return { status };
  return { status: former, numbersDueMs: waitMs };
}
