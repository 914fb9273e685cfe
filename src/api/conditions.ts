/**
 * Condition types and reasons of CopilotTenant. Both are API: people alert on them and scripts wait for them, so a
 * value is never renamed, only added. The comments are the documentation of docs/api.md, which is generated from this
 * file: keep one comment and one `Name: 'Name'` line for each.
 */

/** The condition types in `status.conditions`. All are always present once a tenant was reconciled. */
export const ConditionType = {
  /** True when every wanted server runs the wanted version and answers pings. False for a suspended tenant: nobody can chat with it. */
  Ready: 'Ready',
  /** True while the operator is still working towards the spec and expects to get there without help (kstatus). */
  Reconciling: 'Reconciling',
  /** True when somebody has to act before the tenant can become Ready; the message says what to do (kstatus). The operator goes on trying. */
  Stalled: 'Stalled',
  /** What the pings say: True when every server answers, False when one stopped answering, Unknown when there is nothing to ping yet. */
  Healthy: 'Healthy',
  /** Whether the credentials that `spec.model` names can be used. True when none are named: then clients bring their own. */
  ModelConfigured: 'ModelConfigured',
  /** Whether sessions are cleaned up as `spec.sessions` says. False after two failed runs in a row. */
  CleanupHealthy: 'CleanupHealthy',
  /** True when a server's volume is nearly full: act before sessions can no longer be written. */
  StoragePressure: 'StoragePressure',
} as const;
export type ConditionType = (typeof ConditionType)[keyof typeof ConditionType];

/** Reasons of the condition `Ready`. While something stands in the way, it carries the reason of the condition Stalled instead. */
export const ReadyReason = {
  /** Every wanted server is up, current and answers. */
  ServersReady: 'ServersReady',
  /** Servers are being made or started for the first time. */
  ServersStarting: 'ServersStarting',
  /** Servers are being replaced, because the spec or a Secret changed. */
  ServersUpdating: 'ServersUpdating',
  /** At least one server that has answered before doesn't answer now; see the condition Healthy. */
  ServersUnhealthy: 'ServersUnhealthy',
  /** `spec.suspend` is true: no server runs, the volumes stay. */
  Suspended: 'Suspended',
  /** `spec.replicas` is 0: no server runs, the volumes follow `spec.storage.reclaimPolicy`. */
  ScaledToZero: 'ScaledToZero',
  /** The tenant is being deleted. */
  Deleting: 'Deleting',
} as const;
export type ReadyReason = (typeof ReadyReason)[keyof typeof ReadyReason];

/** Reasons of the condition `Reconciling`. */
export const ReconcilingReason = {
  /** Nothing is left to do. */
  UpToDate: 'UpToDate',
  /** Nothing can be done until somebody acts; see the condition Stalled. */
  Blocked: 'Blocked',
  /** Servers are being made or started. */
  ServersStarting: 'ServersStarting',
  /** Servers are being replaced by ones of the wanted spec. */
  ServersUpdating: 'ServersUpdating',
  /** Servers beyond `spec.replicas` are being stopped, highest index first. */
  ScalingDown: 'ScalingDown',
  /** A volume is growing to `spec.storage.size`. */
  VolumeResizing: 'VolumeResizing',
  /** A server that stopped answering is being restarted. */
  ServersRestarting: 'ServersRestarting',
  /** Servers are being stopped, because `spec.suspend` is true. */
  Suspending: 'Suspending',
  /** Objects of a deleted tenant of the same name are still there; this tenant's take their place once they are gone. */
  WaitingForDeletion: 'WaitingForDeletion',
  /** Children are being deleted with the tenant. */
  Deleting: 'Deleting',
  /** The API server refused or did not answer a request; it is sent again with back-off. */
  RetryingAfterError: 'RetryingAfterError',
} as const;
export type ReconcilingReason = (typeof ReconcilingReason)[keyof typeof ReconcilingReason];

/** Reasons of the condition `Stalled`. Each of them goes away by itself once its cause is mended. */
export const StalledReason = {
  /** Nothing stands in the way. */
  NotStalled: 'NotStalled',
  /** The model credentials can't be used; see the condition ModelConfigured for the Secret and key. No pod is started with them. */
  ModelNotConfigured: 'ModelNotConfigured',
  /** An object that has a child's name is not controlled by this tenant. It is neither adopted nor changed: rename or delete it. */
  ForeignObject: 'ForeignObject',
  /** The server image can't be pulled, or its reference is malformed. Check `spec.server.image` and `imagePullSecrets`. */
  ImagePullFailed: 'ImagePullFailed',
  /** The server's container can't be made, for example because of a missing runtime class or a forbidden security setting. */
  ContainerCannotRun: 'ContainerCannotRun',
  /** The server's container exits again and again; the message has its exit code. */
  ContainerCrashed: 'ContainerCrashed',
  /** No node fits the pod: resources, `nodeSelector`, `tolerations` or `affinity`. */
  Unschedulable: 'Unschedulable',
  /** The StorageClass in `spec.storage.storageClassName` doesn't exist, or none is the cluster's default. */
  StorageClassNotFound: 'StorageClassNotFound',
  /** The volume is not provisioned or not mounted; the message repeats what the storage system said. */
  VolumePending: 'VolumePending',
  /** The StorageClass doesn't allow its volumes to grow (`allowVolumeExpansion`). Set `spec.storage.size` back, or allow it if the driver can. */
  VolumeNotExpandable: 'VolumeNotExpandable',
  /** A volume that held sessions is gone, and with it their history. The message says which, and how to go on with an empty one. */
  DataLost: 'DataLost',
  /** A ResourceQuota of the namespace has no room for a child. */
  QuotaExceeded: 'QuotaExceeded',
  /** An admission plugin, policy or webhook refused a child, for example Pod Security or a LimitRange. */
  AdmissionDenied: 'AdmissionDenied',
  /** The API server refused a child as invalid, for example limits below requests. The message names the field. */
  InvalidSpec: 'InvalidSpec',
  /** The operator lacks a permission. The message names verb and resource; compare with the chart's RBAC. */
  Forbidden: 'Forbidden',
  /** The operator was not told its own image (`--operator-image`, set by the present chart), so it can't run the cleanup that `spec.sessions.ttl` asks for. */
  OperatorImageUnknown: 'OperatorImageUnknown',
  /** The namespace is being deleted, so nothing new can be made in it. */
  NamespaceTerminating: 'NamespaceTerminating',
} as const;
export type StalledReason = (typeof StalledReason)[keyof typeof StalledReason];

/** Reasons of the condition `Healthy`. `kubectl get ct` shows them in the column HEALTH. */
export const HealthyReason = {
  /** Every server answers pings. */
  Healthy: 'Healthy',
  /** Servers run that have not answered their first ping yet. */
  AwaitingPing: 'AwaitingPing',
  /** No connection to a server: refused, reset, or no route. */
  Unreachable: 'Unreachable',
  /** A server refused the tenant's connection token. It is replaced only if its pod does not carry the current token: a restart would not help otherwise. */
  AuthFailed: 'AuthFailed',
  /** A server accepted the connection and did not answer within `spec.health.timeout`. */
  Timeout: 'Timeout',
  /** What answered does not speak the Copilot CLI's protocol. Check `spec.server.image`. */
  ProtocolError: 'ProtocolError',
  /** No server is meant to run: suspended, or scaled to zero. */
  NoServers: 'NoServers',
} as const;
export type HealthyReason = (typeof HealthyReason)[keyof typeof HealthyReason];

/** Reasons of the condition `ModelConfigured`. Messages name Secret and key, never a value. */
export const ModelConfiguredReason = {
  /** Servers use GitHub Copilot with the token of `spec.model.github`. */
  GitHub: 'GitHub',
  /** The binding Secret has the provider of `spec.model.provider` for clients to use. */
  Provider: 'Provider',
  /** `spec.model` names no credentials: each client brings its own with its sessions. */
  ClientProvided: 'ClientProvided',
  /** The Secret does not exist in the tenant's namespace. */
  SecretNotFound: 'SecretNotFound',
  /** The Secret has no such key. */
  SecretKeyNotFound: 'SecretKeyNotFound',
  /** The key's value is empty. */
  SecretValueEmpty: 'SecretValueEmpty',
  /** The key's value has a line break or another control character, which would corrupt a header or an environment variable. Often a trailing newline. */
  SecretValueInvalid: 'SecretValueInvalid',
  /** The operator may not read the Secret. */
  SecretForbidden: 'SecretForbidden',
} as const;
export type ModelConfiguredReason = (typeof ModelConfiguredReason)[keyof typeof ModelConfiguredReason];

/** Reasons of the condition `CleanupHealthy`. */
export const CleanupHealthyReason = {
  /** `spec.sessions.ttl` is not set: no session is ever cleaned up. */
  NotScheduled: 'NotScheduled',
  /** No run has ended yet. */
  AwaitingFirstRun: 'AwaitingFirstRun',
  /** The last run did all that it was to do. */
  CleanupSucceeded: 'CleanupSucceeded',
  /** The last run failed, the one before it did not: the next one goes on where it ended. */
  CleanupRetrying: 'CleanupRetrying',
  /** The last two runs failed, or more. The message has the reason; `kubectl logs` of the Job has the rest. */
  CleanupFailing: 'CleanupFailing',
} as const;
export type CleanupHealthyReason = (typeof CleanupHealthyReason)[keyof typeof CleanupHealthyReason];

/** Reasons of the condition `StoragePressure`. */
export const StoragePressureReason = {
  /** No server has told the sizes of its sessions yet, or a cleanup has deleted some since the last server stopped. */
  NotMeasured: 'NotMeasured',
  /** Every volume has room. */
  EnoughSpace: 'EnoughSpace',
  /**
   * Of the space or the inodes of a volume 85 % or more are taken; the message says of which. Raise `spec.storage.size`, shorten
   * `spec.sessions.ttl`, or delete sessions.
   */
  VolumeNearlyFull: 'VolumeNearlyFull',
  /**
   * Of the space or the inodes of a volume 95 % or more are taken: turns fail or will soon. What is stored stays readable. Raise
   * `spec.storage.size`, or delete sessions.
   */
  VolumeFull: 'VolumeFull',
} as const;
export type StoragePressureReason = (typeof StoragePressureReason)[keyof typeof StoragePressureReason];
