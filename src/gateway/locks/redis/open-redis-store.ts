/** A store in Redis by what its flags say. A module of its own, so that a gateway with another store loads nothing of Redis. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Clock, Random } from '../../../kube/clock/clock.ts';
import { ConfigError, toError } from '../../../kube/types/errors.ts';
import { FollowedFiles } from '../../followed-files.ts';
import { AvailabilityBoard } from '../availability.ts';
import type { CoordinationStore } from '../store.ts';
import type { RedisAddress } from './address.ts';
import { openRedis, type RedisLogin } from './client.ts';
import { REDIS_TIMES, RedisConnection, type RedisTimes } from './connection.ts';
import { RedisStore } from './redis-store.ts';

/** What the flags name. */
export interface RedisSettings {
  readonly address: RedisAddress;
  readonly username: string | undefined;
  readonly passwordFile: string | undefined;
  readonly sentinelPasswordFile: string | undefined;
  readonly caFile: string | undefined;
}

export interface OpenRedisOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly times?: RedisTimes;
}

/** It connects with its first use. Files are followed until it is closed. @throws ConfigError that names the flag of a file that cannot be used */
export function openRedisStore(settings: RedisSettings, options: OpenRedisOptions): CoordinationStore {
  const { clock, random, log, times = REDIS_TIMES } = options;
  const { address } = settings;
  const files = followed(settings, options);
  const board = new AvailabilityBoard();
  const connection = new RedisConnection({
    address,
    open: (attempt) => openRedis(address, files.content, times.connectMs, attempt),
    board,
    clock,
    random,
    log,
    times,
  });
  files.follow(() => connection.reopen());
  const close = async (): Promise<void> => {
    files.stop();
    await connection.close();
  };
  return new RedisStore({ connection: { run: (command) => connection.run(command), close }, board });
}

function followed(settings: RedisSettings, { clock, log }: OpenRedisOptions): FollowedFiles<RedisLogin> {
  try {
    return new FollowedFiles<RedisLogin>({
      read: () => readLogin(settings),
      isSame: (a, b) => JSON.stringify(a) === JSON.stringify(b),
      timers: clock,
      renewed: () => log.info('the login of the coordination store has changed'),
      failed: (error) =>
        log.warn({ error }, 'the new login of the coordination store cannot be used; the one before stays'),
    });
  } catch (error) {
    throw new ConfigError(toError(error).message, { cause: error });
  }
}

function readLogin({ username, passwordFile, sentinelPasswordFile, caFile }: RedisSettings): RedisLogin {
  const ca = read('redis-ca-file', caFile);
  if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----'))
    throw new Error(`--redis-ca-file=${caFile}: it holds no certificate in PEM`);
  return {
    username,
    password: secret('redis-password-file', passwordFile),
    sentinelPassword: secret('redis-sentinel-password-file', sentinelPasswordFile),
    ca,
  };
}

/** Without the line end that editors and `echo` add. */
function secret(flag: string, file: string | undefined): string | undefined {
  const text = read(flag, file)?.replace(/\r?\n$/, '');
  if (text === '') throw new Error(`--${flag}=${file}: it is empty`);
  return text;
}

function read(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`--${flag}=${file}: ${toError(error).message}`, { cause: error });
  }
}
