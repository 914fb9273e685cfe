/** One connection to Redis, by ioredis, whichever kind of address it has. It is made once, and never again after it has ended. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { Endpoint, RedisAddress } from './address.ts';
import type { Script } from './scripts.ts';

/** What the store needs of a connection. */
export interface RedisClient {
  /** Rejects with what went wrong, as often as it is called before it is connected. */
  connect(): Promise<void>;
  /** What each server that takes writes says of itself. */
  infos(): Promise<string[]>;
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  get(hash: string, field: string): Promise<string | null>;
  /** Pages of a hash: fields and values in turn, and the next cursor, which is `0` at the end. */
  scan(hash: string, cursor: string, count: number): Promise<readonly [cursor: string, elements: string[]]>;
  delete(keys: readonly string[]): Promise<unknown>;
  /** Writes a key that is gone a second later. */
  probe(key: string): Promise<unknown>;
  /** Calls `listener` once, when nothing passes any more. */
  onEnd(listener: (error: Error) => void): void;
  /** Ends it at once: what is under way rejects. */
  end(): void;
}

/** How to log in, and whom to trust. */
export interface RedisLogin {
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Of Sentinels, which have users of their own. */
  readonly sentinelPassword: string | undefined;
  /** PEM; undefined: those of the machine. */
  readonly ca: string | undefined;
}

/** `attempt` counts from 0: other Sentinels are asked first each time. */
export function openRedis(address: RedisAddress, login: RedisLogin, connectMs: number, attempt: number): RedisClient {
  const tls = address.isTLS ? { ...(login.ca !== undefined && { ca: login.ca }) } : undefined;
  const { password, username } = login;
  const common: Omit<RedisOptions, 'replyMapping'> = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls }),
    connectTimeout: connectMs,
    lazyConnect: true,
    disableClientInfo: true,
    // What a connection says of itself is asked by the store. What was sent is never sent again by itself: it may have been done.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  };
  const endpoints = rotated(address.endpoints, attempt);
  if (address.kind === 'Cluster') return new Connection(openCluster(endpoints, common, connectMs));
  const one = { ...common, db: address.db, family: 0 };
  if (address.kind === 'Single') {
    const [{ host, port } = { host: '', port: 0 }] = endpoints;
    return new Connection(new Redis({ ...one, host, port }));
  }
  const { sentinelPassword } = login;
  const sentinel = {
    name: address.master ?? '',
    sentinels: endpoints.map(({ host, port }) => ({ host, port })),
    sentinelRetryStrategy: () => null,
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  };
  return new Connection(new Redis({ ...one, ...sentinel }));
}

function openCluster(
  endpoints: Endpoint[],
  {
    lazyConnect: _lazy,
    retryStrategy: _retry,
    enableOfflineQueue: _queue,
    ...redisOptions
  }: Omit<RedisOptions, 'replyMapping'>,
  connectMs: number,
): Cluster {
  return new Cluster(endpoints, {
    redisOptions,
    lazyConnect: true,
    enableOfflineQueue: false,
    slotsRefreshTimeout: connectMs,
    clusterRetryStrategy: () => null,
    // A command whose connection was lost may have been done, as above.
    retryDelayOnFailover: 0,
    // Names are resolved when nodes are connected to, so that certificates are compared with them.
    dnsLookup: (host, done) => done(null, host),
  });
}

function rotated<T>(all: readonly T[], by: number): T[] {
  const at = by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}

class Connection implements RedisClient {
  readonly #client: Redis | Cluster;
  /** The last error that was told by an event: those of promises only say that the connection is closed. */
  #told: Error | undefined;
  #isEnded = false;

  constructor(client: Redis | Cluster) {
    this.#client = client;
    client.on('error', (error: Error) => void (this.#told = error));
    client.on('sentinelError', (error: Error) => void (this.#told = error));
    client.on('node error', (error: Error) => void (this.#told = error));
  }

  async connect(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      throw this.#told ?? error;
    }
  }

  async infos(): Promise<string[]> {
    const nodes = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    return Promise.all(nodes.map((node) => node.info()));
  }

  async run({ sha, lua }: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#client.evalsha(sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return await this.#client.eval(lua, keys.length, ...keys, ...args);
    }
  }

  get(hash: string, field: string): Promise<string | null> {
    return this.#client.hget(hash, field);
  }

  scan(hash: string, cursor: string, count: number): Promise<readonly [cursor: string, elements: string[]]> {
    return this.#client.hscan(hash, cursor, 'COUNT', count);
  }

  delete(keys: readonly string[]): Promise<unknown> {
    return this.#client.unlink(...keys);
  }

  probe(key: string): Promise<unknown> {
    return this.#client.set(key, '1', 'PX', 1_000);
  }

  onEnd(listener: (error: Error) => void): void {
    this.#client.once('end', () => listener(this.#told ?? new Error('the connection was closed')));
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#client.disconnect();
  }
}
