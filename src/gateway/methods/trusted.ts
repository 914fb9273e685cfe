/** What is refused in a Shared tenant only because its agents have no tools of the server: where they have them, it is allowed. */
import type { ParamReason } from './param-reasons.ts';
import type { MethodReason } from './reasons.ts';

/** None of these concerns the sessions of others, which are kept apart in both. */
const TRUSTED: ReadonlySet<MethodReason | ParamReason> = new Set([
  'AgentRights',
  'AgentTools',
  'WorkspaceFiles',
  'GitHubReads',
  'ServerReads',
  'ServerPaths',
  'Redaction',
  'Declared',
  'ProviderHeaders',
]);

/** Whether the reason counts only in a Shared tenant, and not in a SharedTrusted one. */
export function isTrusted(reason: MethodReason | ParamReason): boolean {
  return TRUSTED.has(reason);
}
