/** Where Redis is: one server, Sentinels that know it, or a cluster. */
import { isIPv6 } from 'node:net';

/** A host and port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** An address as `--redis-url` has it. */
export interface RedisAddress {
  readonly kind: 'Single' | 'Sentinel' | 'Cluster';
  readonly endpoints: readonly Endpoint[];
  /** What Sentinels call the server; undefined for the other kinds. */
  readonly master?: string | undefined;
  readonly db: number;
  readonly isTLS: boolean;
  /** The address as it was written. It has no secrets. */
  readonly text: string;
}

/** The forms, for messages. */
export const REDIS_FORMS =
  'redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT,HOST:PORT, with rediss for TLS';

const SHAPE = /^(redis|rediss)(?:\+(sentinel|cluster))?:\/\/([^/?#@]+)(?:\/([^?#]*))?$/;
const PORTS = { Single: 6379, Sentinel: 26_379, Cluster: 6379 } as const;
const MAX_DB = 65_535;

/** @throws RangeError that says what is wrong, and never shows what may be a password */
export function parseRedisAddress(text: string): RedisAddress {
  if (text.includes('@'))
    throw new RangeError(
      'it must have no user and no password: they are set by --redis-username and --redis-password-file',
    );
  const [, scheme = '', mode = '', hosts = '', path = ''] = SHAPE.exec(text) ?? [];
  if (scheme === '') throw new RangeError(`it must be ${REDIS_FORMS}`);
  const kind = mode === 'sentinel' ? 'Sentinel' : mode === 'cluster' ? 'Cluster' : 'Single';
  const endpoints = hosts.split(',').map((each) => endpointOf(each, PORTS[kind]));
  if (kind === 'Single' && endpoints.length > 1)
    throw new RangeError('it names several servers: redis+sentinel:// or redis+cluster:// says what they are');
  const parts = path === '' ? [] : path.split('/');
  const master = kind === 'Sentinel' ? parts.shift() : undefined;
  if (kind === 'Sentinel' && !master)
    throw new RangeError('it lacks the name that the Sentinels have for the server: redis+sentinel://HOST:PORT/NAME');
  if (kind === 'Cluster' && parts.length > 0) throw new RangeError('a cluster has no databases: leave the path out');
  return { kind, endpoints, master, db: dbOf(parts), isTLS: scheme === 'rediss', text };
}

function endpointOf(text: string, standard: number): Endpoint {
  const [, six, four, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? standard : Number(digits);
  const isHost = six === undefined ? /^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9.])?$/.test(four ?? '') : isIPv6(six);
  if (!isHost || port < 1 || port > 65_535)
    throw new RangeError(`"${text}" must be HOST:PORT, an IPv6 address in brackets`);
  return { host: six ?? four ?? '', port };
}

function dbOf(parts: readonly string[]): number {
  const [text = '0', ...rest] = parts;
  const db = Number(text);
  if (rest.length > 0 || !/^\d{1,5}$/.test(text) || db > MAX_DB)
    throw new RangeError(`"${parts.join('/')}" must be the number of a database`);
  return db;
}
