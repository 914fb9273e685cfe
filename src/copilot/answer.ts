import type { CallOptions, Connection } from './connection.ts';
import { ProtocolError, quote } from './errors.ts';
import { isSessionId } from './session-id.ts';

/** How answers are read: by their known fields, each checked, and the rest left unread. A server runs what its agent runs. */

/** Calls `method` and expects an object as its result. */
export async function call(
  connection: Connection,
  method: string,
  params: object,
  options: CallOptions,
): Promise<Record<string, unknown>> {
  return objectOf(connection, method, 'result', await connection.request(method, params, options));
}

export function objectOf(
  connection: Connection,
  method: string,
  field: string,
  value: unknown,
): Record<string, unknown> {
  if (!isObject(value)) throw unexpected(connection, method, field, value);
  return value;
}

export function stringOf(
  connection: Connection,
  method: string,
  field: string,
  value: unknown,
  pattern = /^[ -~]{1,64}$/,
): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw unexpected(connection, method, field, value);
  return value;
}

export function sessionIdOf(connection: Connection, method: string, field: string, value: unknown): string {
  if (typeof value !== 'string' || !isSessionId(value)) throw unexpected(connection, method, field, value);
  return value;
}

export function integerOf(connection: Connection, method: string, field: string, value: unknown): number {
  if (!Number.isSafeInteger(value)) throw unexpected(connection, method, field, value);
  return value as number;
}

/** An RFC 3339 time, as it came. */
export function timeOf(connection: Connection, method: string, field: string, value: unknown): string {
  const time = stringOf(connection, method, field, value);
  if (Number.isNaN(Date.parse(time))) throw unexpected(connection, method, field, value);
  return time;
}

/** The error for a field that is not what it should be. */
export function unexpected({ peer }: Connection, method: string, field: string, value: unknown): ProtocolError {
  const found = value === undefined ? 'nothing' : quote(JSON.stringify(value));
  return new ProtocolError(`${peer}: the answer to ${method} has an unexpected "${field}": ${found}`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
