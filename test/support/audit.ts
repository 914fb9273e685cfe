/**
 * Least privilege, as the API server's audit log proves it: what an identity was granted against what it used. The
 * records come from `.cluster/audit.log`, one JSON object a line.
 */
import type { PolicyRule } from './chart.ts';

/** A verb on a resource as one word: `patch copilot-operator.dev/copilottenants/status`, `get /secrets`. */
export type Right = string;

/** Rights that are granted and that no audit log can show. */
export const NOT_IN_AUDIT_LOG: ReadonlyMap<Right, string> = new Map([
  ['update copilot-operator.dev/copilottenants/finalizers', 'asked for by an admission plugin, never requested'],
]);

/** True for what is only used when an API server can't stream the beginning of a watch. */
export const isListOfCached = (right: Right, granted: ReadonlySet<Right>) =>
  right.startsWith('list ') && granted.has(right.replace('list ', 'watch '));

interface AuditRecord {
  stage: string;
  verb: string;
  user: { username: string };
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string };
  responseStatus?: { code?: number };
}

/** Every right that the rules grant. */
export function grantedRights(rules: readonly PolicyRule[]): Set<Right> {
  return new Set(
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((name) => verbs.map((verb) => `${verb} ${group}/${name}`))),
    ),
  );
}

export interface Usage {
  /** Rights that `user` made use of. */
  used: Set<Right>;
  /** Rights that it asked for and did not have. */
  refused: Set<Right>;
}

/** What `user` did, from the lines of an audit log. Requests that name no resource, such as /readyz, are left out. */
export function usage(user: string, lines: Iterable<string>): Usage {
  const used = new Set<Right>();
  const refused = new Set<Right>();
  for (const line of lines) {
    if (!line.includes(user)) continue;
    const { stage, verb, user: by, objectRef: ref, responseStatus } = JSON.parse(line) as AuditRecord;
    // A watch that still runs has only begun.
    const counts = stage === 'ResponseComplete' || (stage === 'ResponseStarted' && verb === 'watch');
    if (!counts || by.username !== user || !ref?.resource) continue;
    const name = ref.subresource ? `${ref.resource}/${ref.subresource}` : ref.resource;
    (responseStatus?.code === 403 ? refused : used).add(`${verb} ${ref.apiGroup ?? ''}/${name}`);
  }
  return { used, refused };
}

/** Granted rights that were not used, although a run that exercises everything should have. */
export function unusedRights(granted: ReadonlySet<Right>, used: ReadonlySet<Right>): Right[] {
  return [...granted].filter(
    (right) => !used.has(right) && !NOT_IN_AUDIT_LOG.has(right) && !isListOfCached(right, granted),
  );
}
