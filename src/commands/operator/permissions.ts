/**
 * What the operator may do in the cluster, and why. The chart's RBAC rules are generated from these lists
 * (`make generate`), so a rule that nobody declared here can't slip in; the end-to-end tests compare them with what
 * the API server's audit log says was used.
 */
import {
  ConfigMap,
  CoreEvent,
  CronJob,
  Deployment,
  Job,
  Lease,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../kube/types/builtins.ts';
import type { ResourceType } from '../../kube/types/resource.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

export interface Permission {
  readonly resource: ResourceType;
  readonly subresource?: 'status' | 'finalizers';
  readonly verbs: readonly Verb[];
  /** Only objects of these names. RBAC can't say that for create, list and watch. */
  readonly resourceNames?: readonly string[];
  /** Becomes the comment above the rule. */
  readonly why: string;
}

/** Name of the Lease that the replicas of one installation contend for, in the operator's own namespace. */
export const LEASE_NAME = 'copilot-operator';

/** A child that the tenant keeps for its whole life: the garbage collector deletes it. */
const KEPT = ['get', 'list', 'watch', 'create', 'patch'] as const;
/** A child that the operator deletes when the spec wants it no more: a server that is scaled away, a cleanup. */
const SCALED = [...KEPT, 'delete'] as const;

/** Needed in every namespace that has tenants. */
export const TENANT_PERMISSIONS: readonly Permission[] = [
  { resource: CopilotTenant, verbs: ['get', 'list', 'watch'], why: 'What the operator works for.' },
  { resource: CopilotTenant, subresource: 'status', verbs: ['update'], why: 'Conditions and the state of servers.' },
  {
    resource: CopilotTenant,
    subresource: 'finalizers',
    verbs: ['update'],
    why: 'Children block the deletion of their owner; where OwnerReferencesPermissionEnforcement is on, as on OpenShift, that takes this.',
  },
  { resource: Deployment, verbs: SCALED, why: 'One for each server.' },
  { resource: Service, verbs: SCALED, why: 'The address of each server.' },
  { resource: PersistentVolumeClaim, verbs: SCALED, why: 'The volume of each server.' },
  { resource: ServiceAccount, verbs: KEPT, why: "The servers' own, without a token." },
  { resource: NetworkPolicy, verbs: SCALED, why: 'Who may talk to whom; that of the cleanup goes with it.' },
  { resource: PodDisruptionBudget, verbs: KEPT, why: 'Keeps drains of nodes from taking all servers at once.' },
  { resource: CronJob, verbs: SCALED, why: 'Cleans up sessions, where spec.sessions.ttl is set.' },
  { resource: ConfigMap, verbs: SCALED, why: 'Tells the cleanup which sessions are kept longer.' },
  {
    resource: CopilotSession,
    verbs: ['get', 'list', 'watch', 'patch', 'delete'],
    why: 'Sessions that people name, and how long they are kept. Patched for the finalizer alone; an Ephemeral one is deleted when its time is up.',
  },
  { resource: CopilotSession, subresource: 'status', verbs: ['update'], why: 'Phase, conditions and usage.' },
  {
    resource: Job,
    verbs: ['get', 'list', 'watch', 'create', 'delete'],
    why: 'How the runs of the cleanup ended; removes the data of a deleted session from the volume of a server that does not run; sweeps what other deletions leave, and goes when it has.',
  },
  {
    resource: Secret,
    verbs: ['get', 'create', 'patch'],
    why: 'Connection token, binding and model credentials, each read by its name. Never list or watch: those would hand over every Secret there is.',
  },
  { resource: Pod, verbs: ['list', 'watch'], why: 'Why a server does not start.' },
  {
    resource: CoreEvent,
    verbs: ['list', 'create', 'patch'],
    why: 'Tells people about transitions, and reads what the kubelet and the storage driver say of a server that does not start.',
  },
];

/**
 * Needed in every namespace, also where only some are watched: a namespace that is deleted may lose its Role before its CopilotSessions
 * are gone, and then nobody else may take their finalizer off.
 */
export const SESSION_END_PERMISSIONS: readonly Permission[] = [
  {
    resource: CopilotSession,
    verbs: ['get', 'list', 'watch', 'patch'],
    why: 'Takes the finalizer off sessions that are deleted where the Role of the namespace is gone already. Without it such a namespace would never go.',
  },
];

/** Needed in the operator's own namespace. */
export const OPERATOR_PERMISSIONS: readonly Permission[] = [
  { resource: Lease, verbs: ['create'], why: 'Leader election: the first replica makes the Lease.' },
  {
    resource: Lease,
    verbs: ['get', 'update'],
    resourceNames: [LEASE_NAME],
    why: 'Leader election: only one replica writes.',
  },
];
