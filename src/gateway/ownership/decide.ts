/** Decides whether a user may use a session of a tenant whose users are kept apart. */
import type { SessionSettings } from '../model.ts';

/** What a CopilotSession says of a session id. */
export interface SessionRecord {
  /** Undefined: it names no owner, and so reserves nothing. */
  readonly owner: string | undefined;
  readonly participants: readonly string[];
  /** What it sets of the session; undefined: nothing. */
  readonly settings?: SessionSettings | undefined;
}

/** What is known of a session id. */
export interface OwnershipFacts {
  /** The user that asks. */
  readonly user: string;
  /** Whether the server has a session, or remains of one, under this id. */
  readonly exists: boolean;
  /** By the stamp; undefined: there is none that is valid. */
  readonly owner: string | undefined;
  /** What the operator wrote as owner, which is not signed; undefined also if there is a stamp, valid or not. */
  readonly label: string | undefined;
  readonly record: SessionRecord | undefined;
}

/** The answer, and why. */
export interface OwnershipDecision {
  /** `Own`: the user may do what an owner may. `Free`: there is no such session, and the user may make it. `Other`: neither. */
  readonly verdict: 'Own' | 'Free' | 'Other';
  readonly reason: 'Owner' | 'Participant' | 'Adopted' | 'AnotherOwner' | 'Unstamped' | 'New' | 'Reserved';
  readonly message: string;
}

/** A valid stamp decides before any CopilotSession: an object that somebody creates later must not take a session away. */
export function decideOwnership({ user, exists, owner, label, record }: OwnershipFacts): OwnershipDecision {
  if (owner === user) return { verdict: 'Own', reason: 'Owner', message: 'The user has made the session.' };
  if (owner !== undefined) {
    return record?.owner === owner && record.participants.includes(user)
      ? { verdict: 'Own', reason: 'Participant', message: 'The CopilotSession of the owner names the user.' }
      : { verdict: 'Other', reason: 'AnotherOwner', message: 'Another user has made the session.' };
  }
  // From before users were kept apart. The label alone says nothing: an agent could have written it.
  if (exists && label === user && record?.owner === user) {
    return { verdict: 'Own', reason: 'Adopted', message: 'The CopilotSession and the label name the user as owner.' };
  }
  if (exists) return { verdict: 'Other', reason: 'Unstamped', message: 'The session has no valid stamp of an owner.' };
  if (record?.owner !== undefined && record.owner !== user) {
    return { verdict: 'Other', reason: 'Reserved', message: 'A CopilotSession reserves the id for another user.' };
  }
  return { verdict: 'Free', reason: 'New', message: 'There is no session of this id.' };
}
