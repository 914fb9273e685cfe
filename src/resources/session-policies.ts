/** How long the CopilotSessions of a tenant keep their sessions from its cleanup. */
import { holderOf } from './session-holder.ts';
import { sessionIdOf } from './session-index.ts';
import { ttlOf } from './session-ttl.ts';
import type { CopilotSession } from './session.ts';
import type { Policy } from './ttl-rule.ts';

/** The policies by session id, in the order of the ids. */
export function sessionPolicies(sessions: readonly CopilotSession[]): Map<string, Policy> {
  const found = new Map<string, Policy>();
  for (const [id, claiming] of Map.groupBy(sessions, sessionIdOf)) {
    const holder = holderOf(claiming);
    if (holder !== undefined) found.set(id, policyOf(holder));
  }
  return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function policyOf({ spec, metadata: { creationTimestamp } }: CopilotSession): Policy {
  const ttlMs = ttlOf(spec);
  if (ttlMs === undefined) return { keep: true };
  return { ttlMs, ...(creationTimestamp !== undefined && { since: Date.parse(creationTimestamp) }) };
}
