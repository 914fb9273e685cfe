/** Which failed requests are sent again within one call, and when. */
import { exponentialDelay } from '../clock/backoff.ts';
import { StatusError, TransportError } from '../types/errors.ts';

/** What a failed attempt calls for, and why. */
export interface RetryDecision {
  retry: boolean;
  delayMs: number;
  reason:
    'Throttled' | 'ServerAsked' | 'NotSent' | 'ConnectionLost' | 'NotRetriable' | 'TooManyAttempts' | 'WaitTooLong';
}

/** Retries within one call. More are the caller's affair: it has a back-off and can do other work meanwhile. */
const MAX_RETRIES = 4;
/** The longest Retry-After that is waited out inside a call; a longer one is thrown, with `retryAfterMs` set. */
const LONGEST_WAIT_MS = 10_000;
/** After a lost or refused connection. */
const CONNECTION_BACKOFF = { baseMs: 100, maxMs: LONGEST_WAIT_MS };
/** A connection that fails this often in a row is not a stale socket of the pool: the server is away. */
const MAX_CONNECTION_RETRIES = 2;

/**
 * Whether to send a request again. Safe cases only: the server surely did not execute it (429, never connected), or executing it
 * twice is the same as once. `jitter` is in [0, 1).
 */
export function decideRetry(
  error: unknown,
  { attempt, idempotent, jitter }: { attempt: number; idempotent: boolean; jitter: number },
): RetryDecision {
  const no = (reason: RetryDecision['reason']): RetryDecision => ({ retry: false, delayMs: 0, reason });
  if (error instanceof StatusError && error.retryAfterMs !== undefined) {
    // Without Retry-After a 429 is an answer (an eviction that a budget forbids), not a request to wait.
    const throttled = error.code === 429;
    if (!throttled && !(error.code >= 500 && idempotent)) return no('NotRetriable');
    if (attempt >= MAX_RETRIES) return no('TooManyAttempts');
    if (error.retryAfterMs > LONGEST_WAIT_MS) return no('WaitTooLong');
    // Never earlier than asked; up to a tenth later, so that those who were refused together don't return together.
    const delayMs = error.retryAfterMs * (1 + jitter / 10);
    return { retry: true, delayMs, reason: throttled ? 'Throttled' : 'ServerAsked' };
  }
  if (error instanceof TransportError && error.failure === 'network' && (error.notSent || idempotent)) {
    if (attempt >= MAX_CONNECTION_RETRIES) return no('TooManyAttempts');
    const delayMs = exponentialDelay(CONNECTION_BACKOFF, attempt) * (1 + jitter);
    return { retry: true, delayMs, reason: error.notSent ? 'NotSent' : 'ConnectionLost' };
  }
  return no('NotRetriable');
}

/** ms of a Retry-After header: seconds, or a date. */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
