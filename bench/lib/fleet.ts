// Many tenants on nodes that kwok plays. Their servers are pods without a container: one process answers the pings for all.
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { API_VERSION, COPILOT_TENANT } from '../../src/api/names.ts';
import { StorageClass } from '../../src/kube/builtins.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { isAlreadyExists } from '../../src/kube/errors.ts';
import { defineResource } from '../../src/kube/resource.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { CopilotTenant } from '../../src/tenant/tenant.ts';
import { inParallel } from './cluster.ts';

export const Tenant = defineResource<CopilotTenant>(COPILOT_TENANT);
export const PersistentVolume = defineResource({
  group: '',
  version: 'v1',
  plural: 'persistentvolumes',
  kind: 'PersistentVolume',
  namespaced: false,
});

/** Client connections that a burst uses: what kubectl-like tools reach together, and the pool's width. */
export const WIDTH = 32;
const STORAGE_CLASS = 'bench';

export function tenantName(index: number): string {
  return `t${index}`;
}

/** A tenant with every default but where it runs: kwok's nodes, and volumes that are there already. */
export function tenant(namespace: string, index: number): KubeObject & { spec: CopilotTenantSpecInput } {
  return {
    apiVersion: API_VERSION,
    kind: COPILOT_TENANT.kind,
    metadata: { name: tenantName(index), namespace },
    spec: {
      server: {
        nodeSelector: { type: 'kwok' },
        tolerations: [{ key: 'kwok.x-k8s.io/node', operator: 'Exists', effect: 'NoSchedule' }],
        resources: { requests: { cpu: '10m', memory: '64Mi' } },
      },
      storage: { storageClassName: STORAGE_CLASS, size: '1Gi', reclaimPolicy: 'Delete' },
    },
  };
}

/** Volumes bound to the servers' claims in advance: provisioning them is the storage driver's speed, not ours. */
export async function prepareVolumes(client: KubeClient, namespace: string, count: number): Promise<AsyncDisposable> {
  try {
    await client.create(StorageClass, {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: STORAGE_CLASS },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'Immediate',
    } as StorageClass);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
  const made: KubeObject[] = [];
  await inParallel([...Array(count).keys()], WIDTH, async (index) => {
    const volume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `${namespace}-${tenantName(index)}-0`, labels: { bench: namespace } },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        storageClassName: STORAGE_CLASS,
        persistentVolumeReclaimPolicy: 'Retain',
        hostPath: { path: '/nonexistent' },
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: `${tenantName(index)}-0` },
      },
    };
    made.push(await client.create(PersistentVolume, volume));
  });
  return {
    async [Symbol.asyncDispose]() {
      await inParallel(made, WIDTH, ({ metadata: { name, uid = '' } }) =>
        client.delete(PersistentVolume, { namespace: '', name }, { uid }),
      );
    },
  };
}

/** Applies `count` tenants at once, as a pipeline would. */
export async function applyTenants(client: KubeClient, namespace: string, count: number): Promise<void> {
  await inParallel([...Array(count).keys()], WIDTH, (index) =>
    client.apply(Tenant, tenant(namespace, index), { fieldManager: 'bench', force: true }),
  );
}

/** Whether the status says what the present spec led to. */
export function isObserved({ metadata, status }: CopilotTenant): boolean {
  return status?.observedGeneration === metadata.generation;
}
