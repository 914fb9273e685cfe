/** Why a guard refuses grants and calls, in words. */
import type { EpochHolder, GuardRule } from '../resources/guard-protocol.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import type { Fence, GrantVerdict, HeldGrant } from './fence.ts';
import { SpoiltStampError } from './stamps.ts';

/** For which server a guard stands. */
export interface GuardIdentity extends EpochHolder {
  /** `namespace/name`. */
  readonly tenant: string;
}

/** Why something is refused. */
export interface Refusal {
  readonly rule: GuardRule;
  readonly message: string;
  readonly epoch?: number | undefined;
  readonly holder?: EpochHolder | undefined;
}

export const BUSY: Refusal = { rule: 'Busy', message: 'too many calls wait in the guard; try again later' };

export function storageFailed(session: string, error: unknown): Refusal {
  // The words of a file system have paths of the pod in them. They are in the log.
  const message =
    error instanceof SpoiltStampError
      ? `session ${session}: ${error.message}`
      : `the epoch of session ${session} could not be read or stored; try again later`;
  return { rule: 'StorageFailed', message };
}

/** A grant for another server; undefined: it is for this one. */
export function misdirected({ tenant, server, pod, session }: SessionGrant, self: GuardIdentity): Refusal | undefined {
  if (tenant === self.tenant && server === self.server && pod === self.pod) return undefined;
  return {
    rule: 'BadGrant',
    message: `the grant for session ${session} is for ${server}, pod ${pod}; this is ${self.server}, pod ${self.pod}`,
  };
}

/** A grant that was decided on. */
export function ungranted(verdict: Extract<GrantVerdict, { outcome: 'Refused' }>): Refusal {
  const { reason: rule, message, epoch, holder } = verdict;
  return { rule, message, epoch, holder };
}

/** A call that was decided on. */
export function uncalled(
  rule: 'NoGrant' | 'StaleEpoch',
  session: string,
  held: HeldGrant | undefined,
  fence: Fence | undefined,
): Refusal {
  const message =
    rule === 'NoGrant'
      ? `the connection has no grant for this call about session ${session}`
      : `epoch ${held?.epoch} of session ${session} has ended: ${fence?.epoch} is known`;
  return { rule, message, ...(fence && { epoch: fence.epoch }) };
}
