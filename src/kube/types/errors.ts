/** The errors of the client, and predicates for them as in k8s.io/apimachinery/pkg/api/errors. */
import { types } from 'node:util';
import type { Status, StatusDetails } from './types.ts';

/** There is no usable configuration; the message names what is missing. A retry does not help. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** The request that failed: every error of the client has it in its message. */
export interface RequestLine {
  method: string;
  /** Path without the query: a query may hold a continue token. */
  path: string;
}

/** The longest Retry-After that is obeyed, in ms: a proxy that says a day must not stop a watch or a key for a day. */
const MAX_RETRY_AFTER_MS = 300_000;

/** The API server refused a request or failed, with a reason. Also for the ERROR event of a watch. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  /** HTTP status code. */
  readonly code: number;
  /** `NotFound`, `Conflict` ...; `''` if the response had no Status body, like the 502 of a proxy. */
  readonly reason: string;
  readonly details: StatusDetails;
  readonly method: string;
  readonly path: string;
  /** Retry-After in ms, 5 minutes at most: no retry may be earlier. */
  readonly retryAfterMs: number | undefined;

  constructor(request: RequestLine, status: Partial<Status>, retryAfterMs?: number) {
    const code = status.code ?? 0;
    const reason = status.reason ?? '';
    super(`${request.method} ${request.path}: ${status.message ?? 'no message'} (${code}${reason && ` ${reason}`})`);
    this.code = code;
    this.reason = reason;
    this.details = status.details ?? {};
    this.method = request.method;
    this.path = request.path;
    const seconds = this.details.retryAfterSeconds;
    const requestedMs = retryAfterMs ?? (seconds ? seconds * 1000 : undefined);
    this.retryAfterMs = requestedMs === undefined ? undefined : Math.min(requestedMs, MAX_RETRY_AFTER_MS);
  }
}

/** Why a request got no response. `aborted`: cancelled by the caller; `protocol`: not understood; `credentials`: none to send. */
export type TransportFailure = 'network' | 'deadline' | 'aborted' | 'truncated' | 'protocol' | 'credentials';

/** A request got no (usable) response. A write may or may not have been executed, unless `notSent`. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly failure: TransportFailure;
  readonly method: string;
  readonly path: string;
  /** True if the request surely did not reach the server (connection refused, name not found). */
  readonly notSent: boolean;

  constructor(
    request: RequestLine,
    failure: TransportFailure,
    what: string,
    options: { cause?: unknown; notSent?: boolean } = {},
  ) {
    super(`${request.method} ${request.path}: ${what}`, { cause: options.cause });
    this.failure = failure;
    this.method = request.method;
    this.path = request.path;
    this.notSent = options.notSent ?? false;
  }
}

/** Thrown by a reconciler if a retry without a change can't help: the key is not requeued. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

function hasCode(error: unknown, code: number): error is StatusError {
  return error instanceof StatusError && error.code === code;
}

/** Predicates by HTTP status code, as in apimachinery. */
export const isBadRequest = (error: unknown): boolean => hasCode(error, 400);
export const isUnauthorized = (error: unknown): boolean => hasCode(error, 401);
export const isForbidden = (error: unknown): boolean => hasCode(error, 403);
export const isNotFound = (error: unknown): boolean => hasCode(error, 404);
/** 409 because the name is taken. */
export const isAlreadyExists = (error: unknown): boolean => hasCode(error, 409) && error.reason === 'AlreadyExists';
/** 409 because the object has changed meanwhile, or a precondition (uid, resourceVersion) is not met. */
export const isConflict = (error: unknown): boolean => hasCode(error, 409) && error.reason !== 'AlreadyExists';
/** The resourceVersion or continue token is too old: list again. */
export const isGone = (error: unknown): boolean => hasCode(error, 410);
export const isInvalid = (error: unknown): boolean => hasCode(error, 422);
export const isTooManyRequests = (error: unknown): boolean => hasCode(error, 429);
export const isServerError = (error: unknown): boolean => error instanceof StatusError && error.code >= 500;
/** The object can't be created because its namespace is terminating. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  hasCode(error, 403) && (error.details.causes ?? []).some((cause) => cause.reason === 'NamespaceTerminating');

/** What was thrown, as an Error. An Error of another realm (a vm context) is returned as it is, with its code. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error || types.isNativeError(thrown) ? thrown : new Error(String(thrown));
}
