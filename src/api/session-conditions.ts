/**
 * Condition types, reasons and phases of CopilotSession. They are API, as those of CopilotTenant in conditions.ts: never
 * renamed, only added; the comments become docs/api.md.
 */

/** The condition types in `status.conditions` of a session. All are always present once it was reconciled. */
export const SessionConditionType = {
  /** True when a client can use the session: its id is held, and a server of its tenant answers. */
  Ready: 'Ready',
  /** True while the operator is still working on it and expects to get there without help (kstatus). */
  Reconciling: 'Reconciling',
  /** True when somebody has to act first; the message says what to do (kstatus). */
  Stalled: 'Stalled',
} as const;
export type SessionConditionType = (typeof SessionConditionType)[keyof typeof SessionConditionType];

/** Values of `status.phase`: what is known of the session's data. */
export const SessionPhase = {
  /** No turn yet. A server keeps nothing of a session before its first turn, so only the id and the policy are held. */
  Pending: 'Pending',
  /** It has had turns and none is running. */
  Idle: 'Idle',
  /** A turn is running. */
  Active: 'Active',
  /** Its time was up, and its data was deleted. Also of a session without a turn, whose id is then free again. */
  Expired: 'Expired',
  /** It was seen, and its data is gone without the operator having deleted it. */
  Lost: 'Lost',
} as const;
export type SessionPhase = (typeof SessionPhase)[keyof typeof SessionPhase];

/** Reasons of the condition `Ready` of a session. While something stands in the way, it carries the reason of the condition Stalled instead. */
export const SessionReadyReason = {
  /** The id is held for this resource; the first turn makes the session. */
  AwaitingFirstTurn: 'AwaitingFirstTurn',
  /** No turn is running. */
  SessionIdle: 'SessionIdle',
  /** A turn is running. */
  TurnRunning: 'TurnRunning',
  /** The tenant is suspended: its sessions wait on the volume. The phase is that of the last answer. */
  TenantSuspended: 'TenantSuspended',
  /** The server that holds the session, or before its first turn every server of the tenant, does not answer now; see the tenant. The phase is that of the last answer. */
  TenantUnavailable: 'TenantUnavailable',
  /** Its time was up, and its data was deleted. A new turn under its id begins a new session. */
  SessionExpired: 'SessionExpired',
  /** Its data is gone, deleted on the server or lost with a volume. A new turn under its id begins a new session. */
  SessionLost: 'SessionLost',
  /** The resource is being deleted. */
  Deleting: 'Deleting',
} as const;
export type SessionReadyReason = (typeof SessionReadyReason)[keyof typeof SessionReadyReason];

/** Reasons of the condition `Reconciling` of a session. */
export const SessionReconcilingReason = {
  /** Nothing is left to do. */
  UpToDate: 'UpToDate',
  /** Nothing can be done until somebody acts; see the condition Stalled. */
  Blocked: 'Blocked',
  /** A server of the tenant is expected to answer soon. */
  WaitingForTenant: 'WaitingForTenant',
  /** The session's data is being deleted, because its time is up. */
  Expiring: 'Expiring',
  /** The session's data is being deleted with the resource. */
  DeletingData: 'DeletingData',
} as const;
export type SessionReconcilingReason = (typeof SessionReconcilingReason)[keyof typeof SessionReconcilingReason];

/** Reasons of the condition `Stalled` of a session. Each goes away by itself once its cause is mended. */
export const SessionStalledReason = {
  /** Nothing stands in the way. */
  NotStalled: 'NotStalled',
  /** `spec.tenantRef` names no CopilotTenant of this namespace, or one that is being deleted. Make it, or make the session anew with the right name. */
  TenantNotFound: 'TenantNotFound',
  /** An older CopilotSession holds the same session id of the same tenant. Delete this one, or give it another id. */
  DuplicateSessionId: 'DuplicateSessionId',
  /** Another owner than `spec.owner` is stored beside the data under this id, so that this resource does not hold it: it neither changes nor deletes the data, also when it is deleted itself. Delete it, and make one with another id or the right `spec.owner`. */
  OwnedByAnother: 'OwnedByAnother',
  /** The operator lacks a permission. The message names verb and resource; compare with the chart's RBAC. */
  Forbidden: 'Forbidden',
} as const;
export type SessionStalledReason = (typeof SessionStalledReason)[keyof typeof SessionStalledReason];
