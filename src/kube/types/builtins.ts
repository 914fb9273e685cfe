/** The built-in resource types that the project uses, each with the type of its objects. */
import type {
  CoreV1Event,
  V1ConfigMap,
  V1CronJob,
  V1Deployment,
  V1EndpointSlice,
  V1Job,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1ReplicaSet,
  V1Role,
  V1RoleBinding,
  V1Secret,
  V1Service,
  V1ServiceAccount,
  V1StorageClass,
  V1SubjectAccessReview,
  V1TokenReview,
} from '@kubernetes/client-node';
import { defineResource } from './resource.ts';
import type { KubeObject, Wire } from './types.ts';

// Type and resource share a name, so that `client.get(Deployment, ref)` returns a `Deployment`.
// Only types come from client-node: its run-time import costs 0.4 s and 40 MB (docs/adr/0001-own-controller-core.md).
type Builtin<T> = Omit<Wire<T>, keyof KubeObject> & KubeObject;

export type ConfigMap = Builtin<V1ConfigMap>;
export const ConfigMap = defineResource<ConfigMap>({
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
});

/** core/v1 events: those that viewers read and the EventRecorder writes. */
export type CoreEvent = Builtin<CoreV1Event>;
export const CoreEvent = defineResource<CoreEvent>({
  group: '',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
});

export type Namespace = Builtin<V1Namespace>;
export const Namespace = defineResource<Namespace>({
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
});

export type Node = Builtin<V1Node>;
export const Node = defineResource<Node>({
  group: '',
  version: 'v1',
  plural: 'nodes',
  kind: 'Node',
  namespaced: false,
});

export type PersistentVolumeClaim = Builtin<V1PersistentVolumeClaim>;
export const PersistentVolumeClaim = defineResource<PersistentVolumeClaim>({
  group: '',
  version: 'v1',
  plural: 'persistentvolumeclaims',
  kind: 'PersistentVolumeClaim',
  namespaced: true,
});

export type Pod = Builtin<V1Pod>;
export const Pod = defineResource<Pod>({ group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true });

export type Secret = Builtin<V1Secret>;
export const Secret = defineResource<Secret>({
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
});

export type Service = Builtin<V1Service>;
export const Service = defineResource<Service>({
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
});

export type ServiceAccount = Builtin<V1ServiceAccount>;
export const ServiceAccount = defineResource<ServiceAccount>({
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
});

export type Deployment = Builtin<V1Deployment>;
export const Deployment = defineResource<Deployment>({
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
});

export type ReplicaSet = Builtin<V1ReplicaSet>;
export const ReplicaSet = defineResource<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  plural: 'replicasets',
  kind: 'ReplicaSet',
  namespaced: true,
});

export type CronJob = Builtin<V1CronJob>;
export const CronJob = defineResource<CronJob>({
  group: 'batch',
  version: 'v1',
  plural: 'cronjobs',
  kind: 'CronJob',
  namespaced: true,
});

export type Job = Builtin<V1Job>;
export const Job = defineResource<Job>({
  group: 'batch',
  version: 'v1',
  plural: 'jobs',
  kind: 'Job',
  namespaced: true,
});

export type EndpointSlice = Builtin<V1EndpointSlice>;
export const EndpointSlice = defineResource<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
});

export type Lease = Builtin<V1Lease>;
export const Lease = defineResource<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
});

export type NetworkPolicy = Builtin<V1NetworkPolicy>;
export const NetworkPolicy = defineResource<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
});

export type PodDisruptionBudget = Builtin<V1PodDisruptionBudget>;
export const PodDisruptionBudget = defineResource<PodDisruptionBudget>({
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
});

export type Role = Builtin<V1Role>;
export const Role = defineResource<Role>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'roles',
  kind: 'Role',
  namespaced: true,
});

export type RoleBinding = Builtin<V1RoleBinding>;
export const RoleBinding = defineResource<RoleBinding>({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural: 'rolebindings',
  kind: 'RoleBinding',
  namespaced: true,
});

export type StorageClass = Builtin<V1StorageClass>;
export const StorageClass = defineResource<StorageClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  plural: 'storageclasses',
  kind: 'StorageClass',
  namespaced: false,
});

/** A question and its answer, never an object: it is created, and the answer has the status. */
export type SubjectAccessReview = Builtin<V1SubjectAccessReview>;
export const SubjectAccessReview = defineResource<SubjectAccessReview>({
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
});

/** As SubjectAccessReview a question, not an object. */
export type TokenReview = Builtin<V1TokenReview>;
export const TokenReview = defineResource<TokenReview>({
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
});
