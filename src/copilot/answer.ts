import type { CallOptions, Client } from './client.ts';
import { ProtocolError, quote } from './errors.ts';
import { isSessionId } from './session-id.ts';

/** How answers are read: by their known fields, each checked, and the rest left unread. A server runs what its agent runs. */

/** Calls `method` and expects an object as its result. */
export async function call(
  client: Client,
  method: string,
  params: object,
  options: CallOptions,
): Promise<Record<string, unknown>> {
  return objectOf(client, method, 'result', await client.request(method, params, options));
}

export function objectOf(client: Client, method: string, field: string, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw unexpected(client, method, field, value);
  return value;
}

export function stringOf(
  client: Client,
  method: string,
  field: string,
  value: unknown,
  pattern = /^[ -~]{1,64}$/,
): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw unexpected(client, method, field, value);
  return value;
}

export function sessionIdOf(client: Client, method: string, field: string, value: unknown): string {
  if (typeof value !== 'string' || !isSessionId(value)) throw unexpected(client, method, field, value);
  return value;
}

export function integerOf(client: Client, method: string, field: string, value: unknown): number {
  if (!Number.isSafeInteger(value)) throw unexpected(client, method, field, value);
  return value as number;
}

/** An RFC 3339 time, as it came. */
export function timeOf(client: Client, method: string, field: string, value: unknown): string {
  const time = stringOf(client, method, field, value);
  if (Number.isNaN(Date.parse(time))) throw unexpected(client, method, field, value);
  return time;
}

/** The error for a field that is not what it should be. */
export function unexpected({ address }: Client, method: string, field: string, value: unknown): ProtocolError {
  const found = value === undefined ? 'nothing' : quote(JSON.stringify(value));
  return new ProtocolError(`${address}: the answer to ${method} has an unexpected "${field}": ${found}`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
