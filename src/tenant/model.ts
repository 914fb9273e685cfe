/** The types that all of this part shares: what exists for a tenant, what was observed of it, and what is wrong with it. */
import type { ReconcilingReason, StalledReason } from '../api/conditions.ts';
import type { Cause } from '../kube/write/conditions.ts';
import type {
  Secret,
  Deployment,
  Service,
  PersistentVolumeClaim,
  Pod,
  CronJob,
  ConfigMap,
  NetworkPolicy,
  Job,
  ServiceAccount,
  PodDisruptionBudget,
} from '../kube/types/builtins.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { ServerState, VolumeUsage } from '../api/tenant-status.ts';
import type { ServerHealth } from '../servers/server.ts';

/** Why a tenant can't get on by itself: a user has to act. */
export type TenantCause = Cause<StalledReason>;

/** What a tenant waits for and what passes by itself. */
export type Wait = Cause<ReconcilingReason>;

/** What the operator was told at its start and every tenant's children depend on. Fixed while the process runs. */
export interface OperatorFacts {
  /** Image of servers whose tenant names none. */
  readonly serverImage: string;
  /** The operator's own image, for the cleanup's pods; undefined when it was not told, by an older chart. */
  readonly operatorImage: string | undefined;
  /** Namespace that the operator runs in: the only one whose operator pods may ping servers. */
  readonly namespace: string;
  /** Address ranges of this cluster that lie in public space, which Restricted servers may not reach either. */
  readonly clusterCIDRs: readonly string[];
}

/** The Secret that `spec.model` names, as it was found. */
export type SecretRead = Secret | 'NotFound' | 'Forbidden';

/** The event that says what keeps an object, where its status does not. */
export interface EventWarning {
  readonly reason: string;
  readonly message: string;
}

/** Everything that stands under the name of one server, wanted or not. */
export interface ServerWorld {
  readonly index: number;
  readonly deployment?: Deployment | undefined;
  readonly service?: Service | undefined;
  readonly claim?: PersistentVolumeClaim | undefined;
  readonly pods: readonly Pod[];
  /** What the events say, where the pod's own status does not say what keeps it. */
  readonly warning?: EventWarning | undefined;
}

/** What there is of a tenant's cleanup. */
export interface CleanupWorld {
  readonly cronJob?: CronJob | undefined;
  readonly configMap?: ConfigMap | undefined;
  readonly networkPolicy?: NetworkPolicy | undefined;
  /** Of this tenant; those that other parts made too. */
  readonly jobs: readonly Job[];
  /** Pods of the tenant that are no server's. */
  readonly pods: readonly Pod[];
  /** The CopilotSessions that name the tenant. */
  readonly sessions: readonly CopilotSession[];
}

/** What a reconcile goes by: the tenant and everything that exists for it, read once at its start. */
export interface World {
  readonly tenant: CopilotTenant;
  /** By index; those beyond `spec.replicas` too. */
  readonly servers: ReadonlyMap<number, ServerWorld>;
  readonly serviceAccount?: ServiceAccount | undefined;
  readonly networkPolicy?: NetworkPolicy | undefined;
  readonly disruptionBudget?: PodDisruptionBudget | undefined;
  readonly cleanup: CleanupWorld;
  readonly tokenSecret: SecretRead;
  readonly bindingSecret: SecretRead;
  /** The Secret that `spec.model` refers to; undefined when it refers to none. */
  readonly modelSecret?: SecretRead | undefined;
}

/** What can be said of one server from outside it. */
export interface ServerObservation {
  readonly index: number;
  readonly name: string;
  readonly state: ServerState;
  /** It runs what its Deployment says, its port is open, and it answers. */
  readonly ready: boolean;
  /** The kubelet's word: the port is open. */
  readonly podReady: boolean;
  /** Version that the server itself reports. */
  readonly version?: string | undefined;
  /** Why it is Unhealthy. */
  readonly health: ServerHealth;
  /** The pinger has no result yet because this process has just begun; state and version are those of the last status. */
  readonly remembered: boolean;
  /** Why it can't run, when it can't. */
  readonly cause?: TenantCause | undefined;
  /** Pods of it that are to stop and have not yet. */
  readonly stopping: readonly Pod[];
}

/** What is known of a volume beside its claim. */
export interface VolumeFacts {
  /** Sessions that its server has told of; undefined: it has not told any. */
  readonly sessions?: number | undefined;
  /** What was last seen of it. */
  readonly usage?: VolumeUsage | undefined;
  /** When this process last had it looked at; wall clock, ms. */
  readonly requestedAt?: number | undefined;
}

/** Where a tenant's sessions are cleaned up, and why there. */
export interface CleanupScope {
  /** Indexes of servers that are asked to delete. */
  readonly servers: readonly number[];
  /** Indexes of servers whose volumes are mounted. */
  readonly volumes: readonly number[];
  readonly reason: 'ThroughServers' | 'OnVolumes' | 'ServersStopping' | 'NothingThere';
  readonly message: string;
}

export interface ServerImage {
  readonly image: string;
  /** Whether it is the operator's default, of this version or of the one that started the server. */
  readonly isDefault: boolean;
}

/** The last restart of a server that did not answer. */
export interface Restart {
  /** RFC 3339. */
  readonly at: string;
  /** 1 for the first of a row; the wait before the next one doubles with it. */
  readonly attempt: number;
}
