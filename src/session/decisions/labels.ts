/** The owner of a session as it is stored beside its data, in labels that outlive the resource. */
import { GROUP, Label } from '../../api/names.ts';
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import { isOwnedByAnother, OWNER_LABEL } from '../../resources/session-removal.ts';
import type { CopilotSession } from '../../resources/session.ts';

/** Keys of the labels beside a session's data. */
export const StoredLabel = {
  tenant: Label.tenant,
  session: Label.session,
  owner: OWNER_LABEL,
  participants: `${GROUP}/participants`,
} as const;

/** The labels for the session, from its spec alone. */
export function ownerLabels({ metadata, spec }: CopilotSession): Record<string, string> {
  return {
    [StoredLabel.tenant]: spec.tenantRef.name,
    [StoredLabel.session]: metadata.name,
    ...(spec.owner !== undefined && { [StoredLabel.owner]: spec.owner }),
    [StoredLabel.participants]: (spec.participants ?? []).join(','),
  };
}

/** Whether an owner other than `spec.owner` is stored, also for a resource without one. */
export function hasOtherOwner({ spec }: CopilotSession, labels: Readonly<Record<string, string>>): boolean {
  return isOwnedByAnother(labels[StoredLabel.owner] ?? '', spec.owner);
}

/** Between two attempts for one session: within the first minute the survey reads what was stored. */
const STORE_BACKOFF = { baseMs: 60_000, maxMs: 60 * 60_000 };

/**
 * How long after one attempt to store labels the next may follow, ms, after so many refusals in a row: the server refuses the same
 * labels again, and each attempt counts as use of the session.
 */
export function labelInterval(refusals: number): number {
  return exponentialDelay(STORE_BACKOFF, refusals);
}

/**
 * The labels to store now: only those that differ, none on data of another owner, and none while the session is not loaded, for its
 * server can store them only then. A label can't be removed, so an empty value stands for none.
 */
export function missingLabels(
  session: CopilotSession,
  { activity, labels }: SessionFacts,
): Record<string, string> | undefined {
  // Undefined labels were not read yet.
  if (activity === 'Unloaded' || labels === undefined || hasOtherOwner(session, labels)) return undefined;
  const missing = Object.entries(ownerLabels(session)).filter(([key, value]) => (labels[key] ?? '') !== value);
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}
