/** From what goes wrong with Redis to what an administrator can do about it. */
import { toError } from '../../../kube/types/errors.ts';
import { CoordinationUnavailableError, type UnavailableReason } from '../store.ts';
import type { RedisAddress } from './address.ts';

const SECRET = 'the Secret of gateway.coordination.redis.secretName in the chart';
const LOGIN = `check --redis-username and the content of --redis-password-file (${SECRET})`;
const RIGHTS = 'give it the rights of docs/gateway.md#coordination-store';

/** What a pattern in the text of an error means. The first that matches counts. */
type Case = readonly [pattern: RegExp, reason: UnavailableReason, remedy: (address: RedisAddress) => string];

const CASES: readonly Case[] = [
  [/\bNOAUTH\b/, 'AccessDenied', () => `it wants a password: set --redis-password-file (${SECRET})`],
  [/\bWRONGPASS\b|invalid password|invalid username-password/i, 'AccessDenied', () => LOGIN],
  [/\bNOPERM\b/, 'AccessDenied', () => `the user lacks a right: ${RIGHTS}`],
  [
    /\bWRONGTYPE\b/,
    'Unreadable',
    () => 'a key of the gateway holds something else: find out who else uses keys with its beginning, and delete it',
  ],
  [/\bOOM\b/, 'Full', () => 'it is at its maxmemory: raise it, or delete what else is in this Redis'],
  [
    /\bMISCONF\b/,
    'NotServing',
    () => 'it cannot save to its disk and takes no writes: make room on that disk, or see its log',
  ],
  [/\bNOREPLICAS\b/, 'NotServing', () => 'it has fewer replicas than min-replicas-to-write: start them'],
  [
    /\bREADONLY\b/,
    'ReadOnly',
    ({ kind }) =>
      kind === 'Single'
        ? 'it is a replica: --redis-url must name the server that takes writes, or Sentinels that know it'
        : 'it is a replica: the next attempt asks again for the one that takes writes',
  ],
  [/\bLOADING\b/, 'NotServing', () => 'it loads its data: wait'],
  [
    /\b(CLUSTERDOWN|MASTERDOWN|TRYAGAIN)\b/,
    'NotServing',
    () => 'the cluster has hash slots without a server: see CLUSTER INFO',
  ],
  [
    /cluster support disabled/,
    'NotServing',
    () => 'it is no cluster: --redis-url must begin with redis:// or rediss://',
  ],
  [/\b(MOVED|ASK|CROSSSLOT)\b/, 'NotServing', () => 'it is a cluster: --redis-url must begin with redis+cluster://'],
  [/unknown command.{0,3}sentinel/i, 'NotServing', () => 'it is no Sentinel: --redis-url must name the Sentinels'],
  [
    /invalid reply: null|No such master/,
    'NotServing',
    ({ master = '' }) => `no Sentinel knows a server "${master}": check the name in --redis-url`,
  ],
  [
    /WRONG_VERSION_NUMBER|wrong version number|packet length too long/i,
    'UntrustedTLS',
    () => 'it speaks no TLS there: name its TLS port, or use redis:// without TLS',
  ],
  [
    /certificate|altname|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|\bCERT_/i,
    'UntrustedTLS',
    () =>
      'name the certificate authority that signed it by --redis-ca-file (the Secret of gateway.coordination.redis.caSecretName in the chart), and the server as its certificate does',
  ],
  [
    /ENOTFOUND|EAI_AGAIN/,
    'Unreachable',
    () => 'its name is not known: check --redis-url (gateway.coordination.redis.url in the chart)',
  ],
  [/ETIMEDOUT|timed out|no answer within|not connected within/i, 'TimedOut', ({ isTLS }) => patience(isTLS)],
  [
    /\bERR\b/,
    'NotServing',
    () => 'it does not do what is asked of it: is it Redis 6.2 or later, or compatible with it?',
  ],
];

/** Not what is wrong, but what may be. */
function patience(isTLS: boolean): string {
  const speaks = isTLS ? ' and speaks TLS there' : '';
  return `check that it runs${speaks}, is not overloaded, and that a NetworkPolicy lets the gateway connect`;
}

/** The message says which Redis, what is wrong, which setting and what to do. It holds no argument of a command: one may be a password. */
export function explainRedis(error: unknown, address: RedisAddress): CoordinationUnavailableError {
  if (error instanceof CoordinationUnavailableError) return error;
  const text = textOf(error);
  const found = CASES.find(([pattern]) => pattern.test(text));
  if (found !== undefined) {
    const [, reason, remedy] = found;
    return redisProblem(address, reason, text, remedy(address));
  }
  const mind = address.isTLS ? '' : ', and whether it expects TLS (rediss://)';
  return redisProblem(address, 'Unreachable', text, `check --redis-url and that it runs${mind}`);
}

/** One with a remedy. Not with the error as its cause: that of the client has the arguments of commands in it, and is logged. */
export function redisProblem(
  address: RedisAddress,
  reason: UnavailableReason,
  what: string,
  remedy: string,
): CoordinationUnavailableError {
  return new CoordinationUnavailableError(reason, `Redis at ${address.text}: ${what}; ${remedy}`);
}

/** What is said by an error, by its code, and by the one that it was made of. */
function textOf(thrown: unknown): string {
  const error = toError(thrown) as NodeJS.ErrnoException & { lastNodeError?: unknown; errors?: readonly unknown[] };
  // Of a name with several addresses, none of which answers.
  const [first] = error.errors ?? [];
  if (error.message === '' && first !== undefined) return textOf(first);
  const code = error.code !== undefined && !error.message.includes(error.code) ? `${error.code}: ` : '';
  const below = error.lastNodeError === undefined ? '' : ` (${textOf(error.lastNodeError)})`;
  return `${code}${error.message}${below}`.replaceAll(/\s+/g, ' ').slice(0, 300);
}
