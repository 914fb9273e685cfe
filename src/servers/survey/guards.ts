/** What is asked of the guard in front of a server before a session ends there. */
import type { CallOptions, Requester } from '../../copilot/index.ts';
import { HeldElsewhereError, type Holder } from './sessions.ts';

/** A server that has a guard. */
export interface GuardedServer {
  /** `namespace/name` of its tenant. */
  readonly guardOf: string;
  readonly key: string;
  readonly podUID: string;
}

/** How a session is to end, and the epoch after which: undefined, whatever there was. */
export interface WantedEnd {
  readonly sessionId: string;
  readonly intent: 'close' | 'delete';
  readonly after?: number | undefined;
}

/** Asks guards. */
export interface Guards {
  /** The highest epoch of a session that the guard knows: whoever is granted the session has a higher one from then on. */
  epochOf(client: Requester, server: GuardedServer, sessionId: string, options: CallOptions): Promise<number>;
  /** Has the guard let this connection end a session. `isOvertaken`: somebody was granted it after that epoch. */
  grant(
    client: Requester,
    server: GuardedServer,
    wanted: WantedEnd,
    options: CallOptions,
  ): Promise<{ readonly heldBy?: Holder | undefined; readonly isOvertaken?: boolean | undefined }>;
}

/** Returns whether the guard lets this connection end the session. @throws HeldElsewhereError */
export async function mayEnd(
  guards: Guards,
  client: Requester,
  server: GuardedServer,
  wanted: WantedEnd,
  options: CallOptions,
): Promise<boolean> {
  const { heldBy, isOvertaken } = await guards.grant(client, server, wanted, options);
  if (heldBy !== undefined) throw new HeldElsewhereError(heldBy, wanted.sessionId);
  return isOvertaken !== true;
}
