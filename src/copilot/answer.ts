/** How answers are read: the known fields, each checked, and no others. A server runs what its agent runs, so it is not trusted. */
import type { CallOptions, Requester } from './client.ts';
import { ProtocolError, quote } from './errors.ts';
import { isSessionId } from './session-id.ts';

/** Calls `method` and expects an object as its result. */
export async function call(
  server: Requester,
  method: string,
  params: object,
  options: CallOptions,
): Promise<Record<string, unknown>> {
  return objectOf(server, method, 'result', await server.request(method, params, options));
}

/** `value` as an object. Like its siblings below, it throws `unexpected` for anything else. */
export function objectOf(server: Requester, method: string, field: string, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw unexpected(server, method, field, value);
  return value;
}

export function stringOf(
  server: Requester,
  method: string,
  field: string,
  value: unknown,
  pattern = /^[ -~]{1,64}$/,
): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw unexpected(server, method, field, value);
  return value;
}

export function sessionIdOf(server: Requester, method: string, field: string, value: unknown): string {
  if (typeof value !== 'string' || !isSessionId(value)) throw unexpected(server, method, field, value);
  return value;
}

export function integerOf(server: Requester, method: string, field: string, value: unknown): number {
  if (!Number.isSafeInteger(value)) throw unexpected(server, method, field, value);
  return value as number;
}

/** An RFC 3339 time, unchanged. */
export function timeOf(server: Requester, method: string, field: string, value: unknown): string {
  const time = stringOf(server, method, field, value);
  if (Number.isNaN(Date.parse(time))) throw unexpected(server, method, field, value);
  return time;
}

/** The error for a field with an unexpected value. */
export function unexpected({ address }: Requester, method: string, field: string, value: unknown): ProtocolError {
  const found = value === undefined ? 'nothing' : quote(JSON.stringify(value));
  return new ProtocolError(`${address}: the answer to ${method} has an unexpected "${field}": ${found}`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
