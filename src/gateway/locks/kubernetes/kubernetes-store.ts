/** The store in Leases of the gateway's own namespace: one for each session, and one for each tenant whose records were forgotten. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { Lease } from '../../../kube/types/builtins.ts';
import { AvailabilityBoard } from '../availability.ts';
import { advanced, checkAcquire, checkAdvance, checkKey, checkTenant, checkTtl, isSame, settled } from '../record.ts';
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
  type RecordResult,
  type ReleaseResult,
  type RenewResult,
  type SessionKey,
  type SessionRecord,
} from '../store.ts';
import { spoilt } from './explain.ts';
import { Leases, type LeasesOptions, type Requests } from './leases.ts';
import {
  contentOf,
  epochsIn,
  heldNow,
  isOf,
  keyIn,
  nameOfSession,
  nameOfTenant,
  NO_EPOCHS,
  NOTHING,
  selectorOf,
  sessionLease,
  tenantLease,
  type SessionContent,
  type TenantEpochs,
} from './session-lease.ts';
import { Sightings } from './sightings.ts';

/** How often an operation begins again because somebody else was faster. */
const TRIES = 20;
/** Deletions at a time. */
const WIDTH = 10;

/** What becomes of a Lease. Without `result` the operation goes on from what is there then. */
interface Step<R> {
  readonly write?: SessionContent | 'Delete';
  readonly result?: R;
}

export type KubernetesStoreOptions = Omit<LeasesOptions, 'board'>;

export class KubernetesStore implements CoordinationStore {
  readonly #clock: Clock;
  readonly #board = new AvailabilityBoard();
  readonly #leases: Leases;
  readonly #sightings: Sightings;

  constructor(options: KubernetesStoreOptions) {
    this.#clock = options.clock;
    this.#leases = new Leases({ ...options, board: this.#board });
    this.#sightings = new Sightings(options.clock);
  }

  get availability(): Availability {
    return this.#board.now;
  }

  onAvailability(listener: (now: Availability) => void): () => void {
    return this.#board.onChange(listener);
  }

  async read(key: SessionKey): Promise<SessionRecord | undefined> {
    checkKey(key);
    return this.#leases.run(async (requests) => {
      const lease = await requests.get(nameOfSession(key));
      return lease === undefined ? undefined : this.#contentOf(lease, key).record;
    });
  }

  async advance(key: SessionKey, advance: Advance): Promise<RecordResult> {
    checkAdvance(advance);
    return this.#change<RecordResult>(key, async (found, requests) => {
      if (!isSame(found?.record, advance.seen)) return { result: { outcome: 'Lost', record: found?.record } };
      // First an empty one: as long as it is there and unchanged, nobody forgets a record of this session.
      if (found === undefined) return { write: NOTHING };
      const { forgotten } = advance.seen === undefined ? await this.#epochs(key.tenant, requests) : NO_EPOCHS;
      const record = advanced(advance, forgotten);
      checkEpoch(record.epoch);
      return { write: { ...found, record }, result: { outcome: 'Won', record } };
    });
  }

  async settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult> {
    return this.#change<RecordResult>(key, async (found) => {
      if (found?.record?.state !== 'Moving' || !isSame(found.record, seen))
        return { result: { outcome: 'Lost', record: found?.record } };
      const record = settled(found.record);
      return { write: { ...found, record }, result: { outcome: 'Won', record } };
    });
  }

  async forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult> {
    return this.#change<ForgetResult>(key, async (found, requests, lease) => {
      if (found?.record === undefined || !isSame(found.record, seen))
        return { result: { outcome: 'Lost', record: found?.record } };
      // Before the deletion: if that fails, nothing was lost.
      await this.#raise(key.tenant, { forgotten: seen.epoch, locks: found.lockEpoch }, requests);
      const isHeld = found.lock !== undefined && !this.#isExpired(lease, found);
      return { write: isHeld ? { ...found, record: undefined } : 'Delete', result: { outcome: 'Forgotten' } };
    });
  }

  async *list(tenant: string): AsyncIterable<readonly (readonly [string, SessionRecord])[]> {
    checkTenant(tenant);
    for await (const leases of this.#leases.list(selectorOf(tenant))) {
      yield leases.flatMap((lease) => {
        const key = keyIn(lease);
        if (key?.tenant !== tenant) return [];
        const { record } = this.#contentOf(lease, key);
        return record === undefined ? [] : [[key.session, record] as const];
      });
    }
  }

  async forgetTenant(tenant: string): Promise<void> {
    checkTenant(tenant);
    for await (const leases of this.#leases.list(selectorOf(tenant))) {
      const own = leases.filter((lease) => isOf(lease, tenant));
      for (let from = 0; from < own.length; from += WIDTH) {
        const some = own.slice(from, from + WIDTH);
        await this.#leases.run((requests) => Promise.all(some.map((lease) => requests.remove(lease))));
      }
    }
  }

  async acquire(key: SessionKey, wish: Acquire): Promise<AcquireResult> {
    checkAcquire(wish);
    const sentAt = this.#clock.monotonic();
    const { holder, ttlMs, floor } = wish;
    return this.#change<AcquireResult>(key, async (found, requests, lease) => {
      if (found === undefined) return { write: NOTHING };
      if (found.lock !== undefined && !this.#isExpired(lease, found)) {
        const { holder: other, epoch } = found.lock;
        return { result: { outcome: 'Held', by: { holder: other, epoch } } };
      }
      // A Lease that had no lock may follow one that was deleted.
      const before = found.lockEpoch || (await this.#epochs(key.tenant, requests)).locks;
      const epoch = Math.max(before, floor) + 1;
      checkEpoch(epoch);
      const lock = heldNow({ holder, epoch }, ttlMs, this.#clock.now());
      const held: HeldLock = { key, holder, epoch, heldUntil: sentAt + ttlMs };
      return { write: { ...found, lock, lockEpoch: epoch }, result: { outcome: 'Acquired', lock: held } };
    });
  }

  async renew(lock: HeldLock, ttlMs: number): Promise<RenewResult> {
    checkTtl(ttlMs);
    const sentAt = this.#clock.monotonic();
    // Others may have it from here on, and need not have written that yet.
    if (sentAt >= lock.heldUntil) return { outcome: 'Lost' };
    return this.#change<RenewResult>(lock.key, async (found) => {
      if (found === undefined || !holds(lock, found)) return { result: { outcome: 'Lost' } };
      const held = heldNow(lock, ttlMs, this.#clock.now());
      return {
        write: { ...found, lock: held },
        result: { outcome: 'Renewed', lock: { ...lock, heldUntil: sentAt + ttlMs } },
      };
    });
  }

  async release(lock: HeldLock): Promise<ReleaseResult> {
    return this.#change<ReleaseResult>(lock.key, async (found, requests) => {
      if (found === undefined || !holds(lock, found)) return { result: { outcome: 'Lost' } };
      const result = { outcome: 'Released' } as const;
      if (found.record !== undefined) return { write: { ...found, lock: undefined }, result };
      await this.#raise(lock.key.tenant, { forgotten: 0, locks: found.lockEpoch }, requests);
      return { write: 'Delete', result };
    });
  }

  async close(): Promise<void> {
    this.#leases.close();
  }

  /** Reads, decides, and writes if nobody has changed it since; else from the beginning. */
  async #change<R>(
    key: SessionKey,
    decide: (found: SessionContent | undefined, requests: Requests, lease: Lease | undefined) => Promise<Step<R>>,
  ): Promise<R> {
    checkKey(key);
    const name = nameOfSession(key);
    return this.#leases.run(async (requests) => {
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        const lease = await requests.get(name);
        const found = lease && this.#contentOf(lease, key);
        const { write, result } = await decide(found, requests, lease);
        if (write === undefined || (await this.#write(key, write, lease, requests))) {
          if (result !== undefined) return result;
        }
      }
      throw new CoordinationUnavailableError(
        'NotServing',
        `Lease ${name} was changed by others ${TRIES} times meanwhile`,
      );
    });
  }

  async #write(
    key: SessionKey,
    content: SessionContent | 'Delete',
    lease: Lease | undefined,
    requests: Requests,
  ): Promise<boolean> {
    if (content !== 'Delete') {
      if (content.lock === undefined) this.#sightings.forget(nameOfSession(key));
      return requests.put(sessionLease(key, this.#leases.namespace, content, lease), lease);
    }
    this.#sightings.forget(nameOfSession(key));
    return lease !== undefined && requests.remove(lease);
  }

  #isExpired(lease: Lease | undefined, { lock }: SessionContent): boolean {
    if (lease === undefined || lock === undefined) return true;
    return this.#sightings.isExpired(lease.metadata.name, lease.metadata.uid ?? '', lock);
  }

  #contentOf(lease: Lease, key: SessionKey): SessionContent {
    const content = contentOf(lease, key);
    if (content === undefined) throw spoilt(this.#leases.namespace, lease.metadata.name);
    return content;
  }

  async #epochs(tenant: string, requests: Requests): Promise<TenantEpochs> {
    const lease = await requests.get(nameOfTenant(tenant));
    return lease === undefined ? NO_EPOCHS : this.#epochsIn(lease, tenant);
  }

  #epochsIn(lease: Lease, tenant: string): TenantEpochs {
    const epochs = epochsIn(lease, tenant);
    if (epochs === undefined) throw spoilt(this.#leases.namespace, lease.metadata.name);
    return epochs;
  }

  /** The epochs of the tenant are at least these. */
  async #raise(tenant: string, least: TenantEpochs, requests: Requests): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const lease = await requests.get(nameOfTenant(tenant));
      const { forgotten, locks } = lease === undefined ? NO_EPOCHS : this.#epochsIn(lease, tenant);
      if (lease !== undefined && forgotten >= least.forgotten && locks >= least.locks) return;
      const epochs = { forgotten: Math.max(forgotten, least.forgotten), locks: Math.max(locks, least.locks) };
      if (await requests.put(tenantLease(tenant, this.#leases.namespace, epochs, lease), lease)) return;
    }
    throw new CoordinationUnavailableError(
      'NotServing',
      `Lease ${nameOfTenant(tenant)} was changed by others ${TRIES} times meanwhile`,
    );
  }
}

function holds({ holder, epoch }: HeldLock, { lock }: SessionContent): boolean {
  return lock?.holder === holder && lock.epoch === epoch;
}

function checkEpoch(epoch: number): void {
  if (epoch > MAX_EPOCH) throw new RangeError(`epoch: there is none above ${MAX_EPOCH}`);
}
