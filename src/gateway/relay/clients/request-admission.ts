/** Whether one more request of a client is taken. */
import type { RequestId } from '../../../copilot/index.ts';
import type { MethodRule } from '../../model.ts';
import type { RelayLimits } from '../model.ts';
import type { CallRefusal } from '../observer.ts';
import { CALL_BYTES, type OpenRequests } from './open-requests.ts';
import { tooMany } from '../refusals.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

/** Why it is not: as it is counted, and the frame that says so. */
export interface RequestRefusal {
  readonly reason: CallRefusal;
  readonly body: string;
}

/** Whether there is room for a request of so many bytes among those of the client. */
export function roomOf(
  id: RequestId,
  bytes: number,
  open: Pick<OpenRequests, 'size' | 'frameBytes'>,
  limits: Pick<RelayLimits, 'openRequests' | 'openBytes'>,
): RequestRefusal | undefined {
  const full = (what: string): RequestRefusal => ({
    reason: 'TooManyCalls',
    body: tooMany(id, `${what} are not answered yet`),
  });
  if (open.size >= limits.openRequests) return full(`more than ${limits.openRequests} requests`);
  // One may be as large as any frame.
  if (open.size > 0 && open.frameBytes + bytes > limits.openBytes) {
    return full(`requests of more than ${limits.openBytes} bytes`);
  }
  return undefined;
}

/** Whether there is room for it among all that is kept of the tenant. */
export function tenantRoomOf(
  id: RequestId,
  bytes: number,
  { action, rewrite }: MethodRule,
  homes: Pick<TenantHomes, 'mayKeep'>,
): RequestRefusal | undefined {
  // What makes room is not refused for want of room.
  const frees = action === 'answer' || rewrite === 'detach' || rewrite === 'delete';
  if (frees || homes.mayKeep(bytes + CALL_BYTES)) return undefined;
  return {
    reason: 'MemoryLimit',
    body: tooMany(id, 'the gateway keeps as much of this tenant as it has room for'),
  };
}
