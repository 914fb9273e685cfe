/** What this process remembers of each session between reconciles. */
import { keyOf, type NamespacedName } from '../kube/types/types.ts';
import type { CopilotSession } from '../resources/session.ts';

/** Losing it costs a write or a call, and nothing else. */
export interface SessionState {
  readonly uid: string | undefined;
  /** When its status was last written, monotonic ms. */
  statusWrittenAt?: number;
  /** When storing its labels was last attempted, monotonic ms. */
  labelledAt?: number;
  /** How often in a row its server has refused them, for this generation of the resource. */
  labelsRefused?: { readonly generation: number | undefined; readonly times: number };
  /** It had expired but was in use: for which `expiresAt`, how often in a row, and until when it is left alone, monotonic ms. */
  inUse?: { readonly expiresAt: number; readonly times: number; readonly until: number };
  /** When its data was deleted because it had expired, ms: older answers of its server still have it. */
  expiredAt?: number;
  /** When the deletion of the resource was first reconciled, ms, by both clocks. */
  deletionSeen?: { readonly wall: number; readonly monotonic: number };
  /** Its data was deleted with the resource. */
  deleted?: boolean;
  /**
   * Our finalizer was removed. The deletion on the server enqueues the session, often before the cache shows that it is gone, and the
   * response to the last patch has no resourceVersion to compare with.
   */
  finalizerRemoved?: boolean;
}

/** The state of each session, by resource; a recreated resource starts without any. */
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
