// Stores of several gateways in one Redis.
import { openRedisStore, type RedisSettings } from '../../src/gateway/locks/redis/open-redis-store.ts';
import { parseRedisAddress } from '../../src/gateway/locks/redis/address.ts';
import { REDIS_TIMES, type RedisTimes } from '../../src/gateway/locks/redis/connection.ts';
import type { CoordinationStore } from '../../src/gateway/locks/store.ts';
import { systemClock, type Clock } from '../../src/kube/clock/clock.ts';

/** Files are looked at often. */
const hasty: Clock = { ...systemClock, setTimer: (ms, fn) => systemClock.setTimer(ms === 20_000 ? 50 : ms, fn) };

/** Faults are noticed soon. The machine may be busy, though. */
export const SOON: RedisTimes = { operationMs: 700, connectMs: 1_000, backoff: { baseMs: 20, maxMs: 200 } };

export class RedisWorld implements AsyncDisposable {
  /** What stores have logged. */
  readonly log: string[] = [];
  readonly #url: string;
  readonly #stores: CoordinationStore[] = [];

  constructor(url: string) {
    this.#url = url;
  }

  open(
    settings: Partial<RedisSettings> & { readonly url?: string; readonly times?: RedisTimes } = {},
  ): CoordinationStore {
    const { url = this.#url, times = REDIS_TIMES, ...rest } = settings;
    const note = (fields: unknown, message?: string): void =>
      void this.log.push(`${typeof fields === 'string' ? fields : JSON.stringify(fields)} ${message ?? ''}`);
    const store = openRedisStore(
      {
        address: parseRedisAddress(url),
        username: undefined,
        passwordFile: undefined,
        sentinelPasswordFile: undefined,
        caFile: undefined,
        ...rest,
      },
      { clock: hasty, random: Math.random, log: { info: note, warn: note }, times },
    );
    this.#stores.push(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
  }
}
