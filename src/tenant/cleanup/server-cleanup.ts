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
import { serverIndex } from '../../resources/names.ts';
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
  const { replicas } = tenant.spec;
  const rule = ruleOf(tenant, sessions);
  if (rule === undefined || tenant.spec.suspend) return NOTHING;
  const keys = Array.from({ length: replicas }, (_, index) => targetKey(tenant, index));
  const results = await Promise.all(
    keys.map((key) =>
      deleteBatch({ source, clock }, [key], expiredSessions(source.get(key), rule, clock.now()), rule, { signal, log }),
    ),
  );
  return {
    deleted: results.reduce((sum, result) => sum + result.deleted, 0),
    freedBytes: results.reduce((sum, result) => sum + result.freedBytes, 0),
    more: results.some(({ more }) => more),
  };
}

/**
 * Has server `index` delete the expired sessions of the volume that all share. Each of the others is asked, too, whether it has a session
 * in memory: while one of them can't say, nothing is deleted.
 */
export async function cleanUpSharedVolume(
  { source, clock }: ServerCleanupContext,
  tenant: CopilotTenant,
  sessions: readonly CopilotSession[],
  index: number,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<ServerCleanupResult> {
  const rule = ruleOf(tenant, sessions);
  if (rule === undefined || tenant.spec.suspend) return NOTHING;
  // Those that were scaled down and drain are in the status.
  const known = (tenant.status?.servers ?? []).flatMap(({ name }) => serverIndex(tenant.metadata.name, name) ?? []);
  const all = new Set([...Array.from({ length: tenant.spec.replicas }, (_, each) => each), ...known]);
  all.delete(index);
  const keys = [index, ...all].map((each) => targetKey(tenant, each)) as [string, ...string[]];
  const answers = keys.map((key) => source.get(key));
  const isUnloaded = ({ sessionId }: SessionFacts): boolean =>
    answers.every((answer) => (answer?.sessions.get(sessionId)?.activity ?? 'Unloaded') === 'Unloaded');
  // By the journal alone a session is loaded for ever whose server crashed. The servers are asked, these last.
  const expired = expiredSessions(asUnloaded(answers[0]), rule, clock.now());
  const ordered = [...expired.filter(isUnloaded), ...expired.filter((facts) => !isUnloaded(facts))];
  return deleteBatch({ source, clock }, keys, ordered, rule, { signal, log });
}

function asUnloaded(answer: ServerSessions | undefined): ServerSessions | undefined {
  if (answer === undefined) return undefined;
  const sessions = [...answer.sessions].map(
    ([id, facts]) => [id, { ...facts, activity: 'Unloaded' } as const] as const,
  );
  return { ...answer, sessions: new Map(sessions) };
}

const NOTHING: ServerCleanupResult = { deleted: 0, freedBytes: 0, more: false };

/** Undefined: nothing is to be deleted. */
function ruleOf({ spec }: CopilotTenant, sessions: readonly CopilotSession[]): Rule | undefined {
  const { ttl, cleanupDryRun } = spec.sessions;
  if (ttl === undefined || cleanupDryRun) return undefined;
  const ttlMs = durationMs(ttl);
  return { ttlMs, marginMs: clockMarginFor('Server', ttlMs), policies: sessionPolicies(sessions) };
}

/** `keys`: of the server that deletes, and of others that may have the sessions in memory. */
async function deleteBatch(
  context: ServerCleanupContext,
  keys: readonly [string, ...string[]],
  expired: readonly SessionFacts[],
  rule: Rule,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<ServerCleanupResult> {
  let [deleted, freedBytes] = [0, 0];
  for (const facts of expired.slice(0, BATCH)) {
    signal.throwIfAborted();
    try {
      if (!(await deleteExpired(context, keys, facts, rule, signal))) continue;
      deleted += 1;
      freedBytes += facts.sizeBytes;
    } catch (error) {
      if (isGivenUp(error, signal)) throw error;
      log.warn({ err: error, server: keys[0] }, 'failed to delete an expired session through its server');
      return { deleted, freedBytes, more: false };
    }
  }
  return { deleted, freedBytes, more: expired.length > BATCH };
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
  keys: readonly [string, ...string[]],
  { sessionId, modifiedTime }: SessionFacts,
  { ttlMs, marginMs }: Rule,
  signal: AbortSignal,
): Promise<boolean> {
  for (const key of keys) {
    if ((await withTimeout(clock, source.activity(key, sessionId), signal)) !== 'Unloaded') return false;
  }
  const disuse = { modifiedTime, expiresAt: modifiedTime + ttlMs + marginMs, isUnloaded: true };
  return (await withTimeout(clock, source.deleteUnused(keys[0], sessionId, disuse), signal)) === 'Deleted';
}
