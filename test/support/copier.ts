import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Applier } from '../../src/kube/write/apply.ts';
import { ConfigMap } from '../../src/kube/types/builtins.ts';
import { Client } from '../../src/kube/client/client.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { loadConfig } from '../../src/kube/client/config.ts';
import { controllerManagedBy } from '../../src/kube/runtime/builder.ts';
import { EventRecorder } from '../../src/kube/runtime/events.ts';
import { LeaderElector } from '../../src/kube/runtime/leader-election.ts';
import { Manager } from '../../src/kube/runtime/manager.ts';
import type { Outcome } from '../../src/kube/runtime/runnables.ts';
import { Metrics } from '../../src/kube/runtime/metrics.ts';
import { controllerRef } from '../../src/kube/types/owner.ts';
import { Transport } from '../../src/kube/client/transport.ts';
import { keyOf } from '../../src/kube/types/types.ts';

export const PARENT = { role: 'parent' };
export const LEASE = 'copier';

/** What a copy of the parent should be. */
export function copyOf(parent: ConfigMap): ConfigMap {
  const { namespace = '', name } = parent.metadata;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name: `${name}-copy`, labels: { role: 'copy' }, ownerReferences: [controllerRef(parent)] },
    data: parent.data ?? {},
  };
}

export interface CopierOptions {
  kubeconfig: string;
  namespace: string;
  log: Logger;
  /** Its identity as a candidate for the lease; without one it starts at once. */
  identity?: string;
  gracefulStopMs?: number;
  /** Called in every reconcile before it writes. */
  beforeWrite?: (name: string, signal: AbortSignal) => Promise<void>;
}

/**
 * The smallest operator there is, on the whole core: for every ConfigMap with the label `role: parent` it keeps a copy.
 * It is wired as `main.ts` wires the real one.
 */
export function newCopier(options: CopierOptions) {
  const { kubeconfig, namespace, log, identity, gracefulStopMs, beforeWrite } = options;
  const clock = systemClock;
  const random = Math.random;
  const metrics = new Metrics();
  const credentials = loadConfig({ clock, kubeconfig });
  const transport = new Transport({ credentials, clock, random, observer: metrics.transport });
  const ungated = new Client({ transport });
  const leaderElector =
    identity === undefined
      ? undefined
      : new LeaderElector({ client: ungated, clock, random, log, metrics, namespace, name: LEASE, identity });
  const client = new Client({ transport, writeGate: leaderElector?.writeGate });
  const namespaces = [namespace];
  const manager = new Manager({
    client,
    clock,
    random,
    log,
    metrics,
    leaderElector,
    namespaces,
    gracefulStopMs,
    freezeCaches: true,
    health: { host: '127.0.0.1', port: 0 },
    metricsAt: { host: '127.0.0.1', port: 0 },
  });
  const recorder = new EventRecorder({
    client,
    clock,
    random,
    log,
    metrics,
    component: 'copier',
    instance: identity ?? hostname(),
  });
  manager.onStop(() => recorder.close(2_000));
  const parents = manager.informer(ConfigMap, { labelSelector: 'role=parent' });
  const children = manager.informer(ConfigMap, { labelSelector: 'role=copy' });
  const applier = new Applier({
    client,
    clock,
    log,
    ownerType: ConfigMap,
    fieldManager: 'copier',
    hashAnnotation: 'example.com/applied-hash',
  });
  applier.follow(children);
  const reconciles = new Map<string, number>();
  controllerManagedBy(manager)
    .named('copier')
    .for(parents)
    .owns(children)
    .withOptions({ concurrency: 4 })
    .complete({
      reconcileForbidden: async () => undefined,
      reconcile: async (request, { signal }) => {
        reconciles.set(keyOf(request), (reconciles.get(keyOf(request)) ?? 0) + 1);
        const parent = parents.store.get(request);
        if (!parent || parent.metadata.deletionTimestamp) return {};
        await beforeWrite?.(request.name, signal);
        const desired = copyOf(parent);
        const live = children.store.get(keyOf(desired));
        const { action, retryAfterMs } = await applier.apply(ConfigMap, desired, live, parent, { signal });
        if (action === 'created') recorder.event(parent, 'Normal', 'Copied', `created ${desired.metadata.name}`);
        return retryAfterMs === undefined ? {} : { requeueAfterMs: retryAfterMs };
      },
    });
  return {
    manager,
    metrics,
    /** How often each key was reconciled. */
    reconciles,
    /** Until the signal; every connection is closed then. */
    run: async (stop: AbortSignal): Promise<Outcome> => {
      try {
        return await manager.run(stop);
      } finally {
        await transport.close();
      }
    },
  };
}
