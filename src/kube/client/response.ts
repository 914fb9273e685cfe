/** Turns failed responses and failed connections into StatusError and TransportError. */
import { StatusError, toError, TransportError, type RequestLine } from '../types/errors.ts';
import type { Status } from '../types/types.ts';
import { parseRetryAfter } from './retry.ts';

/** Response headers as undici gives them. */
export type Headers = Record<string, string | string[] | undefined>;

/** How much of a response that is no Status is quoted in an error message. */
const EXCERPT_LENGTH = 200;

/** The error of a response that is not 2xx: the API server's Status, or the text of a proxy in between. */
export function statusErrorOf(
  request: RequestLine,
  response: { statusCode: number; headers: Headers; text: string },
  now: number,
): StatusError {
  const { statusCode, headers, text } = response;
  const retryAfter = headers['retry-after'];
  const retryAfterMs = parseRetryAfter(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, now);
  const status = parseStatus(text) ?? { message: excerpt(text) };
  return new StatusError(request, { ...status, code: statusCode }, retryAfterMs);
}

/** The parsed body; throws TransportError `protocol` if it is not JSON. */
export function parseJson(request: RequestLine, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TransportError(request, 'protocol', `the response is not JSON: ${excerpt(text)}`, { cause });
  }
}

function parseStatus(text: string): Partial<Status> | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && 'kind' in body && body.kind === 'Status'
      ? (body as Status)
      : undefined;
  } catch {
    return undefined; // a proxy's HTML page, or nothing at all: the caller quotes it
  }
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line === '') return 'empty response';
  return line.length > EXCERPT_LENGTH ? `${line.slice(0, EXCERPT_LENGTH)}...` : line;
}

// There was no connection, so the request was never sent.
const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** The error of an attempt without a response. */
export function networkErrorOf(request: RequestLine, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause;
  const error = toError(cause);
  // For a name with several addresses Node throws an AggregateError without a message.
  const first =
    error.message === '' && 'errors' in error && Array.isArray(error.errors) ? toError(error.errors[0]) : error;
  const code = codeOf(error);
  const what = code === '' || first.message.includes(code) ? first.message : `${first.message} (${code})`;
  return new TransportError(request, 'network', what, {
    cause,
    notSent: NOT_CONNECTED.has(code) || isCertificateProblem(error) || isRefusedTunnel(error),
  });
}

/** The server's certificate was not accepted: wrong server, or the certificate authority was changed. */
export function isCertificateProblem(error: Error): boolean {
  return /CERT|UNABLE_TO_(VERIFY|GET_ISSUER)|SELF_SIGNED/.test(codeOf(error));
}

/** A proxy did not open a tunnel to the server. undici has no code for it. */
function isRefusedTunnel(error: Error): boolean {
  return error.message.includes('when HTTP Tunneling');
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
