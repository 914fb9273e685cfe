/** The keys of one issuer: read when they are needed, again when they are old or a key is missing, and never in a hurry. */
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { toError } from '../../../kube/types/errors.ts';
import type { Asker } from '../verdict-cache.ts';
import type { KeyObserver } from './key-reads.ts';

/** What is needed to keep keys. */
export interface IssuerKeysOptions {
  /** Names the issuer in the log. */
  readonly url: string;
  readonly read: () => Promise<JSONWebKeySet>;
  readonly clock: { monotonic(): number };
  readonly log: { info(facts: object, message: string): void; warn(facts: object, message: string): void };
  /** Told what came of each reading. */
  readonly observer: KeyObserver;
}

/** The keys of an issuer are not known now, so nobody can be admitted by it. */
export class KeysUnknownError extends Error {
  override readonly name = 'KeysUnknownError';
}

/** Finds the key of a token by its header. */
export type Keys = JWTVerifyGetKey;

/**
 * A key that the issuer has withdrawn is good for no longer than this, if the issuer answers. A connection asks at least every 25 s, and waits
 * for what is read then: so it ends within a minute after its key was withdrawn.
 */
const FRESH_MS = 20_000;
/** And for no longer than this if it does not: until then an outage of the issuer ends nobody's connection. */
const USABLE_MS = 60 * 60_000;
/** Between the starts of two readings, whatever calls for them: tokens with made-up keys, or an issuer that fails. */
export const COOL_DOWN_MS = 10_000;

/** `Fresh`: used as they are. `Stale`: used, and read again. `Unknown`: not used. */
export function stateOfKeys(ageMs: number | undefined): 'Fresh' | 'Stale' | 'Unknown' {
  if (ageMs === undefined || ageMs >= USABLE_MS) return 'Unknown';
  return ageMs < FRESH_MS ? 'Fresh' : 'Stale';
}

/** Reads keys, once for all who wait for them. */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  /** `at`: monotonic ms. */
  #known: { readonly keys: Keys; readonly at: number } | undefined;
  #reading: Promise<void> | undefined;
  /** Monotonic ms. */
  #lastReadAt = -Infinity;
  /** Why the last reading failed; undefined: it did not. */
  #problem: string | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /** Who is connected can wait for newer ones; a newcomer would, for an issuer that hangs, for longer than it has. @throws KeysUnknownError */
  async current(asker: Asker): Promise<Keys> {
    const state = this.#state();
    if (state !== 'Fresh') {
      const read = this.#refresh();
      if (state === 'Unknown' || asker === 'Connected') await read;
    }
    if (this.#known !== undefined && this.#state() !== 'Unknown') return this.#known.keys;
    const why = this.#problem ?? 'they were not read yet';
    throw new KeysUnknownError(`the keys of the issuer ${this.#options.url} are not known: ${why}`);
  }

  /** The keys that have come in place of `keys`, which lack one; undefined: there are none yet. */
  async newerThan(keys: Keys): Promise<Keys | undefined> {
    if (this.#known?.keys === keys) await this.#refresh();
    return this.#known?.keys === keys ? undefined : this.#known?.keys;
  }

  #state(): ReturnType<typeof stateOfKeys> {
    return stateOfKeys(this.#known && this.#options.clock.monotonic() - this.#known.at);
  }

  /** Resolves when no reading is under way. It never rejects. */
  async #refresh(): Promise<void> {
    const now = this.#options.clock.monotonic();
    if (this.#reading === undefined && now - this.#lastReadAt >= COOL_DOWN_MS) {
      this.#lastReadAt = now;
      this.#reading = this.#read().finally(() => (this.#reading = undefined));
    }
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { read, url, log, clock, observer } = this.#options;
    try {
      const keys = createLocalJWKSet(await read());
      this.#known = { keys, at: clock.monotonic() };
      if (this.#problem !== undefined) log.info({ issuer: url }, 'the keys of the OIDC issuer can be read again');
      this.#problem = undefined;
      observer.readKeys('Succeeded');
    } catch (error) {
      const { message } = toError(error);
      // The same once only: an issuer may be away for days.
      if (message !== this.#problem) {
        log.warn({ issuer: url, error: message }, 'the keys of the OIDC issuer cannot be read');
      }
      this.#problem = message;
      observer.readKeys('Failed');
    }
  }
}
