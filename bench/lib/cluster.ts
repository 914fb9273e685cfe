// The cluster of the benchmarks: the current kubeconfig, a namespace for each, and nodes that kwok simulates.
import { Namespace, Node } from '../../src/kube/types/builtins.ts';
import { Client, type KubeClient } from '../../src/kube/client/client.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { loadConfig } from '../../src/kube/client/config.ts';
import { isAlreadyExists, isNotFound } from '../../src/kube/types/errors.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { Transport } from '../../src/kube/client/transport.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';

export interface Connection extends AsyncDisposable {
  client: KubeClient;
}

/** A client with the operator's own transport, so that floor and operator differ only in the controller. Default: the current kubeconfig. */
export function connect(kubeconfig?: string): Connection {
  const transport = new Transport({
    credentials: loadConfig({ clock: systemClock, kubeconfig }),
    clock: systemClock,
    random: Math.random,
    userAgent: 'copilot-operator-bench',
  });
  return { client: new Client({ transport }), [Symbol.asyncDispose]: () => transport.close() };
}

/**
 * Throws when the cluster has other tenants: the measured operator watches all namespaces, so it would manage them too.
 */
export async function requireNoTenants(client: KubeClient, type: ResourceType): Promise<void> {
  const { items } = await client.list(type, { limit: 5 });
  if (items.length === 0) return;
  const found = items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(', ');
  throw new Error(`benchmarks need a cluster without tenants, found ${found}: delete them, or run 'make cluster-down'`);
}

/** Runs `work` over `items`, `width` at a time: the size of the pool, so that the API server and not the client is the limit. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** Polls until `done`; at the deadline it throws with `what`. */
export async function until(
  what: string,
  deadlineMs: number,
  done: () => Promise<boolean> | boolean,
  everyMs = 100,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`${what}: not after ${deadlineMs / 1000} s`);
    await systemClock.sleep(everyMs);
  }
}

/** A new namespace, deleted at the end of the benchmark. */
export async function namespace(client: KubeClient, prefix: string): Promise<AsyncDisposable & { name: string }> {
  const name = `${prefix}-${Math.random().toString(36).slice(2, 8)}`;
  const object: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  const { metadata } = await client.create(Namespace, object);
  const gone = async (): Promise<boolean> => {
    try {
      await client.get(Namespace, { namespace: '', name });
      return false;
    } catch (error) {
      if (isNotFound(error)) return true;
      throw error;
    }
  };
  return {
    name,
    async [Symbol.asyncDispose]() {
      await client.delete(Namespace, { namespace: '', name }, { uid: metadata.uid ?? '' });
      // So that the next benchmark does not share the API server with these deletions.
      await until(`deletion of namespace ${name}`, 300_000, gone, 1000);
    },
  };
}

/** Nodes that kwok simulates: their pods have no containers. The taint keeps other pods off. */
export async function kwokNodes(client: KubeClient, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: `kwok-${index}`,
        annotations: { 'kwok.x-k8s.io/node': 'fake' },
        labels: { type: 'kwok', 'kubernetes.io/hostname': `kwok-${index}` },
      },
      spec: { taints: [{ key: 'kwok.x-k8s.io/node', value: 'fake', effect: 'NoSchedule' }] },
      status: {
        allocatable: { cpu: '64', memory: '512Gi', pods: '250' },
        capacity: { cpu: '64', memory: '512Gi', pods: '250' },
      },
    };
    try {
      await client.create(Node, node);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}
