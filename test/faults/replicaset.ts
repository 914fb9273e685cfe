/** ReplicaSets, which only the cluster itself writes: the operator never does. */
import { defineResource } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';

export type ReplicaSet = KubeObject & { spec: { replicas: number } & Record<string, unknown>; status?: object };
export const ReplicaSet = defineResource<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  plural: 'replicasets',
  kind: 'ReplicaSet',
  namespaced: true,
});
