/**
 * Condition types, reasons and phases of CopilotSession. They are API, as those of CopilotTenant in conditions.ts: never
 * renamed, only added; the comments become docs/api.md.
 */

/** The condition types in `status.conditions` of a session. All are present once it was reconciled. */
export const SessionConditionType = {
  /** True when a client can use the session: its id is reserved, and a server of its tenant answers. */
  Ready: 'Ready',
  /** True while the operator is working on it and needs no user action for it (kstatus). */
  Reconciling: 'Reconciling',
  /** True when a user has to act first; the message says what to do (kstatus). */
  Stalled: 'Stalled',
} as const;
export type SessionConditionType = (typeof SessionConditionType)[keyof typeof SessionConditionType];

/** Values of `status.phase`: what is known of the session's data. */
export const SessionPhase = {
  /** No turn yet. A server keeps nothing of a session before its first turn, so there is only the reserved id and the policy. */
  Pending: 'Pending',
  /** It has had turns and none is running. */
  Idle: 'Idle',
  /** A turn is running. */
  Active: 'Active',
  /** Its time to live has passed, and its data was deleted. A session without a turn expires too, which frees its id. */
  Expired: 'Expired',
  /** Its data existed and is gone, and the operator did not delete it. */
  Lost: 'Lost',
} as const;
export type SessionPhase = (typeof SessionPhase)[keyof typeof SessionPhase];

/** Reasons of the condition `Ready` of a session. While the condition Stalled is True, Ready has its reason instead. */
export const SessionReadyReason = {
  /** The id is reserved for this resource; the first turn creates the session. */
  AwaitingFirstTurn: 'AwaitingFirstTurn',
  /** No turn is running. */
  SessionIdle: 'SessionIdle',
  /** A turn is running. */
  TurnRunning: 'TurnRunning',
  /** The tenant is suspended; its sessions stay on the volumes. The phase is the last one that was observed. */
  TenantSuspended: 'TenantSuspended',
  /** The tenant sleeps because nobody uses it; its sessions stay on the volumes, and a call of a client wakes it. The phase is the last one that was observed. */
  TenantHibernated: 'TenantHibernated',
  /** The server that holds the session, or before its first turn every server of the tenant, does not answer; see the tenant. The phase is the last one that was observed. */
  TenantUnavailable: 'TenantUnavailable',
  /** Its time to live has passed, and its data was deleted. A new turn under its id starts a new session. */
  SessionExpired: 'SessionExpired',
  /** Its data is gone, deleted on the server or lost with a volume. A new turn under its id starts a new session. */
  SessionLost: 'SessionLost',
  /** The resource is being deleted. */
  Deleting: 'Deleting',
} as const;
export type SessionReadyReason = (typeof SessionReadyReason)[keyof typeof SessionReadyReason];

/** Reasons of the condition `Reconciling` of a session. */
export const SessionReconcilingReason = {
  /** There is nothing to do. */
  UpToDate: 'UpToDate',
  /** User action is required; see the condition Stalled. */
  Blocked: 'Blocked',
  /** A server of the tenant is expected to answer soon. */
  WaitingForTenant: 'WaitingForTenant',
  /** The session's data is being deleted, because its time to live has passed. */
  Expiring: 'Expiring',
  /** The session's data is being deleted with the resource. */
  DeletingData: 'DeletingData',
} as const;
export type SessionReconcilingReason = (typeof SessionReconcilingReason)[keyof typeof SessionReconcilingReason];

/** Reasons of the condition `Stalled` of a session. Each clears without further action once its cause is fixed. */
export const SessionStalledReason = {
  /** No problems detected. */
  NotStalled: 'NotStalled',
  /** The CopilotTenant in `spec.tenantRef` does not exist in this namespace, or is being deleted. Create it, or recreate the session with the right name. */
  TenantNotFound: 'TenantNotFound',
  /** An older CopilotSession holds the same session id of the same tenant. Delete this one, or recreate it with another id. */
  DuplicateSessionId: 'DuplicateSessionId',
  /** The data under this id has a different owner than `spec.owner`, or one while `spec.owner` is not set, so this resource neither changes nor deletes it, not even when the resource is deleted. Delete the resource, and create one with another id or the right `spec.owner`. */
  OwnedByAnother: 'OwnedByAnother',
  /** More than one server of the tenant has data under this id, or one while the volume of another that does not answer keeps it; the message names them. None of it is changed or deleted, even when the resource is deleted. Delete the copies that are not needed through their servers, for example with `deleteSession` of the Copilot SDK. */
  OnSeveralServers: 'OnSeveralServers',
  /** The operator lacks a permission. The message names the verb and the resource; compare with the chart's RBAC. */
  Forbidden: 'Forbidden',
} as const;
export type SessionStalledReason = (typeof SessionStalledReason)[keyof typeof SessionStalledReason];
