/**
 * Condition types and reasons of CopilotTenant. Both are API: people alert on them and scripts wait for them, so a
 * value is never renamed, only added. The comments are the documentation of docs/api.md, which is generated from this
 * file: keep one comment and one `Name: 'Name'` line for each.
 */

/** The condition types in `status.conditions`. All are present once a tenant was reconciled, but Hibernated only with `spec.hibernation`. */
export const ConditionType = {
  /** True when every desired server runs the desired version and answers pings. False for a suspended tenant, which no client can use. */
  Ready: 'Ready',
  /** True while the operator is working towards the spec and needs no user action for it (kstatus). */
  Reconciling: 'Reconciling',
  /** True when a user has to act before the tenant is as specified; the message says what to do (kstatus). Servers that serve stay Ready, for example while only the cleanup or the PodDisruptionBudget is refused. The operator keeps retrying. */
  Stalled: 'Stalled',
  /** The result of the pings: True when every server answers, False when one stopped answering, Unknown while there is nothing to ping. */
  Healthy: 'Healthy',
  /** Whether the credentials in `spec.model` can be used. True when there are none: then clients bring their own. */
  ModelConfigured: 'ModelConfigured',
  /** Whether sessions are cleaned up according to `spec.sessions`. False after two failed runs in a row, and while a run cannot end. */
  CleanupHealthy: 'CleanupHealthy',
  /** True when a server's volume is nearly full: act before sessions can't be written any more. */
  StoragePressure: 'StoragePressure',
  /** True while the tenant sleeps: no server runs, and the first call of a client about a session wakes it. Only of tenants with `spec.hibernation`. */
  Hibernated: 'Hibernated',
} as const;
export type ConditionType = (typeof ConditionType)[keyof typeof ConditionType];

/** Reasons of the condition `Ready`. While a cause in the condition Stalled keeps servers from serving, Ready has its reason instead. */
export const ReadyReason = {
  /** Every desired server serves and answers pings, also one that is about to be replaced: whether a change is complete says Reconciling. */
  ServersReady: 'ServersReady',
  /** Servers are being created or started for the first time. */
  ServersStarting: 'ServersStarting',
  /** At least one server does not serve, because it is being replaced: the spec or a Secret changed. */
  ServersUpdating: 'ServersUpdating',
  /** At least one server that answered before does not answer now; see the condition Healthy. */
  ServersUnhealthy: 'ServersUnhealthy',
  /** `spec.suspend` is true: no server runs, the volumes stay. */
  Suspended: 'Suspended',
  /** `spec.replicas` is 0: no server runs, and all volumes are kept. */
  ScaledToZero: 'ScaledToZero',
  /** The tenant sleeps (`spec.hibernation`): no server runs, and the first call of a client about a session wakes it. Ready is True. */
  Hibernated: 'Hibernated',
  /** The tenant sleeps, and could not be woken the last time; the message has the reason. The next call of a client tries again. */
  WakeFailed: 'WakeFailed',
  /** The tenant is being deleted. */
  Deleting: 'Deleting',
} as const;
export type ReadyReason = (typeof ReadyReason)[keyof typeof ReadyReason];

/** Reasons of the condition `Reconciling`. */
export const ReconcilingReason = {
  /** There is nothing to do. */
  UpToDate: 'UpToDate',
  /** The tenant is as specified. Its servers still run with the pod template or the default image of an earlier operator version, and are replaced when the roll-out reaches them. No user action is needed; the message says what it waits for. */
  RolloutPending: 'RolloutPending',
  /** User action is required; see the condition Stalled. */
  Blocked: 'Blocked',
  /** Servers are being created or started. */
  ServersStarting: 'ServersStarting',
  /** Servers are being replaced, to match the spec. */
  ServersUpdating: 'ServersUpdating',
  /** A server is about to be replaced or stopped: the gateway lets its running turns end first. The message has the server, what is left, and until when. */
  Draining: 'Draining',
  /** Servers beyond `spec.replicas` are being stopped, highest index first. */
  ScalingDown: 'ScalingDown',
  /** A volume is growing to `spec.storage.size`. */
  VolumeResizing: 'VolumeResizing',
  /** A server that stopped answering is being restarted. */
  ServersRestarting: 'ServersRestarting',
  /** Servers are being stopped, because `spec.suspend` is true. */
  Suspending: 'Suspending',
  /** Servers are being stopped, because nobody uses the tenant (`spec.hibernation`). */
  Hibernating: 'Hibernating',
  /** Objects of a deleted tenant of the same name still exist; this tenant's are created once they are gone. */
  WaitingForDeletion: 'WaitingForDeletion',
  /** Children are being deleted with the tenant. */
  Deleting: 'Deleting',
  /** The tenant has the annotation `copilot-operator.dev/paused: "true"`: it is observed, and nothing of it is changed. */
  Paused: 'Paused',
  /** A request to the API server failed; it is retried with back-off. */
  RetryingAfterError: 'RetryingAfterError',
} as const;
export type ReconcilingReason = (typeof ReconcilingReason)[keyof typeof ReconcilingReason];

/** Reasons of the condition `Stalled`. Each clears without further action once its cause is fixed. */
export const StalledReason = {
  /** No problems detected. */
  NotStalled: 'NotStalled',
  /** The model credentials can't be used; see the condition ModelConfigured for the Secret and key. No pod is started with them. */
  ModelNotConfigured: 'ModelNotConfigured',
  /** A Secret or ConfigMap of `spec.server.env`, or its key, does not exist or can't be used; the message names it. No pod is started without it. */
  EnvironmentNotUsable: 'EnvironmentNotUsable',
  /** Clients are to come through a gateway (`spec.access` or `status.access` is Gateway), and the operator knows none (flag `--gateway-address`, which the chart sets with `gateway.enabled`). Install it, or set `spec.access: Direct`. */
  GatewayNotInstalled: 'GatewayNotInstalled',
  /** The ConfigMap of `spec.network.caBundle`, or its key, does not exist, or has no valid certificates; the message names it. No pod is started without it. */
  CABundleNotUsable: 'CABundleNotUsable',
  /** An object with a child's name belongs to somebody else, or to nobody and was not written by the operator. It is neither adopted nor changed: rename or delete it. */
  ForeignObject: 'ForeignObject',
  /** Another writer keeps changing a child, and the operator restores it less and less often. The message names the fields, the writer and what to do. Ready is False only while that keeps a server from serving. */
  ConflictingWriter: 'ConflictingWriter',
  /** A server's Deployment is paused (`kubectl rollout pause`), so its pod can't be replaced. Run `kubectl rollout resume`. */
  DeploymentPaused: 'DeploymentPaused',
  /** The server image can't be pulled, or its reference is malformed. Check `spec.server.image` and `imagePullSecrets`. */
  ImagePullFailed: 'ImagePullFailed',
  /** The server's container can't be created, for example because of a missing runtime class or a forbidden security setting. */
  ContainerCannotRun: 'ContainerCannotRun',
  /** The server's container exits repeatedly; the message has its exit code. */
  ContainerCrashed: 'ContainerCrashed',
  /** An init container that a webhook or a policy added to the server's pod fails, and the server waits for it. The message names it. */
  InitContainerFailed: 'InitContainerFailed',
  /** Another container that a webhook or a policy added to the server's pod fails. The message names it. Ready is False only while the pod is not ready because of it. */
  SidecarFailed: 'SidecarFailed',
  /** The pod has had a scheduling gate for a minute. The controller that added it must remove it. */
  SchedulingGated: 'SchedulingGated',
  /** The server has run for a minute, and its pod has a readiness gate that nothing sets: the Service sends no clients to it. */
  ReadinessGateNotReady: 'ReadinessGateNotReady',
  /** A pod carries the labels of a server, and the server's Deployment did not create it. The operator does not connect to it, but clients may. The message names it. Ready does not depend on it. */
  LookAlikePod: 'LookAlikePod',
  /** The node of a server's pod does not respond, so the pod may still be writing to the volume. The message has the pod, the node and what to do. */
  NodeLost: 'NodeLost',
  /** No node fits the pod: resources, `nodeSelector`, `tolerations` or `affinity`. */
  Unschedulable: 'Unschedulable',
  /** The StorageClass in `spec.storage.storageClassName` doesn't exist, or it is not set and the cluster has no default StorageClass. */
  StorageClassNotFound: 'StorageClassNotFound',
  /** The volume is not provisioned or not mounted; the message repeats the storage system's error. */
  VolumePending: 'VolumePending',
  /** The claim of a volume that servers are to share (`spec.topology` SharedStorage), or the volume that it is bound to, is not ReadWriteMany. No server is started on it; the message says what to do. */
  VolumeNotShared: 'VolumeNotShared',
  /** A server runs and answers, but the file system refuses its writes to the volume: no session can be created. The message has the error and what to do. */
  VolumeNotWritable: 'VolumeNotWritable',
  /** The StorageClass doesn't allow its volumes to grow (`allowVolumeExpansion`). Revert `spec.storage.size`, or allow it in the StorageClass if its driver supports it. */
  VolumeNotExpandable: 'VolumeNotExpandable',
  /** A volume with sessions is gone, and their history with it. The message names it, and says how to continue with an empty one. */
  DataLost: 'DataLost',
  /** A ResourceQuota of the namespace has no room for a child. */
  QuotaExceeded: 'QuotaExceeded',
  /** A ResourceQuota of the namespace requires requests or limits that the tenant does not set. The message names the fields. */
  ResourcesRequired: 'ResourcesRequired',
  /** A pod or a claim is outside a LimitRange of the namespace. The message names the field. */
  LimitRangeViolated: 'LimitRangeViolated',
  /** `spec.server.priorityClassName` does not exist. */
  PriorityClassNotFound: 'PriorityClassNotFound',
  /** `spec.server.runtimeClassName` does not exist. */
  RuntimeClassNotFound: 'RuntimeClassNotFound',
  /** The servers' ServiceAccount does not exist. The operator creates it again. */
  ServiceAccountNotFound: 'ServiceAccountNotFound',
  /** A pod violates the Pod Security standard of the namespace, for example because a webhook adds a container. */
  PodSecurityViolated: 'PodSecurityViolated',
  /** The API server or an admission webhook fails when a pod is created. It is retried. */
  PodCreationFailed: 'PodCreationFailed',
  /** An admission plugin, policy or webhook refused a child. */
  AdmissionDenied: 'AdmissionDenied',
  /** The API server refused a child as invalid, for example limits below requests. The message names the field. */
  InvalidSpec: 'InvalidSpec',
  /** The operator lacks a permission, or the API server has a resource in other versions only. The message names the verb and the resource; compare with the chart's RBAC and CRDs. */
  Forbidden: 'Forbidden',
  /** The operator does not know its own image (flag `--operator-image`, which the current chart sets), so it can't run the cleanup that `spec.sessions.ttl` requests, nor the guards of `spec.topology` SharedStorage. */
  OperatorImageUnknown: 'OperatorImageUnknown',
  /** The namespace is being deleted, so nothing can be created in it. */
  NamespaceTerminating: 'NamespaceTerminating',
} as const;
export type StalledReason = (typeof StalledReason)[keyof typeof StalledReason];

/** Reasons of the condition `Healthy`. `kubectl get ct` shows them in the column HEALTH. */
export const HealthyReason = {
  /** Every server answers pings. */
  Healthy: 'Healthy',
  /** Servers are running that have not answered their first ping yet. */
  AwaitingPing: 'AwaitingPing',
  /** No connection to a server: refused, reset, or no route. */
  Unreachable: 'Unreachable',
  /** A server refused the tenant's connection token. Its pod is replaced only if it does not have the current token: otherwise a restart would not help. */
  AuthFailed: 'AuthFailed',
  /** A server accepted the connection and did not answer within `spec.health.timeout`. */
  Timeout: 'Timeout',
  /** The answer was not in the Copilot CLI's protocol. Check `spec.server.image`. */
  ProtocolError: 'ProtocolError',
  /** No server should run: the tenant is suspended or scaled to zero. */
  NoServers: 'NoServers',
} as const;
export type HealthyReason = (typeof HealthyReason)[keyof typeof HealthyReason];

/** Reasons of the condition `ModelConfigured`. Messages name the Secret and the key, never a value. */
export const ModelConfiguredReason = {
  /** Servers, or with injection Gateway the sessions, use GitHub Copilot with the token of `spec.model.github`. */
  GitHub: 'GitHub',
  /** The binding Secret has the provider of `spec.model.provider` for clients to use or, with injection Gateway, sessions get it from the gateway. */
  Provider: 'Provider',
  /** `spec.model` has no credentials: each client brings its own with its sessions. */
  ClientProvided: 'ClientProvided',
  /** The Secret does not exist in the tenant's namespace. */
  SecretNotFound: 'SecretNotFound',
  /** The Secret has no such key. */
  SecretKeyNotFound: 'SecretKeyNotFound',
  /** The key's value is empty. */
  SecretValueEmpty: 'SecretValueEmpty',
  /** The key's value has a line break or another control character, which would corrupt a header or an environment variable. Often a trailing newline. */
  SecretValueInvalid: 'SecretValueInvalid',
  /** The Secret does not have the label that the operator requires (`--require-secret-label`), so tenants may not refer to it. */
  SecretNotAllowed: 'SecretNotAllowed',
  /** The operator is not allowed to read the Secret: it lacks the verb `get`. */
  SecretForbidden: 'SecretForbidden',
  /** `spec.model.injection` is Gateway, but clients connect directly to the servers: set one of it and `spec.access`. */
  GatewayRequired: 'GatewayRequired',
} as const;
export type ModelConfiguredReason = (typeof ModelConfiguredReason)[keyof typeof ModelConfiguredReason];

/** Reasons of the condition `CleanupHealthy`. */
export const CleanupHealthyReason = {
  /** `spec.sessions.ttl` is not set: no session is ever cleaned up. */
  NotScheduled: 'NotScheduled',
  /** No run has finished yet. */
  AwaitingFirstRun: 'AwaitingFirstRun',
  /** The last run succeeded. */
  CleanupSucceeded: 'CleanupSucceeded',
  /** The last run failed, the one before it did not: the next one continues where it stopped. */
  CleanupRetrying: 'CleanupRetrying',
  /** The last two runs failed, or more, or the last one timed out. The message has the reason; `kubectl logs` of the Job has the rest. */
  CleanupFailing: 'CleanupFailing',
  /**
   * A run cannot start or end, and no other run starts meanwhile: its Job is suspended, for example by Kueue, its pod cannot be created,
   * scheduled or started, or it runs longer than its deadline. The message has the reason. While it waits, the operator has running
   * servers delete their expired sessions.
   */
  CleanupBlocked: 'CleanupBlocked',
  /** No date matches `spec.sessions.cleanupSchedule`, such as 30 February: no run ever starts. Correct it. */
  ScheduleNeverComes: 'ScheduleNeverComes',
  /** The servers share a volume (`spec.topology` SharedStorage) and run: the operator has one of them delete expired sessions, and starts no run. The message names it. Unknown while none is ready. */
  ThroughOneServer: 'ThroughOneServer',
} as const;
export type CleanupHealthyReason = (typeof CleanupHealthyReason)[keyof typeof CleanupHealthyReason];

/** Reasons of the condition `StoragePressure`. */
export const StoragePressureReason = {
  /** No server has reported the sizes of its sessions yet, or a cleanup has deleted some since the last server stopped. */
  NotMeasured: 'NotMeasured',
  /** Every volume has room. */
  EnoughSpace: 'EnoughSpace',
  /**
   * 85 % or more of a volume's space or inodes are used; the message says which. Increase `spec.storage.size`, shorten
   * `spec.sessions.ttl`, or delete sessions.
   */
  VolumeNearlyFull: 'VolumeNearlyFull',
  /**
   * 95 % or more of a volume's space or inodes are used: turns fail or will soon. Stored data stays readable. Increase
   * `spec.storage.size`, or delete sessions.
   */
  VolumeFull: 'VolumeFull',
} as const;
export type StoragePressureReason = (typeof StoragePressureReason)[keyof typeof StoragePressureReason];

/** Reasons of the condition `Hibernated`. */
export const HibernatedReason = {
  /** Servers run, and were used within `spec.hibernation.afterIdle`. */
  InUse: 'InUse',
  /** Nobody uses the tenant: the gateway drains its servers, which then stop. A call of a client about a session keeps them. */
  FallingAsleep: 'FallingAsleep',
  /** Nobody uses the tenant: its servers are being stopped, or have stopped. */
  Idle: 'Idle',
  /** A client waits: servers are being started. */
  Waking: 'Waking',
  /** The last wake did not succeed within `spec.hibernation.wakeTimeout`; the message has the reason. The tenant sleeps, and the next call of a client tries again. */
  WakeFailed: 'WakeFailed',
  /** `spec.suspend` is true, or `spec.replicas` is 0: no server runs, and nobody wakes the tenant. */
  Suspended: 'Suspended',
  /** Clients connect directly (`status.access` is Direct), so nothing would wake the tenant: it never sleeps. Set `spec.access: Gateway`. */
  GatewayRequired: 'GatewayRequired',
  /** The operator cannot be asked to wake tenants (flag `--wake-bind-address`, which the chart sets with `gateway.enabled`), so none sleeps. */
  WakeNotPossible: 'WakeNotPossible',
  /** The gateway has not said yet since when the tenant is unused. */
  AwaitingGateway: 'AwaitingGateway',
} as const;
export type HibernatedReason = (typeof HibernatedReason)[keyof typeof HibernatedReason];
