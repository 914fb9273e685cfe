/** The store in Leases of the gateway's own namespace: one for each session, and one for each tenant whose records were forgotten. */
import type { Lease } from '../../../kube/types/builtins.ts';
import { AvailabilityBoard } from '../availability.ts';
import { advanced, checkAdvance, checkKey, checkTenant, isSame, settled } from '../record.ts';
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
} from '../store.ts';
import { spoilt } from './explain.ts';
import { Leases, type LeasesOptions, type Requests } from './leases.ts';
import {
  contentOf,
  forgottenIn,
  isOf,
  keyIn,
  nameOfSession,
  nameOfTenant,
  NOTHING,
  selectorOf,
  sessionLease,
  tenantLease,
  type SessionContent,
} from './session-lease.ts';

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
  readonly #board = new AvailabilityBoard();
  readonly #leases: Leases;

  constructor(options: KubernetesStoreOptions) {
    this.#leases = new Leases({ ...options, board: this.#board });
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
      const forgotten = advance.seen === undefined ? await this.#forgotten(key.tenant, requests) : 0;
      const record = advanced(advance, forgotten);
      checkEpoch(record.epoch);
      return { write: { record }, result: { outcome: 'Won', record } };
    });
  }

  async settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult> {
    return this.#change<RecordResult>(key, async (found) => {
      if (found?.record?.state !== 'Moving' || !isSame(found.record, seen))
        return { result: { outcome: 'Lost', record: found?.record } };
      const record = settled(found.record);
      return { write: { record }, result: { outcome: 'Won', record } };
    });
  }

  async forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult> {
    return this.#change<ForgetResult>(key, async (found, requests) => {
      if (found?.record === undefined || !isSame(found.record, seen))
        return { result: { outcome: 'Lost', record: found?.record } };
      // Before the deletion: if that fails, nothing was lost.
      await this.#raise(key.tenant, seen.epoch, requests);
      return { write: 'Delete', result: { outcome: 'Forgotten' } };
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

  async close(): Promise<void> {
    this.#leases.close();
  }

  /** Reads, decides, and writes if nobody has changed it since; else from the beginning. */
  async #change<R>(
    key: SessionKey,
    decide: (found: SessionContent | undefined, requests: Requests) => Promise<Step<R>>,
  ): Promise<R> {
    checkKey(key);
    const name = nameOfSession(key);
    return this.#leases.run(async (requests) => {
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        const lease = await requests.get(name);
        const found = lease && this.#contentOf(lease, key);
        const { write, result } = await decide(found, requests);
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
    if (content !== 'Delete') return requests.put(sessionLease(key, this.#leases.namespace, content, lease), lease);
    return lease !== undefined && requests.remove(lease);
  }

  #contentOf(lease: Lease, key: SessionKey): SessionContent {
    const content = contentOf(lease, key);
    if (content === undefined) throw spoilt(this.#leases.namespace, lease.metadata.name);
    return content;
  }

  /** The highest epoch of a record of the tenant that was forgotten; 0: there was none. */
  async #forgotten(tenant: string, requests: Requests): Promise<number> {
    const lease = await requests.get(nameOfTenant(tenant));
    return lease === undefined ? 0 : this.#forgottenIn(lease, tenant);
  }

  #forgottenIn(lease: Lease, tenant: string): number {
    const forgotten = forgottenIn(lease, tenant);
    if (forgotten === undefined) throw spoilt(this.#leases.namespace, lease.metadata.name);
    return forgotten;
  }

  /** It is at least that. */
  async #raise(tenant: string, least: number, requests: Requests): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const lease = await requests.get(nameOfTenant(tenant));
      if (lease !== undefined && this.#forgottenIn(lease, tenant) >= least) return;
      if (await requests.put(tenantLease(tenant, this.#leases.namespace, least, lease), lease)) return;
    }
    throw new CoordinationUnavailableError(
      'NotServing',
      `Lease ${nameOfTenant(tenant)} was changed by others ${TRIES} times meanwhile`,
    );
  }
}

function checkEpoch(epoch: number): void {
  if (epoch > MAX_EPOCH) throw new RangeError(`epoch: there is none above ${MAX_EPOCH}`);
}
