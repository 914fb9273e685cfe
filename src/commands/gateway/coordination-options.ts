/** The flags of the coordination store. */
import { parseRedisAddress, type RedisAddress } from '../../gateway/locks/redis/address.ts';
import type { RedisSettings } from '../../gateway/locks/redis/open-redis-store.ts';
import { toError } from '../../kube/types/errors.ts';
import { oneOf, UsageError } from '../flags.ts';

export const COORDINATION_TYPES = ['kubernetes', 'redis', 'memory'] as const;

/** Where gateways keep what they agree on of sessions. */
export type CoordinationOptions =
  | { readonly type: 'kubernetes' }
  | { readonly type: 'memory' }
  | { readonly type: 'redis'; readonly redis: RedisSettings };

/** The flags as the help lists them. */
export const COORDINATION_FLAGS = `\
  --coordination TYPE                where gateways agree on sessions of tenants with shared storage: kubernetes (Leases in the gateway's
                                     namespace), redis, or memory for a gateway with one replica; default: kubernetes
  --redis-url URL                    redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT,HOST:PORT;
                                     rediss in place of redis: with TLS
  --redis-username NAME              ACL user; default: the default user of Redis
  --redis-password-file PATH         its password; read again when it changes
  --redis-sentinel-password-file PATH
                                     password of the Sentinels, where they have one; read again when it changes
  --redis-ca-file PATH               certificate authority of a rediss URL, PEM; default: those of the machine`;

export const coordinationFlags = {
  coordination: { type: 'string' },
  'redis-url': { type: 'string' },
  'redis-username': { type: 'string' },
  'redis-password-file': { type: 'string' },
  'redis-sentinel-password-file': { type: 'string' },
  'redis-ca-file': { type: 'string' },
} as const;

type Values = { readonly [name in keyof typeof coordinationFlags]?: string | undefined };

/** `hasPeers`: whether there may be other replicas. @throws UsageError */
export function coordinationOptions(values: Values, hasPeers: boolean): CoordinationOptions {
  const type = oneOf('coordination', values.coordination ?? 'kubernetes', COORDINATION_TYPES);
  const ofRedis = Object.keys(coordinationFlags).filter((name) => name.startsWith('redis-'));
  const [stray] = ofRedis.filter((name) => values[name as keyof Values] !== undefined);
  if (type !== 'redis' && stray !== undefined) throw new UsageError(`--${stray} requires --coordination=redis`);
  if (type === 'memory' && hasPeers)
    throw new UsageError(
      '--coordination=memory is for a gateway with one replica, as two would not know of each other: it requires --peer-port=0',
    );
  return type === 'redis' ? { type, redis: redisSettings(values) } : { type };
}

function redisSettings(values: Values): RedisSettings {
  const url = values['redis-url'];
  if (!url) throw new UsageError('--coordination=redis requires --redis-url');
  const address = addressOf(url);
  const caFile = values['redis-ca-file'];
  const sentinelPasswordFile = values['redis-sentinel-password-file'];
  const passwordFile = values['redis-password-file'];
  const username = values['redis-username'];
  if (caFile !== undefined && !address.isTLS)
    throw new UsageError('--redis-ca-file requires a --redis-url with rediss');
  if (sentinelPasswordFile !== undefined && address.kind !== 'Sentinel')
    throw new UsageError(
      '--redis-sentinel-password-file requires a --redis-url with redis+sentinel or rediss+sentinel',
    );
  if (username !== undefined && passwordFile === undefined)
    throw new UsageError('--redis-username requires --redis-password-file');
  return { address, username, passwordFile, sentinelPasswordFile, caFile };
}

function addressOf(url: string): RedisAddress {
  try {
    return parseRedisAddress(url);
  } catch (error) {
    // Not with the value: it may hold a password.
    throw new UsageError(`--redis-url: ${toError(error).message}`, { cause: error });
  }
}
