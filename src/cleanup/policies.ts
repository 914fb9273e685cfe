/** The file with the sessions that CopilotSessions keep longer than the tenant's TTL. */
import { readFile } from 'node:fs/promises';
import { isSessionId } from '../copilot/session-id.ts';
import type { Policy } from '../resources/ttl-rule.ts';

/** The file can't be used. Without it a run would delete sessions that are to be kept, so it fails. */
export class PoliciesError extends Error {
  override readonly name = 'PoliciesError';
}

/** @throws PoliciesError when the file is missing, unreadable or invalid. */
export async function readPolicies(file: string): Promise<Map<string, Policy>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new PoliciesError(`failed to read policies file ${file}: ${message(error)}; nothing was deleted`, {
      cause: error,
    });
  }
  try {
    return parsePolicies(text);
  } catch (error) {
    throw new PoliciesError(`invalid policies file ${file}: ${message(error)}; nothing was deleted`, { cause: error });
  }
}

/**
 * Parses `{"sessions": {"<id>": {"ttlSeconds": 86400, "since": "2026-01-02T03:04:05Z"} | {"keep": true}}}`; `since` is optional. It is strict: a policy that is misread deletes a
 * session.
 * @throws Error that names the session and what was found.
 */
export function parsePolicies(text: string): Map<string, Policy> {
  const file = objectOf(JSON.parse(text), 'the file');
  only(file, ['sessions'], 'the file');
  const sessions = objectOf(file['sessions'], '"sessions"');
  return new Map(Object.entries(sessions).map(([id, policy]) => [idOf(id), policyOf(id, policy)]));
}

function idOf(id: string): string {
  if (!isSessionId(id)) throw new Error(`"sessions" has ${JSON.stringify(id)}, which is not a session id`);
  return id;
}

function policyOf(id: string, value: unknown): Policy {
  const at = `the policy of session ${id}`;
  const policy = objectOf(value, at);
  only(policy, ['keep', 'ttlSeconds', 'since'], at);
  const { keep, ttlSeconds, since } = policy;
  if (keep === true && ttlSeconds === undefined && since === undefined) return { keep };
  if (keep === undefined && Number.isSafeInteger(ttlSeconds) && Number(ttlSeconds) > 0) {
    return { ttlMs: Number(ttlSeconds) * 1000, ...(since !== undefined && { since: timeOf(since, at) }) };
  }
  throw new Error(
    `${at} is ${JSON.stringify(value)}: it must be {"keep": true} or {"ttlSeconds": N}, N a whole number above 0`,
  );
}

function timeOf(value: unknown, at: string): number {
  const time = typeof value === 'string' ? Date.parse(value) : NaN;
  if (Number.isNaN(time)) throw new Error(`${at} has "since": ${JSON.stringify(value)}, which is not a time`);
  return time;
}

function objectOf(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${at} must be a JSON object`);
}

function only(value: object, fields: readonly string[], at: string): void {
  const other = Object.keys(value).find((key) => !fields.includes(key));
  if (other !== undefined) throw new Error(`${at} has the unknown field ${JSON.stringify(other)}`);
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
