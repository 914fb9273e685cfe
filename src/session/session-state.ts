import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { CopilotSession } from '../resources/session.ts';

/** What this process remembers of a session. To lose it costs a write or a call, and nothing else. */
export interface SessionState {
  readonly uid: string | undefined;
  /** When its status was last written, ms. */
  statusWrittenAt?: number;
  /** When its labels were last stored, or tried to, ms. */
  labelledAt?: number;
  /** How often in a row its server has refused them, as of this generation of the resource. */
  labelsRefused?: { readonly generation: number | undefined; readonly times: number };
  /** Its time was up, and it was in use: for which `expiresAt` that was found, how often in a row, and until when it is believed. */
  inUse?: { readonly expiresAt: number; readonly times: number; readonly until: number };
  /** When its data was deleted because its time was up, ms: older answers of its server still show it. */
  expiredAt?: number;
  /** Its data was deleted because the resource is. */
  deleted?: boolean;
  /**
   * Our finalizer was taken off. The deletion on the server wakes the session, often before the cache shows that it is
   * gone, and the answer to the last patch has no version that would tell it to be newer.
   */
  finalizerRemoved?: boolean;
}

export class SessionStates {
  readonly #sessions = new Map<string, SessionState>();

  of(session: CopilotSession): SessionState {
    const key = keyOf(session);
    const { uid } = session.metadata;
    const found = this.#sessions.get(key);
    if (found !== undefined && found.uid === uid) return found;
    const fresh: SessionState = { uid };
    this.#sessions.set(key, fresh);
    return fresh;
  }

  forget(request: NamespacedName): void {
    this.#sessions.delete(keyOf(request));
  }
}
