/** A store whose operations are counted and timed. */
import type { Clock } from '../../kube/clock/clock.ts';
import type { CoordinationObserver, Operation, OperationResult } from './observer.ts';
import {
  CoordinationUnavailableError,
  type Advance,
  type Availability,
  type CoordinationStore,
  type ForgetResult,
  type RecordResult,
  type SessionKey,
  type SessionRecord,
} from './store.ts';

export interface ObservedStoreOptions {
  readonly store: CoordinationStore;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly observer: CoordinationObserver;
}

export class ObservedStore implements CoordinationStore {
  readonly #options: ObservedStoreOptions;

  constructor(options: ObservedStoreOptions) {
    this.#options = options;
  }

  get availability(): Availability {
    return this.#options.store.availability;
  }

  onAvailability(listener: (now: Availability) => void): () => void {
    return this.#options.store.onAvailability(listener);
  }

  read(key: SessionKey): Promise<SessionRecord | undefined> {
    return this.#observe('read', (store) => store.read(key));
  }

  advance(key: SessionKey, advance: Advance): Promise<RecordResult> {
    return this.#observe('advance', (store) => store.advance(key, advance));
  }

  settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult> {
    return this.#observe('settle', (store) => store.settle(key, seen));
  }

  forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult> {
    return this.#observe('forget', (store) => store.forget(key, seen));
  }

  /** Timed as a whole, with what is done with each page. */
  async *list(tenant: string): AsyncIterable<readonly (readonly [string, SessionRecord])[]> {
    const ended = this.#begin('list');
    try {
      yield* this.#options.store.list(tenant);
      ended('Done');
    } catch (error) {
      ended(resultOf(error));
      throw error;
    }
  }

  forgetTenant(tenant: string): Promise<void> {
    return this.#observe('forgetTenant', (store) => store.forgetTenant(tenant));
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }

  async #observe<T>(operation: Operation, work: (store: CoordinationStore) => Promise<T>): Promise<T> {
    const ended = this.#begin(operation);
    try {
      const result = await work(this.#options.store);
      ended(isLost(result) ? 'Lost' : 'Done');
      return result;
    } catch (error) {
      ended(resultOf(error));
      throw error;
    }
  }

  #begin(operation: Operation): (result: OperationResult) => void {
    const { clock, observer } = this.#options;
    const begun = clock.monotonic();
    return (result) => observer.operated(operation, result, (clock.monotonic() - begun) / 1_000);
  }
}

function isLost(result: unknown): boolean {
  const { outcome } = (result ?? {}) as { readonly outcome?: string };
  return outcome === 'Lost';
}

function resultOf(error: unknown): OperationResult {
  return error instanceof CoordinationUnavailableError ? 'Unavailable' : 'Invalid';
}
