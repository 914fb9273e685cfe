/** Tenants, pods and their owners as the fleet sees them, without a cluster. */
import { StatusError } from '../../../../src/kube/types/errors.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import type { KubeObject, NamespacedName } from '../../../../src/kube/types/types.ts';
import type { ResourceType } from '../../../../src/kube/types/resource.ts';
import { CachedFleet } from '../../../../src/gateway/routing/fleet.ts';
import {
  DRAINING_INDEX,
  drainingKeys,
  RoutedTenant,
  slimPod,
  slimTenant,
  TENANT_INDEX,
  tenantKeyOf,
} from '../../../../src/gateway/routing/slim.ts';
import { Pod } from '../../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import { serverLabels } from '../../../../src/resources/names.ts';
import { bindingToken, credentialHash } from '../../../../src/resources/binding.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { CREDENTIAL, sampleTenant, TOKEN } from '../../../support/tenants.ts';

export const ACME = { namespace: 'team', name: 'acme' };
export const HASH = credentialHash(CREDENTIAL);
export const ACME_TOKEN = bindingToken(sampleTenant(), CREDENTIAL);

const named = (apiVersion: string, kind: string, name: string, uid: string): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'team', uid },
});

/** Owned by `owner`, as its controller. */
const ownedBy = <T extends KubeObject>(object: T, owner: KubeObject): T => ({
  ...object,
  metadata: { ...object.metadata, ownerReferences: [controllerRef(owner)] },
});

export class FleetWorld {
  readonly clock = new FakeClock(0);
  readonly tenants = new FakeInformer<RoutedTenant>(RoutedTenant, {
    synced: false,
    indexers: { [DRAINING_INDEX]: drainingKeys },
  });
  readonly pods = new FakeInformer<Pod>(Pod, {
    synced: false,
    indexers: { [TENANT_INDEX]: (pod) => [tenantKeyOf(pod)] },
  });
  /** What was read, as `Kind name`. */
  readonly reads: string[] = [];
  readonly changes: string[] = [];
  /** Objects that can be read, by `Kind namespace/name`. */
  readonly #objects = new Map<string, KubeObject>();
  #version = 0;
  readonly client: Pick<KubeClient, 'get'>;
  readonly fleet: CachedFleet;
  /** What the next read fails with. */
  failure: Error | undefined;

  constructor() {
    const get = <T extends KubeObject>(type: ResourceType<T>, { namespace, name }: NamespacedName): Promise<T> => {
      this.reads.push(`${type.kind} ${name}`);
      const { failure } = this;
      this.failure = undefined;
      if (failure !== undefined) return Promise.reject(failure);
      const found = this.#objects.get(`${type.kind} ${namespace}/${name}`);
      return found === undefined ? Promise.reject(notFound()) : Promise.resolve(found as T);
    };
    this.client = { get };
    const { client } = this;
    this.fleet = new CachedFleet({ client, clock: this.clock, tenants: this.tenants, pods: this.pods });
    this.fleet.onChange(({ namespace, name }) => void this.changes.push(`${namespace}/${name}`));
  }

  /** A tenant with access Gateway, unless stated otherwise, and the Secret of its token. */
  setTenant(
    status: RoutedTenant['status'] = { access: 'Gateway', binding: { credentials: [{ sha256: HASH }] } },
    uid = 'uid-of-acme',
  ): void {
    const tenant = sampleTenant({}, { uid, resourceVersion: this.#next() });
    this.tenants.set(slimTenant({ ...tenant, status }));
    this.put(tokenSecret(tenant, TOKEN));
  }

  put(object: KubeObject): void {
    const { namespace = '', name } = object.metadata;
    this.#objects.set(`${object.kind} ${namespace}/${name}`, object);
  }

  /** Makes Deployment and ReplicaSet of a server; returns the ReplicaSet. */
  replicaSet(server = 'acme-0', tenantUID = 'uid-of-acme', uid = `uid-of-${server}-rs`): KubeObject {
    const tenant = named('copilot-operator.dev/v1alpha1', 'CopilotTenant', 'acme', tenantUID);
    const deployment = ownedBy(named('apps/v1', 'Deployment', server, `uid-of-${server}`), tenant);
    const replicaSet = ownedBy(named('apps/v1', 'ReplicaSet', `${server}-5d8f7`, uid), deployment);
    this.put(deployment);
    this.put(replicaSet);
    return replicaSet;
  }

  pod(index = 0, change: Partial<Pod['metadata']> = {}, ready = true, owner?: KubeObject): Pod {
    const name = change.name ?? `acme-${index}-5d8f7-x2v9k`;
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace: 'team',
        uid: `uid-of-${name}`,
        labels: serverLabels('acme', index),
        ownerReferences: [controllerRef(owner ?? this.replicaSet(`acme-${index}`))],
        ...change,
      },
      status: {
        phase: 'Running',
        podIP: `10.0.0.${index + 1}`,
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      },
    };
  }

  setPod(pod: Pod): void {
    const metadata = { ...pod.metadata, resourceVersion: this.#next() };
    this.pods.set(slimPod({ ...pod, metadata }));
  }

  sync(): void {
    this.tenants.finishSync();
    this.pods.finishSync();
  }

  reconcile(): Promise<unknown> {
    return this.fleet.reconcile(ACME, { signal: new AbortController().signal });
  }

  servers(): string[] {
    return (this.fleet.find(ACME)?.servers ?? []).map(({ key, host, port }) => `${key} ${host}:${port}`);
  }

  #next(): string {
    return String((this.#version += 1));
  }
}

const refused = (code: number, reason: string) => new StatusError({ method: 'GET', path: '/' }, { code, reason });

function notFound(): StatusError {
  return refused(404, 'NotFound');
}

/** The API server is overloaded. */
export function unavailable(): StatusError {
  return refused(503, 'ServiceUnavailable');
}
