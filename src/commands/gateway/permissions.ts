/** The permissions of the gateway, and why it needs them. The chart's RBAC rules are generated from these lists (`make generate`). */
import { GRANT_SECRET, PEERS_SECRET, STAMP_SECRET } from '../../api/names.ts';
import {
  Deployment,
  Lease,
  Pod,
  ReplicaSet,
  Secret,
  SubjectAccessReview,
  TokenReview,
} from '../../kube/types/builtins.ts';
import { Gateway } from '../../resources/gateway-internal.ts';
import { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import type { Permission } from '../permission.ts';

/** Needed in every namespace that has tenants. The connection token of each tenant, and the login of its model, are added by a Role that the operator creates. */
export const GATEWAY_PERMISSIONS: readonly Permission[] = [
  {
    resource: CopilotTenant,
    verbs: ['list', 'watch'],
    why: 'Which tenants there are, and the hashes of their credentials. Nothing of them is written.',
  },
  { resource: Pod, verbs: ['list', 'watch'], why: 'The addresses of the servers, and which of them serve.' },
  {
    resource: ReplicaSet,
    verbs: ['get'],
    why: "Which pods are the servers' own: a pod's owner is a ReplicaSet. The gateway gives the connection token to no other pod.",
  },
  { resource: Deployment, verbs: ['get'], why: 'The owner of that ReplicaSet, which a tenant owns.' },
  {
    resource: CopilotSession,
    verbs: ['list', 'watch'],
    why: 'For whom the ids of sessions are reserved, and who else may use them, where spec.isolation keeps users apart.',
  },
];

/** Needed in the gateway's own namespace, which is the operator's. */
export const GATEWAY_OWN_PERMISSIONS: readonly Permission[] = [
  {
    resource: Secret,
    verbs: ['get'],
    resourceNames: [STAMP_SECRET, PEERS_SECRET, GRANT_SECRET],
    why: 'The keys that sign whose a session is, where spec.isolation keeps users apart, those that sign which server may write a session, where servers share a volume, and those by which the operator and replicas of the gateway know each other.',
  },
  {
    resource: Lease,
    verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
    why: 'One Lease for each replica says that it is alive. It is named after the pod, so the right cannot be limited to names; those of replicas that have died are deleted by others. That of the operator says where its leader is asked to wake tenants. With coordination.type kubernetes, and tenants with shared storage: one Lease for each of their sessions; with memory one that keeps a second replica away.',
  },
  {
    resource: Gateway,
    subresource: 'wakes',
    verbs: ['create'],
    why: 'To ask the operator, on its internal port, for sleeping tenants to be woken. The API server serves no gateways: the port asks it for this right.',
  },
];

/** Needed in the whole cluster, by the operator beside a gateway, too: these are no objects in a namespace, and are not stored. */
export const REVIEW_PERMISSIONS: readonly Permission[] = [
  {
    resource: TokenReview,
    verbs: ['create'],
    why: 'Whose token a client presents, or whoever asks on an internal port.',
  },
  {
    resource: SubjectAccessReview,
    verbs: ['create'],
    why: 'Whether that user may connect to the tenant, or ask that.',
  },
];
