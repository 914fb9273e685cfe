/** What the gateway signs stamps with and knows of CopilotSessions, as the test says. */
import { createHash } from 'node:crypto';
import type { TenantRef } from '../../src/gateway/model.ts';
import type { SessionRecord } from '../../src/gateway/ownership/decide.ts';
import type { SessionRecords } from '../../src/gateway/ownership/records.ts';
import type { Keys, NamedKey } from '../../src/kube/types/keys.ts';
import { TENANT } from './static-fleet.ts';

/** A key that follows from its id. */
export function stampKey(id: string): NamedKey {
  return { id, key: createHash('sha256').update(id).digest() };
}

export class StaticOwnership {
  /** The one that signs first. */
  keyList: readonly NamedKey[] = [stampKey('first')];
  isSynced = true;
  readonly #records = new Map<string, SessionRecord>();
  readonly #listeners: ((tenant: TenantRef) => void)[] = [];
  readonly keys: Keys;
  readonly records: SessionRecords;

  constructor() {
    const keyList = () => this.keyList;
    const isSynced = () => this.isSynced;
    this.keys = {
      get all() {
        return keyList();
      },
    };
    this.records = {
      get isSynced() {
        return isSynced();
      },
      find: (_tenant, sessionId) => this.#records.get(sessionId),
      onChange: (listener) => void this.#listeners.push(listener),
    };
  }

  /** What the CopilotSession of this id says from now on; undefined: there is none. */
  record(sessionId: string, record: SessionRecord | undefined): void {
    if (record === undefined) this.#records.delete(sessionId);
    else this.#records.set(sessionId, record);
    for (const listener of this.#listeners) listener(TENANT);
  }
}
