/** Least privilege: the granted permissions of an identity, compared with those in the audit log. */
import type { AuditRecord } from './audit.ts';
import type { PolicyRule } from './chart.ts';

/** A verb on a resource as one word: `patch copilot-operator.dev/copilottenants/status`, `get /secrets`. */
export type Right = string;

/** Every permission that the rules grant. */
export function grantedRights(rules: readonly PolicyRule[]): Set<Right> {
  return new Set(
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((name) => verbs.map((verb) => `${verb} ${group}/${name}`))),
    ),
  );
}

export interface Usage {
  /** Permissions that were used. */
  used: Set<Right>;
  /** Permissions that were missing. */
  refused: Set<Right>;
}

export function usage(records: readonly AuditRecord[]): Usage {
  const used = new Set<Right>();
  const refused = new Set<Right>();
  for (const { verb, group, resource, code } of records) {
    (code === 403 ? refused : used).add(`${verb} ${group}/${resource}`);
  }
  return { used, refused };
}
