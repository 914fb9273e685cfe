/** Bodies of the requests that the fault proxy gets, and its own answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault, ProxiedRequest } from './faults.ts';
import { failure } from './watch-relay.ts';

/** Answers instead of the API server. */
export function respond(
  record: ProxiedRequest,
  response: ServerResponse,
  fault: Extract<Fault, { kind: 'respond' }>,
): void {
  record.status = fault.status;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (fault.retryAfterSeconds !== undefined) headers['retry-after'] = String(fault.retryAfterSeconds);
  const { status: code, reason = '', message = 'injected by the fault proxy' } = fault;
  response.writeHead(code, headers).end(JSON.stringify(failure({ code, reason, message })));
}

/** Reads all of it. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
