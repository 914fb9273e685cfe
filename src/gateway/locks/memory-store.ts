/** A store in the memory of this process: for a gateway that has one replica, and for tests. */
import type { Clock } from '../../kube/clock/clock.ts';
import { AvailabilityBoard } from './availability.ts';
import { advanced, checkAcquire, checkAdvance, checkKey, checkTenant, checkTtl, isSame, settled } from './record.ts';
import {
  CoordinationUnavailableError,
  MAX_EPOCH,
  type Acquire,
  type AcquireResult,
  type Advance,
  type Availability,
  type CoordinationStore,
  type ForgetResult,
  type HeldLock,
  type LockHolder,
  type RecordResult,
  type ReleaseResult,
  type RenewResult,
  type SessionKey,
  type SessionRecord,
} from './store.ts';

const PAGE = 1_000;

interface Held extends LockHolder {
  readonly until: number;
}

/** What is known of one tenant. */
class Tenant {
  readonly records = new Map<string, SessionRecord>();
  readonly locks = new Map<string, Held>();
  /** The highest epoch of a record that was forgotten. */
  forgotten = 0;
  /** Of the last lock that was given. */
  lockEpoch = 0;
}

/** It ends with the process: the next one finds no records. */
export class MemoryStore implements CoordinationStore {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #board = new AvailabilityBoard();
  readonly #tenants = new Map<string, Tenant>();
  #isClosed = false;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

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

  async acquire(key: SessionKey, wish: Acquire): Promise<AcquireResult> {
    checkAcquire(wish);
    const tenant = this.#tenantOf(key);
    const now = this.#clock.monotonic();
    const by = tenant.locks.get(key.session);
    if (by !== undefined && now < by.until) return { outcome: 'Held', by: { holder: by.holder, epoch: by.epoch } };
    tenant.lockEpoch = Math.max(tenant.lockEpoch, wish.floor) + 1;
    const lock = { key, holder: wish.holder, epoch: tenant.lockEpoch, heldUntil: now + wish.ttlMs };
    tenant.locks.set(key.session, { holder: lock.holder, epoch: lock.epoch, until: lock.heldUntil });
    return { outcome: 'Acquired', lock };
  }

  async renew(lock: HeldLock, ttlMs: number): Promise<RenewResult> {
    checkTtl(ttlMs);
    const held = this.#heldBy(lock);
    if (held === undefined) return { outcome: 'Lost' };
    const heldUntil = this.#clock.monotonic() + ttlMs;
    this.#tenantOf(lock.key).locks.set(lock.key.session, { ...held, until: heldUntil });
    return { outcome: 'Renewed', lock: { ...lock, heldUntil } };
  }

  async release(lock: HeldLock): Promise<ReleaseResult> {
    if (this.#heldBy(lock) === undefined) return { outcome: 'Lost' };
    this.#tenantOf(lock.key).locks.delete(lock.key.session);
    return { outcome: 'Released' };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#tenants.clear();
  }

  #heldBy({ key, holder, epoch }: HeldLock): Held | undefined {
    const found = this.#tenantOf(key).locks.get(key.session);
    const isIts = found?.holder === holder && found.epoch === epoch && this.#clock.monotonic() < found.until;
    return isIts ? found : undefined;
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
