/** Names that users' manifests, dashboards and policies refer to: a change here is a change of the public API. */

/** API group of every kind of this project. */
export const GROUP = 'copilot-operator.dev';
/** The one served and stored version. */
export const VERSION = 'v1alpha1';
/** `apiVersion` in manifests. */
export const API_VERSION = `${GROUP}/${VERSION}`;
/** kubectl category: `kubectl get copilot` lists every kind of this project. */
export const CATEGORY = 'copilot';

/** The names of CopilotTenant in the API, in the shape that `defineResource` of src/kube takes. */
export const COPILOT_TENANT = {
  group: GROUP,
  version: VERSION,
  plural: 'copilottenants',
  singular: 'copilottenant',
  kind: 'CopilotTenant',
  shortNames: ['ct'],
  namespaced: true,
} as const;

/** The names of CopilotSession in the API. */
export const COPILOT_SESSION = {
  group: GROUP,
  version: VERSION,
  plural: 'copilotsessions',
  singular: 'copilotsession',
  kind: 'CopilotSession',
  shortNames: ['csn'],
  namespaced: true,
} as const;

/** Finalizer of a CopilotSession whose data is deleted with it. */
export const SESSION_DATA_FINALIZER = `${GROUP}/session-data`;

/** Field manager of everything that the operator writes by server-side apply. */
export const FIELD_MANAGER = 'copilot-operator';

/** TCP port on which every Copilot CLI server listens, in its pod and on its Service. */
export const SERVER_PORT = 4321;

/** TCP port on loopback on which a CLI server listens that has a guard in front of it. The guard has {@link SERVER_PORT}. */
export const GUARDED_SERVER_PORT = 4322;

/**
 * Longest `metadata.name` of a tenant, in characters. A label value and a Service name may have 63, and children append a server's
 * index or a suffix to the tenant's name.
 */
export const MAX_TENANT_NAME_LENGTH = 40;

/**
 * Most servers of one tenant. It bounds `status.servers`, and so the size of the object and the cost of its CEL rules.
 */
export const MAX_SERVERS = 64;

/** Values of `spec.access`: how clients reach the servers of a tenant. */
export const ACCESSES = ['Gateway', 'Direct'] as const;
export type Access = (typeof ACCESSES)[number];

/**
 * Phases of `status.hibernation.phase`, in the order in which a tenant passes through them. `Draining`: it may still be used, and then goes
 * on as `Running`. From `Stopping` on it has to be woken.
 */
export const HIBERNATION_PHASES = ['Running', 'Draining', 'Stopping', 'Stopped', 'Waking'] as const;
export type HibernationPhase = (typeof HIBERNATION_PHASES)[number];

/** Values of `spec.topology`: whether each server has a volume of its own, or all share one. */
export const TOPOLOGIES = ['Sticky', 'SharedStorage'] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** Values of `spec.placement`: which server of a tenant gets a new session. */
export const PLACEMENTS = ['LeastLoaded', 'RoundRobin', 'ByUser'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** Values of `spec.sessions.unavailable`: what becomes of a call about a session whose server is away. */
export const UNAVAILABLE_ACTIONS = ['Wait', 'Fail'] as const;
export type UnavailableAction = (typeof UNAVAILABLE_ACTIONS)[number];

/** Values of `spec.collaboration.turns` of a session: what becomes of a prompt while the turn of another user runs. */
export const TURN_RULES = ['Queue', 'Refuse'] as const;
export type TurnRule = (typeof TURN_RULES)[number];

/** Values of `spec.isolation`: whether the users of a tenant see each other's sessions, and whether their agents may have a shell. */
export const ISOLATIONS = ['Dedicated', 'Shared', 'SharedTrusted'] as const;
export type Isolation = (typeof ISOLATIONS)[number];

/** Name of the Secret with the key that signs whose a session is, in the operator's own namespace. */
export const STAMP_SECRET = 'copilot-gateway-stamp';

/** Name of the Secret with the key by which the operator and replicas of the gateway know each other, in the operator's own namespace. */
export const PEERS_SECRET = 'copilot-gateway-peers';

/** Name of the Secret with the key that signs which server may write a session of a tenant with shared storage, in the operator's own namespace. */
export const GRANT_SECRET = 'copilot-gateway-grants';

/** Values of `spec.model.injection`: where the login of a tenant's model is given to sessions. */
export const INJECTIONS = ['Gateway', 'ServerEnv'] as const;
export type Injection = (typeof INJECTIONS)[number];

/** Value of {@link Label.name} on the pods of the gateway. NetworkPolicies let pods of this name reach the servers. */
export const GATEWAY_APP_NAME = 'copilot-gateway';

/** Start of every binding credential: it tells one apart from tokens of Kubernetes and OIDC, and secret scanners find it. */
export const CREDENTIAL_PREFIX = 'cpg_';

/** Most credentials of a binding that are valid at the same time: the present one, and the one before until it is retired. */
export const MAX_CREDENTIALS = 2;

/** Labels of the objects that the operator creates. */
export const Label = {
  /** The application: always `copilot-server` on children of a tenant. */
  name: 'app.kubernetes.io/name',
  /** The tenant's name, as Helm charts use this label for the release. */
  instance: 'app.kubernetes.io/instance',
  /** The part that the object belongs to, for example `server`. */
  component: 'app.kubernetes.io/component',
  /** Always `copilot-operator`. */
  managedBy: 'app.kubernetes.io/managed-by',
  /** Always `copilot-operator`: groups the operator and all that it creates. */
  partOf: 'app.kubernetes.io/part-of',
  /** The tenant that a child belongs to. Informers select children by it. */
  tenant: `${GROUP}/tenant`,
  /** The server (`<tenant>-<i>`) that a child belongs to. Absent on children that the tenant's servers share. */
  server: `${GROUP}/server`,
  /** The CopilotSession of a session; stored beside its data. */
  session: `${GROUP}/session`,
  /**
   * Set by users on their own pods, value: the tenant's name. A pod of the tenant's namespace reaches the tenant's servers only with
   * this label.
   */
  client: `${GROUP}/client-of`,
  /** On a Lease of the gateway about a session: a hash of the tenant's UID, by which those of one tenant are listed. */
  tenantKey: `${GROUP}/tenant-key`,
} as const;

/** Value of {@link Label.name} on every child of a tenant. */
export const SERVER_APP_NAME = 'copilot-server';

/** Annotations that users read, and may set. */
export const Annotation = {
  /**
   * On a tenant with reason `DataLost`: UIDs of the lost volume claims, separated by commas, from the condition's message. Each is then
   * replaced by an empty volume.
   */
  acceptDataLoss: `${GROUP}/accept-data-loss`,
  /**
   * On a tenant, with the value `true`: the operator observes the tenant and reports in its status, and writes nothing else of it until the
   * annotation is removed. No session of it expires or is removed meanwhile.
   */
  paused: `${GROUP}/paused`,
  /**
   * On a tenant: each change of its value, such as to the time, replaces the servers one at a time, each after it was drained. Its
   * removal is a change, too.
   */
  restart: `${GROUP}/restart`,
  /**
   * On a tenant, with the value `true`: the gateway admits no further clients of it, and takes no prompts of those that are connected, until
   * the annotation is removed. What runs goes on.
   */
  gatewayPaused: `${GROUP}/gateway-paused`,
  /** On a tenant: whenever the value becomes another one, the gateway closes the connections of its clients, which may connect again. */
  gatewayKick: `${GROUP}/gateway-kick`,
  /**
   * On the volume claim of a server: when a Job is to sweep what deletions through the server left on the volume. RFC 3339; anything
   * else means at once. The operator sets it after a deletion and removes it after the sweep.
   */
  sweepAt: `${GROUP}/sweep-at`,
  /** On a Job: UIDs of the deleted CopilotSessions whose data it removes, separated by commas. */
  removes: `${GROUP}/removes`,
  /** On the Lease of a replica of the gateway: where other replicas connect to, as host:port. */
  peerAddress: `${GROUP}/peer-address`,
  /** On the Lease of the operator: where its leader is asked to wake tenants, as host:port. */
  wakeAddress: `${GROUP}/wake-address`,
  /** On the Lease of a replica of the gateway, with the value `true`: the replica is to stop, and takes no further tenants. */
  draining: `${GROUP}/draining`,
  /** On a Lease of the gateway about a session: the tenant's UID and the session's id, as JSON; the Lease is named after a hash of both. */
  sessionKey: `${GROUP}/session-key`,
  /** On such a Lease: on which server the session is, as gateways have agreed. */
  sessionRecord: `${GROUP}/session-record`,
  /** On the Lease of a tenant with such sessions: numbers that must not be used again, as JSON. */
  sessionEpochs: `${GROUP}/session-epochs`,
} as const;
