/** A store in the memory of this process: for a gateway that has one replica, and for tests. */
import { AvailabilityBoard } from './availability.ts';
import { advanced, checkAdvance, checkKey, checkTenant, isSame, settled } from './record.ts';
import {
  CoordinationUnavailableError,
  MAX_EPOCH,
  type Advance,
  type Availability,
  type CoordinationStore,
  type ForgetResult,
  type RecordResult,
  type SessionKey,
  type SessionRecord,
} from './store.ts';

const PAGE = 1_000;

/** What is known of one tenant. */
class Tenant {
  readonly records = new Map<string, SessionRecord>();
  /** The highest epoch of a record that was forgotten. */
  forgotten = 0;
}

/** It ends with the process: the next one finds no records. */
export class MemoryStore implements CoordinationStore {
  readonly #board = new AvailabilityBoard();
  readonly #tenants = new Map<string, Tenant>();
  #isClosed = false;

  get availability(): Availability {
    return this.#board.now;
  }

  onAvailability(listener: (now: Availability) => void): () => void {
    return this.#board.onChange(listener);
  }

  async read(key: SessionKey): Promise<SessionRecord | undefined> {
    return this.#tenantOf(key).records.get(key.session);
  }

  async advance(key: SessionKey, advance: Advance): Promise<RecordResult> {
    checkAdvance(advance);
    const tenant = this.#tenantOf(key);
    const found = tenant.records.get(key.session);
    if (!isSame(found, advance.seen)) return { outcome: 'Lost', record: found };
    const record = advanced(advance, tenant.forgotten);
    if (record.epoch > MAX_EPOCH) throw new RangeError(`epoch: there is none above ${MAX_EPOCH}`);
    tenant.records.set(key.session, record);
    return { outcome: 'Won', record };
  }

  async settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult> {
    const { records } = this.#tenantOf(key);
    const found = records.get(key.session);
    if (found?.state !== 'Moving' || !isSame(found, seen)) return { outcome: 'Lost', record: found };
    const record = settled(found);
    records.set(key.session, record);
    return { outcome: 'Won', record };
  }

  async forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult> {
    const tenant = this.#tenantOf(key);
    const found = tenant.records.get(key.session);
    if (found === undefined || !isSame(found, seen)) return { outcome: 'Lost', record: found };
    tenant.forgotten = Math.max(tenant.forgotten, found.epoch);
    tenant.records.delete(key.session);
    return { outcome: 'Forgotten' };
  }

  async *list(tenant: string): AsyncIterable<readonly (readonly [string, SessionRecord])[]> {
    checkTenant(tenant);
    this.#answer();
    const all = [...(this.#tenants.get(tenant)?.records ?? [])];
    for (let from = 0; from < all.length; from += PAGE) yield all.slice(from, from + PAGE);
  }

  async forgetTenant(tenant: string): Promise<void> {
    checkTenant(tenant);
    this.#answer();
    this.#tenants.delete(tenant);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#tenants.clear();
  }

  #tenantOf(key: SessionKey): Tenant {
    checkKey(key);
    this.#answer();
    let tenant = this.#tenants.get(key.tenant);
    if (tenant === undefined) this.#tenants.set(key.tenant, (tenant = new Tenant()));
    return tenant;
  }

  #answer(): void {
    if (this.#isClosed)
      throw new CoordinationUnavailableError('Closed', 'this process has closed the coordination store');
    this.#board.answered();
  }
}
