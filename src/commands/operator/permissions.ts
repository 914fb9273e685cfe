/**
 * The permissions of the operator, and why it needs them. The chart's RBAC rules are generated from these lists (`make generate`); the
 * end-to-end tests compare them with the API server's audit log.
 */
import {
  ConfigMap,
  CoreEvent,
  CronJob,
  Deployment,
  EndpointSlice,
  Job,
  Lease,
  NetworkPolicy,
  Node,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Role,
  RoleBinding,
  Secret,
  Service,
  ServiceAccount,
} from '../../kube/types/builtins.ts';
import { GRANT_SECRET, PEERS_SECRET, STAMP_SECRET } from '../../api/names.ts';
import { Gateway } from '../../resources/gateway-internal.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import type { Permission } from '../permission.ts';

/** Name of the Lease of the replicas of one installation, in the operator's own namespace. */
export const LEASE_NAME = 'copilot-operator';

/** A child that exists as long as the tenant: the garbage collector deletes it. */
const KEPT = ['get', 'list', 'watch', 'create', 'patch'] as const;
/** A child that the operator deletes when the spec does not need it any more, such as a server that is scaled down. */
const SCALED = [...KEPT, 'delete'] as const;

/** Needed in every namespace that has tenants. */
export const TENANT_PERMISSIONS: readonly Permission[] = [
  { resource: CopilotTenant, verbs: ['get', 'list', 'watch'], why: 'The resources that the operator reconciles.' },
  { resource: CopilotTenant, subresource: 'status', verbs: ['update'], why: 'Conditions and the state of servers.' },
  {
    resource: CopilotTenant,
    subresource: 'finalizers',
    verbs: ['update'],
    why: 'Children block the deletion of their owner. Where the admission plugin OwnerReferencesPermissionEnforcement is on, as on OpenShift, that requires this right.',
  },
  { resource: Deployment, verbs: SCALED, why: 'One for each server.' },
  {
    resource: ReplicaSet,
    verbs: ['get'],
    why: "Which pods are the servers' own: a pod's owner is a ReplicaSet, and that of the ReplicaSet a Deployment. The operator gives the connection token to no other pod. And whether the pods of a server whose Deployment was deleted are being deleted too, or were left running by --cascade=orphan.",
  },
  { resource: Service, verbs: SCALED, why: 'The address of each server.' },
  { resource: PersistentVolumeClaim, verbs: SCALED, why: 'The volume of each server.' },
  { resource: ServiceAccount, verbs: KEPT, why: "The servers' ServiceAccount, without a token." },
  {
    resource: NetworkPolicy,
    verbs: SCALED,
    why: 'Allowed connections of servers and of cleanups. The policy of a cleanup is deleted with its CronJob.',
  },
  {
    resource: PodDisruptionBudget,
    verbs: KEPT,
    why: 'Keeps node drains from evicting all servers at once, or one whose running turns have not ended.',
  },
  { resource: CronJob, verbs: SCALED, why: 'Cleans up sessions, where spec.sessions.ttl is set.' },
  {
    resource: ConfigMap,
    verbs: SCALED,
    why: 'Lists the sessions that the cleanup keeps longer. Those that spec.server.env and spec.network.caBundle name are read.',
  },
  {
    resource: CopilotSession,
    verbs: ['get', 'list', 'watch', 'patch', 'delete'],
    why: 'Sessions that users name, and how long they are kept. Patched for the finalizer only; an expired Ephemeral one is deleted.',
  },
  { resource: CopilotSession, subresource: 'status', verbs: ['update'], why: 'Phase, conditions and usage.' },
  {
    resource: Job,
    verbs: ['get', 'list', 'watch', 'create', 'delete'],
    why: 'Results of the cleanup. Removal of the data of deleted sessions from the volumes of servers that do not run. Sweeps of what other deletions leave on a volume; their Jobs are deleted when they are done, and Jobs that would work on the volume of a server that starts, before that.',
  },
  {
    resource: Secret,
    verbs: ['get', 'create', 'patch'],
    why: 'Connection token, binding, model credentials and those of spec.server.env, each read by its name. Never list or watch, which would give access to every Secret.',
  },
  {
    resource: Pod,
    verbs: ['list', 'watch', 'delete'],
    why: 'The state of the servers, and why a server does not start. Pods of servers that have ended and were replaced, such as evicted ones, are deleted.',
  },
  {
    resource: CoreEvent,
    verbs: ['list', 'create', 'patch'],
    why: 'Reports transitions, and reads the events of the kubelet and the storage driver about a server that does not start.',
  },
];

/** Needed in every namespace that has tenants, where a gateway is installed. */
export const GATEWAY_TENANT_PERMISSIONS: readonly Permission[] = [
  {
    resource: Role,
    verbs: SCALED,
    why: 'Lets the gateway read the connection token of a tenant, by its name. The operator can only grant what it has itself: to get Secrets.',
  },
  { resource: RoleBinding, verbs: SCALED, why: 'Gives that Role to the ServiceAccount of the gateway.' },
];

/**
 * Needed in every namespace, even where only some are watched: a namespace that is being deleted may lose its Role before its
 * CopilotSessions, and then nothing else removes their finalizer.
 */
export const SESSION_END_PERMISSIONS: readonly Permission[] = [
  {
    resource: CopilotSession,
    verbs: ['get', 'list', 'watch', 'patch'],
    why: 'Removes the finalizer of deleted sessions where the Role of the namespace is already gone. Without this right the deletion of such a namespace would hang.',
  },
];

/** Needed in the whole cluster, where a gateway is installed: without it servers are not drained before their node is. */
export const NODE_PERMISSIONS: readonly Permission[] = [
  {
    resource: Node,
    verbs: ['list', 'watch'],
    why: 'Which nodes are cordoned or being removed: running turns of the servers there end before their pods are replaced.',
  },
];

/** Needed in the operator's own namespace. */
export const OPERATOR_PERMISSIONS: readonly Permission[] = [
  { resource: Lease, verbs: ['create'], why: 'Leader election: the first replica creates the Lease.' },
  {
    resource: Lease,
    verbs: ['get', 'update'],
    resourceNames: [LEASE_NAME],
    why: 'Leader election: only one replica writes.',
  },
];

/** Needed in the operator's own namespace, where a gateway is installed. */
export const GATEWAY_OPERATOR_PERMISSIONS: readonly Permission[] = [
  {
    resource: Secret,
    verbs: ['create'],
    why: 'The keys with which the gateway signs whose a session is and which server may write it, and those by which its replicas and the operator know each other.',
  },
  {
    resource: Secret,
    verbs: ['get', 'patch'],
    resourceNames: [STAMP_SECRET, PEERS_SECRET, GRANT_SECRET],
    why: 'Whether there is a key in each; one is added while they are rotated, and none is ever replaced.',
  },
  { resource: EndpointSlice, verbs: ['list'], why: 'Which replicas the gateway has.' },
  {
    resource: Gateway,
    subresource: 'drains',
    verbs: ['get'],
    why: 'Which turns still run on a server that is about to be replaced or stopped, on the same port.',
  },
  {
    resource: Gateway,
    subresource: 'tenants',
    verbs: ['get'],
    why: 'How many clients each tenant has, on the internal port of the gateway. The API server serves no gateways: the port asks it for this right.',
  },
];
