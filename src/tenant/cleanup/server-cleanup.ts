/**
 * Has running servers delete their expired sessions while the run of the cleanup waits for a node, a quota or a queue: a volume must not
 * fill up because no pod can be started.
 */
import type { Logger } from 'pino';
import { durationMs } from '../../api/duration.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { isGivenUp, withTimeout } from '../../servers/call-timeout.ts';
import type { ServerSessions, SessionFacts, SessionSource } from '../../servers/survey/sessions.ts';
import { sessionPolicies } from '../../resources/session-policies.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { clockMarginFor, decide, type Rule } from '../../resources/ttl-rule.ts';
import { targetKey } from '../targets.ts';

/** Sessions deleted on each server in one reconcile; the next one continues. */
const BATCH = 10;

/** What sessions are deleted with. */
export interface ServerCleanupContext {
  readonly source: Pick<SessionSource, 'get' | 'activity' | 'deleteUnused'>;
  readonly clock: Clock;
}

/** The result of one reconcile. */
export interface ServerCleanupResult {
  readonly deleted: number;
  readonly freedBytes: number;
  /** More sessions have expired than one reconcile deletes. */
  readonly more: boolean;
}

/** Deletes what the cleanup run would delete through the servers, by the same rule. A server that fails keeps its sessions until later. */
export async function cleanUpServers(
  { source, clock }: ServerCleanupContext,
  tenant: CopilotTenant,
  sessions: readonly CopilotSession[],
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<ServerCleanupResult> {
  const { sessions: settings, replicas, suspend } = tenant.spec;
  if (settings.ttl === undefined || settings.cleanupDryRun || suspend)
    return { deleted: 0, freedBytes: 0, more: false };
  const ttlMs = durationMs(settings.ttl);
  const rule: Rule = { ttlMs, marginMs: clockMarginFor('Server', ttlMs), policies: sessionPolicies(sessions) };
  const keys = Array.from({ length: replicas }, (_, index) => targetKey(tenant, index));
  const results = await Promise.all(
    keys.map(async (key) => {
      const expired = expiredSessions(source.get(key), rule, clock.now());
      let [deleted, freedBytes] = [0, 0];
      for (const facts of expired.slice(0, BATCH)) {
        signal.throwIfAborted();
        try {
          if (!(await deleteExpired({ source, clock }, key, facts, rule, signal))) continue;
          deleted += 1;
          freedBytes += facts.sizeBytes;
        } catch (error) {
          if (isGivenUp(error, signal)) throw error;
          log.warn({ err: error, server: key }, 'failed to delete an expired session through its server');
          return { deleted, freedBytes, more: false };
        }
      }
      return { deleted, freedBytes, more: expired.length > BATCH };
    }),
  );
  return {
    deleted: results.reduce((sum, result) => sum + result.deleted, 0),
    freedBytes: results.reduce((sum, result) => sum + result.freedBytes, 0),
    more: results.some(({ more }) => more),
  };
}

/** The sessions that the cleanup would delete, oldest first. */
export function expiredSessions(answer: ServerSessions | undefined, rule: Rule, now: number): SessionFacts[] {
  return [...(answer?.sessions.values() ?? [])]
    .filter((facts) => decide(facts, rule, now).action === 'Delete')
    .toSorted((a, b) => a.modifiedTime - b.modifiedTime);
}

/** Whether it was deleted. What was observed may be outdated, so the server is asked once more. */
async function deleteExpired(
  { source, clock }: ServerCleanupContext,
  key: string,
  { sessionId, modifiedTime }: SessionFacts,
  { ttlMs, marginMs }: Rule,
  signal: AbortSignal,
): Promise<boolean> {
  if ((await withTimeout(clock, source.activity(key, sessionId), signal)) !== 'Unloaded') return false;
  const disuse = { modifiedTime, expiresAt: modifiedTime + ttlMs + marginMs };
  return (await withTimeout(clock, source.deleteUnused(key, sessionId, disuse), signal)) === 'Deleted';
}
