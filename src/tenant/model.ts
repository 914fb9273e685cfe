/** The types that all of this part shares: what exists for a tenant, what was observed of it, and what keeps it from becoming Ready. */
import type { ReconcilingReason, StalledReason } from '../api/conditions.ts';
import type { ServerState, VolumeUsage } from '../api/tenant-status.ts';
import type {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Role,
  RoleBinding,
  Secret,
  Service,
  ServiceAccount,
} from '../kube/types/builtins.ts';
import type { Cause } from '../kube/write/conditions.ts';
import type { ServerHealth } from '../servers/server.ts';
import type { EventWarning } from '../resources/event-warning.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';

/** Why a tenant is Stalled: user action is required. */
export interface TenantCause extends Cause<StalledReason> {
  /** It concerns something without which the servers serve, such as the CronJob of the cleanup. */
  readonly isBesideServers?: boolean | undefined;
}

/** What a tenant waits for without user action. */
export type Wait = Cause<ReconcilingReason>;

/** The operator's configuration that the children of every tenant depend on. Fixed while the process runs. */
export interface OperatorFacts {
  /** Image of the servers whose tenant does not specify one. */
  readonly serverImage: string;
  /** The operator's own image, which cleanup pods run; undefined if an older chart does not set it. */
  readonly operatorImage: string | undefined;
  /** Namespace of the operator: only operator pods of this namespace may ping servers. */
  readonly namespace: string;
  /** Public address ranges that belong to this cluster; Restricted servers may not connect to them. */
  readonly clusterCIDRs: readonly string[];
  /** The DNS servers that servers and cleanups may query; at least one. */
  readonly clusterDNS: readonly DNSServer[];
  /** The label that a Secret must have before a tenant may refer to it; undefined: any Secret of its namespace. */
  readonly requireSecretLabel?: RequiredLabel | undefined;
  /** Undefined: none is installed, and clients connect directly. */
  readonly gateway?: GatewayFacts | undefined;
}

/** Where a client connects to. */
export interface HostAndPort {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
}

/** The gateway that is installed with the operator, in its namespace. */
export interface GatewayFacts extends HostAndPort {
  /** Name of its ServiceAccount. */
  readonly serviceAccount: string;
}

/** Where DNS is served: at addresses, or by pods with a label. */
export type DNSServer =
  | { readonly cidr: string }
  | { readonly namespace: string; readonly label: { readonly key: string; readonly value: string } };

/** A label that an object must have; without a value, with any. */
export interface RequiredLabel {
  readonly key: string;
  readonly value?: string;
}

/** The result of reading a Secret. */
export type SecretRead = Secret | 'NotFound' | 'Forbidden';

/** The result of reading a Secret or ConfigMap that a user names for the pods. */
export type PodInputRead = Secret | ConfigMap | 'NotFound' | 'Forbidden';

/** A pod with the labels of a server that is not the server's own. */
export interface LookAlike {
  readonly pod: Pod;
  /** `Temporary`: the cluster's controllers are about to change that, and usually do within seconds. */
  readonly reason: 'Temporary' | 'Foreign';
  /** Whose it is, as a clause. */
  readonly message: string;
  /** Temporary for so long that a user must act. */
  readonly isOverdue?: boolean | undefined;
}

/** The live children of one server, also of one beyond `spec.replicas`. */
export interface ServerWorld {
  readonly index: number;
  readonly deployment?: Deployment | undefined;
  readonly service?: Service | undefined;
  /** The claim that it mounts: its own, or that of all servers. */
  readonly claim?: PersistentVolumeClaim | undefined;
  /** The server's own pods, and whatever other pod with its labels mounts its volume. */
  readonly pods: readonly Pod[];
  /** Pods with the server's labels that are not its own: they are never connected to. */
  readonly lookAlikes?: readonly LookAlike[] | undefined;
  /** The ReplicaSets of the pods, only if the Deployment is gone. */
  readonly replicaSets?: readonly ReplicaSet[] | undefined;
  /** The latest Warning event, where the status of the pod does not say why it is not ready. */
  readonly warning?: EventWarning | undefined;
  /** Why the pod that serves has to leave its node. */
  readonly departure?: Departure | undefined;
}

/** Why a pod has to leave its node. */
export interface Departure {
  /** A sentence. */
  readonly message: string;
  /** The next pod could be scheduled to the same node: it tolerates all that is wrong with that. */
  readonly comesBack: boolean;
}

/** The live objects of a tenant's cleanup. */
export interface CleanupWorld {
  readonly cronJob?: CronJob | undefined;
  readonly configMap?: ConfigMap | undefined;
  readonly networkPolicy?: NetworkPolicy | undefined;
  /** All Jobs of the tenant, also those of the session controller. */
  readonly jobs: readonly Job[];
  /** Pods of the tenant that belong to no server. */
  readonly pods: readonly Pod[];
  /** The latest Warning event of the open run, or of one that ended without a pod, where their status does not say why. */
  readonly warning?: EventWarning | undefined;
  /** The CopilotSessions that refer to the tenant. */
  readonly sessions: readonly CopilotSession[];
}

/** What the operator knows of nodes. `Unknown`: it has not listed them yet. `Hidden`: it may not see them, or is not to. */
export type NodesView = 'Seen' | 'Unknown' | 'Hidden';

/** The tenant and everything that exists for it, read once at the start of a reconcile. */
export interface World {
  readonly tenant: CopilotTenant;
  /** By index, including those beyond `spec.replicas`. */
  readonly servers: ReadonlyMap<number, ServerWorld>;
  readonly serviceAccount?: ServiceAccount | undefined;
  readonly networkPolicy?: NetworkPolicy | undefined;
  readonly disruptionBudget?: PodDisruptionBudget | undefined;
  /** Default: Hidden. */
  readonly nodes?: NodesView | undefined;
  /** What the gateway may read; unknown without a gateway. */
  readonly gatewayRole?: Role | undefined;
  readonly gatewayRoleBinding?: RoleBinding | undefined;
  readonly cleanup: CleanupWorld;
  /** What only tenants have whose servers share a volume. */
  readonly shared?: SharedWorld | undefined;
  readonly tokenSecret: SecretRead;
  readonly bindingSecret: SecretRead;
  /** The Secret that `spec.model` refers to; undefined if it refers to none. */
  readonly modelSecret?: SecretRead | undefined;
  /** The Secrets and ConfigMaps that the pods read (decisions/pod-inputs.ts); undefined if there are none. */
  readonly podInputs?: ReadonlyMap<string, PodInputRead> | undefined;
}

/** What exists for the servers that share a volume. */
export interface SharedWorld {
  /** The claim of the volume. */
  readonly claim?: PersistentVolumeClaim | undefined;
  /** The keys that guards verify grants with, as they are in the cluster. */
  readonly guardConfigMap?: ConfigMap | undefined;
  /** The same, as they should be: as PEM. Undefined: the operator does not know them yet. */
  readonly publicKeys?: string | undefined;
}

/** The observed state of one server. */
export interface ServerObservation {
  readonly index: number;
  readonly name: string;
  readonly state: ServerState;
  /** Its rollout is complete, or was paused by a user, its port is open, and it responds to pings. */
  readonly ready: boolean;
  /** The kubelet can connect to the server's port, whatever other containers of the pod do. */
  readonly portOpen: boolean;
  /** The version that the server reports. */
  readonly version?: string | undefined;
  /** What the pinger knows of it. */
  readonly health: ServerHealth;
  /** State and version are those of the last status, because this process has just started and has no ping result yet. */
  readonly remembered: boolean;
  /** Why it cannot run. */
  readonly cause?: TenantCause | undefined;
  /** Its pods that are stopping, or should be. */
  readonly stopping: readonly Pod[];
}

/** What is known of a volume besides its claim. */
export interface VolumeFacts {
  /** Number of sessions that its server reported; undefined: no report yet. */
  readonly sessions?: number | undefined;
  /** The last measurement. */
  readonly usage?: VolumeUsage | undefined;
  /** When this process last requested a sweep to measure it; wall clock, ms. */
  readonly requestedAt?: number | undefined;
}

/** Which servers and volumes a cleanup run covers, and why. */
export interface CleanupScope {
  /** Indexes of the servers that delete their own sessions on request. */
  readonly servers: readonly number[];
  /** Indexes of the servers whose volumes are mounted. */
  readonly volumes: readonly number[];
  readonly reason: 'ThroughServers' | 'ThroughOneServer' | 'OnVolumes' | 'ServersStopping' | 'NoVolumes';
  readonly message: string;
}

/** The image of a server and where it comes from. */
export interface ServerImage {
  readonly image: string;
  /** Whether it is the operator's default image, of this operator version or of the one that started the server. */
  readonly isDefault: boolean;
  /** The image of the guard in front of it: the operator's own, of this version or of the one that started the server. Undefined: it has none. */
  readonly guard?: string | undefined;
}

/** The last restart of an unresponsive server. */
export interface Restart {
  /** RFC 3339. */
  readonly at: string;
  /** Number of the restart in an uninterrupted series, from 1; the back-off doubles with it. */
  readonly attempt: number;
}
