/** The store in Redis: a hash of records and one of epochs for each tenant. */
import type { AvailabilityBoard } from '../availability.ts';
import {
  checkAdvance,
  checkKey,
  checkTenant,
  leavingIn,
  readRecord,
  settled,
  signOf,
  writeBody,
  writeRecord,
} from '../record.ts';
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
import type { RedisConnection } from './connection.ts';
import { fieldOf, keysOf, sessionOf } from './keys.ts';
import { ADVANCE, FORGET, SETTLE, type Script } from './scripts.ts';

/** Records that are asked for at once. */
const PAGE = 1_000;

export interface RedisStoreOptions {
  readonly connection: Pick<RedisConnection, 'run' | 'close'>;
  readonly board: AvailabilityBoard;
}

export class RedisStore implements CoordinationStore {
  readonly #options: RedisStoreOptions;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
  }

  get availability(): Availability {
    return this.#options.board.now;
  }

  onAvailability(listener: (now: Availability) => void): () => void {
    return this.#options.board.onChange(listener);
  }

  async read(key: SessionKey): Promise<SessionRecord | undefined> {
    checkKey(key);
    const { records } = keysOf(key.tenant);
    return this.#options.connection.run(async (client) => {
      const found = await client.get(records, fieldOf(key.session));
      return found === null ? undefined : recordIn(found, records);
    });
  }

  async advance(key: SessionKey, advance: Advance): Promise<RecordResult> {
    checkKey(key);
    checkAdvance(advance);
    const { seen, floor, place, holder } = advance;
    const body = writeBody({ state: 'Moving', place, leaving: leavingIn(advance), holder });
    const least = Math.max(floor, seen?.epoch ?? 0);
    return this.#record(ADVANCE, key, [seen === undefined ? '' : signOf(seen), least, body]);
  }

  async settle(key: SessionKey, seen: SessionRecord): Promise<RecordResult> {
    checkKey(key);
    // Nobody has seen it: it can't be the one that is there.
    const sign = signOf({ ...seen, state: 'Moving' });
    if (seen.state !== 'Moving') return { outcome: 'Lost', record: await this.read(key) };
    return this.#record(SETTLE, key, [sign, writeRecord(settled(seen))]);
  }

  async forget(key: SessionKey, seen: SessionRecord): Promise<ForgetResult> {
    checkKey(key);
    const { records } = keysOf(key.tenant);
    const [outcome, found] = await this.#onRecord(FORGET, key, [signOf(seen), seen.epoch]);
    if (outcome === 'Forgotten') return { outcome };
    return { outcome: 'Lost', record: found === undefined ? undefined : recordIn(found, records) };
  }

  async *list(tenant: string): AsyncIterable<readonly (readonly [string, SessionRecord])[]> {
    checkTenant(tenant);
    const { records } = keysOf(tenant);
    let cursor = '0';
    do {
      const [next, elements] = await this.#options.connection.run((client) => client.scan(records, cursor, PAGE));
      yield pageOf(elements, records);
      cursor = next;
    } while (cursor !== '0');
  }

  async forgetTenant(tenant: string): Promise<void> {
    checkTenant(tenant);
    const { records, epochs } = keysOf(tenant);
    await this.#options.connection.run((client) => client.delete([records, epochs]));
  }

  close(): Promise<void> {
    return this.#options.connection.close();
  }

  async #record(script: Script, key: SessionKey, args: readonly (string | number)[]): Promise<RecordResult> {
    const { records } = keysOf(key.tenant);
    const [outcome, found] = await this.#onRecord(script, key, args);
    if (outcome === 'Won' && found !== undefined) return { outcome, record: recordIn(found, records) };
    return { outcome: 'Lost', record: found === undefined ? undefined : recordIn(found, records) };
  }

  #onRecord(
    script: Script,
    { tenant, session }: SessionKey,
    args: readonly (string | number)[],
  ): Promise<readonly [outcome: string, found: string | undefined]> {
    const { records, epochs } = keysOf(tenant);
    return this.#run(script, [records, epochs], [fieldOf(session), ...args]);
  }

  async #run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<readonly [outcome: string, found: string | undefined]> {
    const answer = await this.#options.connection.run((client) => client.run(script, keys, args));
    const [outcome, found] = Array.isArray(answer) ? (answer as unknown[]) : [];
    if (outcome === 'Exhausted') throw new RangeError(`epoch: there is none above ${MAX_EPOCH}`);
    return [String(outcome), typeof found === 'string' ? found : undefined];
  }
}

function pageOf(elements: readonly string[], records: string): (readonly [string, SessionRecord])[] {
  const page: (readonly [string, SessionRecord])[] = [];
  for (let at = 0; at + 1 < elements.length; at += 2) {
    const session = sessionOf(elements[at] ?? '');
    if (session === undefined) throw unreadable(records);
    page.push([session, recordIn(elements[at + 1] ?? '', records)]);
  }
  return page;
}

function recordIn(text: string, key: string): SessionRecord {
  const record = readRecord(text);
  if (record === undefined) throw unreadable(key);
  return record;
}

function unreadable(key: string): CoordinationUnavailableError {
  return new CoordinationUnavailableError(
    'Unreadable',
    `Redis has something under the key ${key} that no gateway wrote: find out who else uses keys with this beginning, and delete it`,
  );
}
