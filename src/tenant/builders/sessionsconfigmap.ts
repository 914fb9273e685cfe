/** The ConfigMap with the sessions that CopilotSessions keep from the cleanup. */
import { ConfigMap } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { timestamp } from '../../kube/types/time.ts';
import { cleanupLabels, POLICIES_KEY } from '../../resources/cleanup-pod.ts';
import { childName } from '../../resources/names.ts';
import { sessionPolicies } from '../../resources/session-policies.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { Policy } from '../../resources/ttl-rule.ts';
import { sharedMetadata } from './metadata.ts';

/** How long a CopilotSession keeps its session. */
type SessionPolicy = { readonly ttlSeconds: number; readonly since?: string } | { readonly keep: true };

/**
 * How long the CopilotSessions of the tenant keep their sessions: the cleanup has no access to Kubernetes. Sessions with a shorter
 * TTL than the tenant's are included, because a run in progress may have an older TTL of the tenant. The text depends only on
 * the specs and creation times of the sessions, so that an unchanged set is an unchanged ConfigMap.
 */
export function sessionsConfigMap(tenant: CopilotTenant, sessions: readonly CopilotSession[]): ConfigMap {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(ConfigMap),
    kind: ConfigMap.kind,
    metadata: { ...sharedMetadata(tenant, childName(name, 'sessions')), labels: cleanupLabels(name) },
    data: { [POLICIES_KEY]: JSON.stringify({ sessions: Object.fromEntries(policies(sessions)) }) },
  };
}

function policies(sessions: readonly CopilotSession[]): [id: string, SessionPolicy][] {
  return [...sessionPolicies(sessions)].map(([id, policy]) => [id, toJson(policy)]);
}

function toJson(policy: Policy): SessionPolicy {
  if (policy.keep) return { keep: true };
  const { ttlMs, since } = policy;
  return { ttlSeconds: ttlMs / 1000, ...(since !== undefined && { since: timestamp(since) }) };
}
