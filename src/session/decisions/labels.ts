import { GROUP, Label } from '../../api/names.ts';
import { exponentialDelay } from '../../kube/clock/backoff.ts';
import type { SessionFacts } from '../../servers/survey/sessions.ts';
import type { CopilotSession } from '../../resources/session.ts';

/** Keys of what is stored beside a session's data. */
export const StoredLabel = {
  tenant: Label.tenant,
  session: Label.session,
  owner: `${GROUP}/owner`,
  participants: `${GROUP}/participants`,
} as const;

/**
 * Whose session it is, from the spec alone, in a form that outlives the resource. Without an owner it claims none, and leaves
 * the one that is stored.
 */
export function ownerLabels({ metadata, spec }: CopilotSession): Record<string, string> {
  return {
    [StoredLabel.tenant]: spec.tenantRef.name,
    [StoredLabel.session]: metadata.name,
    ...(spec.owner !== undefined && { [StoredLabel.owner]: spec.owner }),
    [StoredLabel.participants]: (spec.participants ?? []).join(','),
  };
}

/** Whether another owner is stored beside the data than the one that the resource states. */
export function hasOtherOwner({ spec: { owner } }: CopilotSession, labels: Readonly<Record<string, string>>): boolean {
  const stored = labels[StoredLabel.owner] ?? '';
  return owner !== undefined && stored !== '' && stored !== owner;
}

/** Between two tries for one session: within the first minute the survey has read what was stored. */
const STORE_BACKOFF = { baseMs: 60_000, maxMs: 60 * 60_000 };

/**
 * How long after one try to store labels the next may follow, ms, when the server has refused so many in a row: it refuses
 * the same words again, and each try wakes the session.
 */
export function labelInterval(refusals: number): number {
  return exponentialDelay(STORE_BACKOFF, refusals);
}

/**
 * What has to be stored beside the session's data now: only what differs, nothing beside another's data, and nothing while the
 * session is not loaded, for its server can store it only then. It is done at the next load. A label can't be taken away, so an empty one stands
 * for none.
 */
export function missingLabels(
  session: CopilotSession,
  { activity, labels }: SessionFacts,
): Record<string, string> | undefined {
  // Not read yet: what is there is not known.
  if (activity === 'Unloaded' || labels === undefined || hasOtherOwner(session, labels)) return undefined;
  const missing = Object.entries(ownerLabels(session)).filter(([key, value]) => (labels[key] ?? '') !== value);
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}
