/** The permissions of the gateway, and why it needs them. The chart's RBAC rules are generated from these lists (`make generate`). */
import { STAMP_SECRET } from '../../api/names.ts';
import { Deployment, Pod, ReplicaSet, Secret, SubjectAccessReview, TokenReview } from '../../kube/types/builtins.ts';
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
    resourceNames: [STAMP_SECRET],
    why: 'The keys that sign whose a session is, where spec.isolation keeps users apart.',
  },
];

/** Needed in the whole cluster: these are no objects in a namespace, and are not stored. */
export const REVIEW_PERMISSIONS: readonly Permission[] = [
  { resource: TokenReview, verbs: ['create'], why: 'Whose token a client presents.' },
  { resource: SubjectAccessReview, verbs: ['create'], why: 'Whether that user may connect to the tenant.' },
];
