/** Which failed requests are sent again within one call, and when. */
import { exponentialDelay } from '../clock/backoff.ts';
import { StatusError, TransportError } from '../types/errors.ts';

/** Whether to retry a failed attempt, and why. */
export interface RetryDecision {
  retry: boolean;
  delayMs: number;
  reason:
    'Throttled' | 'ServerAsked' | 'NotSent' | 'ConnectionLost' | 'NotRetriable' | 'TooManyAttempts' | 'WaitTooLong';
}

/** Retries within one call. Further ones are left to the caller, which has a back-off and other work meanwhile. */
const MAX_RETRIES = 4;
/** The longest Retry-After that a call waits for; with a longer one the error is thrown, with `retryAfterMs` set. */
const LONGEST_WAIT_MS = 10_000;
/** After a lost or refused connection. */
const CONNECTION_BACKOFF = { baseMs: 100, maxMs: LONGEST_WAIT_MS };
/** A connection that fails this often in a row was no stale socket of the pool: the server is down. */
const MAX_CONNECTION_RETRIES = 2;

/**
 * Whether to send a request again. Only when that is safe: the server surely did not execute it (429, never connected), or executing
 * it twice has the same effect as once. `jitter` is in [0, 1).
 */
export function decideRetry(
  error: unknown,
  { attempt, idempotent, jitter }: { attempt: number; idempotent: boolean; jitter: number },
): RetryDecision {
  const no = (reason: RetryDecision['reason']): RetryDecision => ({ retry: false, delayMs: 0, reason });
  if (error instanceof StatusError && error.retryAfterMs !== undefined) {
    // A 429 without Retry-After is a decision (a disruption budget forbids an eviction) and not a request to wait.
    const throttled = error.code === 429;
    if (!throttled && !(error.code >= 500 && idempotent)) return no('NotRetriable');
    if (attempt >= MAX_RETRIES) return no('TooManyAttempts');
    if (error.retryAfterMs > LONGEST_WAIT_MS) return no('WaitTooLong');
    // Never before Retry-After; up to a tenth later, so that clients which were refused together don't return together.
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
