/** Test support: a running controller of ConfigMaps that own Secrets, with caches that the test fills. */
import pino from 'pino';
import { ConfigMap, Secret } from '../../../../src/kube/types/builtins.ts';
import { controllerManagedBy } from '../../../../src/kube/runtime/builder.ts';
import type {
  ControllerOptions,
  ReconcileContext,
  Reconciler,
  Result,
} from '../../../../src/kube/runtime/controller.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { keyOf, type NamespacedName, type OwnerReference } from '../../../../src/kube/types/types.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { metricValue } from '../../../support/metrics.ts';

let uids = 0;
export function configMap(name: string): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'ns', name, uid: `uid-${uids++}`, resourceVersion: `${uids}` },
  };
}
export function childOf(owner: ConfigMap, name: string, reference: Partial<OwnerReference> = {}): Secret {
  const ownerReferences = [{ ...controllerRef(owner), ...reference }];
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'ns', name, uid: `uid-${uids++}`, resourceVersion: `${uids}`, ownerReferences },
  };
}

type Reconcile = (request: NamespacedName, context: ReconcileContext) => Promise<Result | void> | Result | void;

interface Setup extends Pick<ControllerOptions, 'concurrency' | 'maxRetryDelayMs' | 'reconcileTimeoutMs'> {
  reconciler?: Reconciler;
  /** Whether the cache of ConfigMaps has synced from the beginning. */
  synced?: boolean;
}

/** A running controller of ConfigMaps that owns Secrets, and the keys that it has reconciled. */
export function setUp(reconcile: Reconcile = () => undefined, { synced = true, reconciler, ...options }: Setup = {}) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const calls: string[] = [];
  const logged: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const recorded: Reconciler = {
    reconcile: async (request, context) => {
      calls.push(keyOf(request));
      return await reconcile(request, context);
    },
    reconcileForbidden: async () => undefined,
  };
  const parents = new FakeInformer(ConfigMap, { synced });
  const children = new FakeInformer(Secret);
  const controller = controllerManagedBy({ clock, metrics, log, addController: () => undefined })
    .named('test')
    .for(parents)
    .owns(children)
    .withOptions(options)
    .complete(reconciler ?? recorded);
  const stop = new AbortController();
  const kill = new AbortController();
  const ended = controller.run(stop.signal, kill.signal);
  const counted = (name: string, labels: Record<string, string> = {}) =>
    metricValue(metrics, `controller_runtime_${name}`, { controller: 'test', ...labels });
  return { clock, metrics, calls, logged, controller, parents, children, stop, kill, ended, counted };
}
