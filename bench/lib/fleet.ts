// Many tenants on nodes that kwok simulates. Their servers are pods without containers: one process answers the pings of all.
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { API_VERSION, COPILOT_TENANT, SERVER_PORT } from '../../src/api/names.ts';
import { StorageClass } from '../../src/kube/types/builtins.ts';
import type { KubeClient } from '../../src/kube/client/client.ts';
import { isAlreadyExists } from '../../src/kube/types/errors.ts';
import { defineResource } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import { isConditionTrue } from '../../src/kube/write/conditions.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { auditMark, isWrite } from '../../test/support/audit.ts';
import { inParallel, kwokNodes, namespace, until } from './cluster.ts';
import { operatorRequestsSince, startOperator } from './operator.ts';
import type { ShippedProcess } from './shipped.ts';
import { startResponder } from './responder.ts';

export const Tenant = defineResource<CopilotTenant>(COPILOT_TENANT);
export const PersistentVolume = defineResource({
  group: '',
  version: 'v1',
  plural: 'persistentvolumes',
  kind: 'PersistentVolume',
  namespaced: false,
});

/** Client connections that a burst uses: the size of the pool. */
export const WIDTH = 32;
const STORAGE_CLASS = 'bench';

export function tenantName(index: number): string {
  return `t${index}`;
}

/** A tenant with every default but its nodes, which kwok simulates, and its volumes, which exist in advance. */
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

/** Volumes bound to the servers' claims in advance, because provisioning would measure the storage driver. */
export async function prepareVolumes(client: KubeClient, namespace: string, count: number): Promise<AsyncDisposable> {
  try {
    await client.create(StorageClass, {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: STORAGE_CLASS },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'Immediate',
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
  const created: KubeObject[] = [];
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
    created.push(await client.create(PersistentVolume, volume));
  });
  return {
    async [Symbol.asyncDispose]() {
      await inParallel(created, WIDTH, ({ metadata: { name, uid = '' } }) =>
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

/** Whether the status is of the current spec. */
export function isObserved({ metadata, status }: CopilotTenant): boolean {
  return status?.observedGeneration === metadata.generation;
}

/** Without what the server adds, so that it can be sent again. */
export function bare({ metadata, ...object }: KubeObject): KubeObject {
  const { name, labels = {}, annotations = {} } = metadata;
  const { status: _status, ...rest } = object as typeof object & { status?: unknown };
  // The cluster's own controllers note there what they did to this one object, such as the volume it is bound to.
  const own = Object.entries(annotations).filter(([key]) => !key.includes('kubernetes.io/'));
  return withoutAddresses({ ...rest, metadata: { name, labels, annotations: Object.fromEntries(own) } });
}

function withoutAddresses(object: KubeObject): KubeObject {
  const { spec } = object as KubeObject & { spec?: Record<string, unknown> };
  if (!spec) return object;
  const { clusterIP: _ip, clusterIPs: _ips, volumeName: _volume, ...kept } = spec;
  return { ...object, spec: kept } as KubeObject;
}

export interface Fleet extends AsyncDisposable {
  operator: ShippedProcess;
}

/** An operator with `count` tenants, all healthy and at rest: nothing written for a while. */
export async function runningFleet(client: KubeClient, count: number): Promise<Fleet> {
  await using stack = new AsyncDisposableStack();
  await kwokNodes(client, Math.ceil(count / 200));
  const space = stack.use(await namespace(client, 'bench-fleet'));
  stack.use(await prepareVolumes(client, space.name, count));
  stack.use(await startResponder({ port: SERVER_PORT }));
  const operator = stack.use(startOperator());
  await operator.ready();
  await applyTenants(client, space.name, count);
  const ready = async (): Promise<boolean> => {
    const { items } = await client.listAll(Tenant, { namespace: space.name });
    return items.filter(({ status }) => isConditionTrue(status?.conditions, 'Ready')).length === count;
  };
  // A thousand at once took seven minutes where the API server had two cores to share.
  await until(`${count} tenants ready`, 1_200_000, ready, 2000);
  await quiet();
  const kept = stack.move();
  return { operator, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Until the operator has written nothing for ten seconds. */
async function quiet(): Promise<void> {
  await until('the operator to come to rest', 120_000, async () => {
    const mark = auditMark();
    await systemClock.sleep(10_000);
    return !operatorRequestsSince(mark).some(isWrite);
  });
}
