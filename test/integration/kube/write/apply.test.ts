import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { Applier } from '../../../../src/kube/write/apply.ts';
import { InvalidObjectError } from '../../../../src/kube/write/refusal.ts';
import * as builtins from '../../../../src/kube/types/builtins.ts';
import {
  ConfigMap,
  Deployment,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  Secret,
  Service,
} from '../../../../src/kube/types/builtins.ts';
import type { Client } from '../../../../src/kube/client/client.ts';
import { TransportError } from '../../../../src/kube/types/errors.ts';
import { ignoreNotFound } from '../../../../src/kube/types/not-found.ts';
import { ForeignObjectError, OwnerGoneError } from '../../../../src/kube/types/owner.ts';
import { defineResource, type ResourceType } from '../../../../src/kube/types/resource.ts';
import { stripServerFields } from '../../../../src/kube/cache/store.ts';
import { nameOf, type KubeObject } from '../../../../src/kube/types/types.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';
import * as manifests from '../../../support/manifests.ts';
import { waitFor } from '../../../support/wait.ts';

const HASH = 'example.com/applied-hash';
const MANAGER = 'test-operator';

let apiServer: ApiServer;
let proxy: FaultProxy;
/** For the applier: through the proxy. */
let ours: ReturnType<typeof connect>;
/** For all others: directly to the API server. */
let other: ReturnType<typeof connect>;
let client: Client;

beforeAll(async () => {
  apiServer = await startApiServer();
  proxy = await FaultProxy.start(apiServer);
  ours = connect(apiServer.kubeconfig({ server: proxy.url }));
  other = connect(apiServer.kubeconfig());
  ({ client } = other);
}, 90_000);
afterAll(async () => {
  await Promise.all([ours.transport.close(), other.transport.close()]);
  await proxy.stop();
  await apiServer.stop();
});

let worlds = 0;

/** A new namespace with an owner and an applier. */
async function world() {
  const namespace = `apply-${worlds++}`;
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const owner = await client.create(ConfigMap, configMap(namespace, 'owner'));
  const clock = new FakeClock();
  const newApplier = (): Applier =>
    new Applier({
      client: ours.client,
      clock,
      log: pino({ level: 'silent' }),
      ownerType: ConfigMap,
      fieldManager: MANAGER,
      hashAnnotation: HASH,
    });
  return { namespace, owner, clock, newApplier, applier: newApplier() };
}

/** A container with just a probe, to be merged into the one of a manifest. */
const probed = (readinessProbe: object) => ({ name: 'main', readinessProbe });

/** The object as an up-to-date cache has it. */
async function cached<T extends KubeObject>(type: ResourceType<T>, object: KubeObject): Promise<T> {
  return stripServerFields(await client.get(type, nameOf(object)));
}

/** The requests of our client during `act`, as `create secrets`. */
async function requests(act: () => Promise<unknown>): Promise<string[]> {
  const before = proxy.journal.length;
  await act();
  return proxy.journal.slice(before).map(({ verb, resource }) => `${verb} ${resource}`);
}

/** Another writer, with a field manager of its own. */
function edit<T extends KubeObject>(type: ResourceType<T>, object: KubeObject, patch: object): Promise<T> {
  const options = { contentType: 'application/strategic-merge-patch+json', fieldManager: 'somebody' } as const;
  return client.patch(type, nameOf(object), patch, options);
}

interface Rewrite {
  readonly group: string;
  readonly resource: string;
  readonly operations: readonly string[];
  /** CEL: what the object is merged with. */
  readonly expression: string;
}

/** Lets the API server change every object of a type, like a mutating webhook. */
async function rewriteIn(namespace: string, { group, resource, operations, expression }: Rewrite): Promise<void> {
  const define = (plural: string, kind: string) =>
    defineResource<KubeObject & { spec: object }>({
      group: 'admissionregistration.k8s.io',
      version: 'v1',
      plural,
      kind,
      namespaced: false,
    });
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const name = `rewrite-${namespace}`;
  await client.create(define('mutatingadmissionpolicies', 'MutatingAdmissionPolicy'), {
    apiVersion,
    kind: 'MutatingAdmissionPolicy',
    metadata: { name },
    spec: {
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        resourceRules: [{ apiGroups: [group], apiVersions: ['v1'], resources: [resource], operations }],
      },
      reinvocationPolicy: 'Never',
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
    },
  });
  await client.create(define('mutatingadmissionpolicybindings', 'MutatingAdmissionPolicyBinding'), {
    apiVersion,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name },
  });
}

/** Every ConfigMap has its word rewritten. */
const shout: Rewrite = {
  group: '',
  resource: 'configmaps',
  operations: ['CREATE', 'UPDATE'],
  expression: "Object{data: {'word': 'SHOUTED'}}",
};

/** As a policy that takes all images from a mirror. */
const mirror: Rewrite = {
  group: 'apps',
  resource: 'deployments',
  operations: ['CREATE'],
  expression:
    'Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [Object.spec.template.spec.containers{name: "main", image: "mirror.example.com/main:1"}]}}}}',
};

const image = (deployment: Deployment): string | undefined => deployment.spec?.template.spec?.containers[0]?.image;

describe('a child that does not exist', () => {
  it('is created in one request', async () => {
    const { applier, owner } = await world();
    const desired = manifests.secret(owner);
    expect(await requests(() => applier.apply(Secret, desired, undefined, owner))).toEqual(['create secrets']);
    const live = await client.get(Secret, nameOf(desired));
    expect(live.data).toEqual(desired.data);
    expect(live.metadata.ownerReferences).toEqual(desired.metadata.ownerReferences);
  });

  it('is refused without a controller reference', async () => {
    const { applier, owner, namespace } = await world();
    await expect(applier.apply(ConfigMap, configMap(namespace, 'lost'), undefined, owner)).rejects.toThrow(
      /ConfigMap "apply-\d+\/lost" has no controller reference to ConfigMap "apply-\d+\/owner"/,
    );
  });

  it('is created once when the response to the first attempt was lost', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    proxy.inject({ verb: 'create', resource: 'configmaps' }, { kind: 'loseResponse' });
    await expect(applier.apply(ConfigMap, desired, undefined, owner)).rejects.toThrow(TransportError);
    const { uid } = (await client.get(ConfigMap, nameOf(desired))).metadata;
    const result = await applier.apply(ConfigMap, desired, undefined, owner);
    expect([result.action, result.object.metadata.uid]).toEqual(['unchanged', uid]);
  });

  it('is not created again for an owner that is deleted while the cache still has it', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    const { object } = await applier.apply(ConfigMap, desired, undefined, owner);
    await client.delete(ConfigMap, nameOf(owner), { uid: owner.metadata.uid ?? '' });
    await client.delete(ConfigMap, nameOf(object), { uid: object.metadata.uid ?? '' });
    await expect(applier.apply(ConfigMap, desired, undefined, owner)).rejects.toThrow(OwnerGoneError);
    expect((await client.list(ConfigMap, { namespace: desired.metadata.namespace })).items).toEqual([]);
  });

  it('is created again when another client has deleted it', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    const { object } = await applier.apply(ConfigMap, desired, undefined, owner);
    await client.delete(ConfigMap, nameOf(object), { uid: object.metadata.uid ?? '' });
    const again = await applier.apply(ConfigMap, desired, undefined, owner);
    expect(again.action).toBe('created');
    expect(again.object.metadata.uid).not.toBe(object.metadata.uid);
  });
});

describe('a child without an owner', () => {
  const orphaned = async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    const live = await edit(ConfigMap, desired, { metadata: { ownerReferences: null } });
    return { applier, owner, desired, live };
  };
  const options = { mayAdopt: () => true };

  it('is taken over', async () => {
    const { applier, owner, desired, live } = await orphaned();
    const result = await applier.apply(ConfigMap, desired, live, owner, options);
    expect([result.action, result.adopted]).toEqual(['updated', true]);
    expect((await client.get(ConfigMap, nameOf(desired))).metadata.ownerReferences).toHaveLength(1);
  });

  // As client-go does before an adoption. Otherwise `kubectl delete --cascade=orphan` deletes what it should leave.
  it('is neither taken over nor deleted for an owner that is deleted while the cache still has it', async () => {
    const { applier, owner, desired, live } = await orphaned();
    await client.delete(ConfigMap, nameOf(owner), { uid: owner.metadata.uid ?? '' });
    await expect(applier.apply(ConfigMap, desired, live, owner, options)).rejects.toThrow(OwnerGoneError);
    await expect(applier.delete(ConfigMap, live, owner, options)).rejects.toThrow(OwnerGoneError);
    expect((await client.get(ConfigMap, nameOf(desired))).metadata.ownerReferences).toBeUndefined();
  });

  it('that is given one by its own rule is not either', async () => {
    const { applier, owner, desired, live } = await orphaned();
    await client.delete(ConfigMap, nameOf(owner), { uid: owner.metadata.uid ?? '' });
    const byRule = applier.apply(ConfigMap, desired, live, owner, { isOurs: () => true });
    await expect(byRule).rejects.toThrow(OwnerGoneError);
  });
});

describe('a child that is as desired', () => {
  const kinds: [string, ResourceType, (owner: KubeObject) => KubeObject][] = [
    ['a small Deployment', builtins.Deployment, manifests.smallDeployment],
    ['a crowded Deployment', builtins.Deployment, manifests.crowdedDeployment],
    ['a Service', builtins.Service, manifests.service],
    ['a PersistentVolumeClaim', builtins.PersistentVolumeClaim, manifests.claim],
    ['a Secret', builtins.Secret, manifests.secret],
    ['a ServiceAccount', builtins.ServiceAccount, manifests.serviceAccount],
    ['a NetworkPolicy', builtins.NetworkPolicy, manifests.networkPolicy],
    ['a PodDisruptionBudget', builtins.PodDisruptionBudget, manifests.disruptionBudget],
    ['a ConfigMap', builtins.ConfigMap, manifests.childConfigMap],
  ];

  it.each(kinds)('costs no request: %s, also after a restart', async (_, type, manifest) => {
    const { applier, newApplier, owner } = await world();
    const desired = manifest(owner);
    await applier.apply(type, desired, undefined, owner);
    const live = await cached(type, desired);
    const sent = await requests(async () => {
      for (const each of [applier, newApplier()]) {
        expect((await each.apply(type, desired, live, owner)).action).toBe('unchanged');
      }
    });
    expect(sent).toEqual([]);
  });

  it.each(kinds)('remains so after an update of everything: %s', async (_, type, manifest) => {
    const { applier, newApplier, owner } = await world();
    const desired = manifest(owner);
    await applier.apply(type, desired, undefined, owner);
    desired.metadata.labels = { ...desired.metadata.labels, release: 'two' };
    expect((await applier.apply(type, desired, await cached(type, desired), owner)).action).toBe('updated');
    const live = await cached(type, desired);
    const sent = await requests(async () => {
      expect((await newApplier().apply(type, desired, live, owner)).action).toBe('unchanged');
    });
    expect(sent).toEqual([]);
  });

  it('is written when more is desired, although the object in the cache has not changed', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    const live = await cached(ConfigMap, desired);
    expect((await applier.apply(ConfigMap, desired, live, owner)).action).toBe('unchanged');
    const changed = manifests.childConfigMap(owner, 'words', { word: 'goodbye' });
    expect((await applier.apply(ConfigMap, changed, live, owner)).action).toBe('updated');
  });

  it('is not written again while the cache is outdated: without a request if the cache is followed, else with a read', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    expect(await requests(() => applier.apply(ConfigMap, desired, undefined, owner))).toEqual(['get configmaps']);

    const stale = await cached(ConfigMap, desired);
    const changed = manifests.childConfigMap(owner, 'words', { word: 'goodbye' });
    await applier.apply(ConfigMap, changed, stale, owner);
    expect(await requests(() => applier.apply(ConfigMap, changed, stale, owner))).toEqual([]);
  });
});

describe('a child that is different', () => {
  it('gets back what another writer changed, and keeps what another writer added', async () => {
    const { applier, owner } = await world();
    const desired = manifests.smallDeployment(owner);
    await applier.apply(Deployment, desired, undefined, owner);
    await edit(Deployment, desired, {
      metadata: { labels: { app: 'renamed', team: 'theirs' }, annotations: { note: 'theirs' } },
      spec: {
        revisionHistoryLimit: 3,
        template: { spec: { containers: [{ name: 'main', image: 'evil:1', env: [{ name: 'EXTRA', value: '1' }] }] } },
      },
    });
    const result = await applier.apply(Deployment, desired, await cached(Deployment, desired), owner);
    expect(result.action).toBe('updated');
    expect(result.changed.sort()).toEqual(['metadata.labels.app', 'spec.template.spec.containers[name=main].image']);
    const live = await client.get(Deployment, nameOf(desired));
    expect(image(live)).toBe('example.com/main:1');
    expect(live.metadata.labels).toEqual({ app: 'small', team: 'theirs' });
    expect(live.metadata.annotations).toMatchObject({ note: 'theirs' });
    expect(live.spec?.revisionHistoryLimit).toBe(3);
    const names = live.spec?.template.spec?.containers[0]?.env?.map(({ name }) => name);
    expect(names?.sort()).toEqual(['COLOR', 'EXTRA']);
  });

  it.each([
    ['another strategy', { spec: { strategy: { type: 'RollingUpdate' } } }],
    [
      'another kind of probe',
      { spec: { template: { spec: { containers: [probed({ tcpSocket: null, exec: { command: ['true'] } })] } } } },
    ],
  ])('gets back what excludes what somebody has set: %s', async (_what, change) => {
    const { owner, applier } = await world();
    const desired = manifests.smallDeployment(owner);
    Object.assign(desired.spec ?? {}, { strategy: { type: 'Recreate' } });
    Object.assign(desired.spec?.template.spec?.containers[0] ?? {}, probed({ tcpSocket: { port: 4321 } }));
    await applier.apply(Deployment, desired, undefined, owner);
    const contentType = 'application/strategic-merge-patch+json';
    await client.patch(Deployment, nameOf(desired), change, { contentType });

    const live = await cached(Deployment, desired);
    expect((await applier.apply(Deployment, desired, live, owner)).action).toBe('updated');
    const repaired = await cached<Deployment>(Deployment, desired);
    expect(repaired.spec?.strategy).toEqual({ type: 'Recreate' });
    expect(repaired.spec?.template.spec?.containers[0]?.readinessProbe).toMatchObject({ tcpSocket: { port: 4321 } });
    expect((await applier.apply(Deployment, desired, repaired, owner)).action).toBe('unchanged');
  });

  it('loses what is no longer desired, from the creation as from an update', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner, 'words', { one: '1', two: '2' });
    await applier.apply(ConfigMap, desired, undefined, owner);
    await edit(ConfigMap, desired, { data: { theirs: 'x' } });
    for (const [ourData, liveData] of [
      [
        { two: '2', three: '3' },
        { two: '2', three: '3', theirs: 'x' },
      ],
      [{ two: '2' }, { two: '2', theirs: 'x' }],
    ] as [Record<string, string>, Record<string, string>][]) {
      desired.data = ourData;
      await applier.apply(ConfigMap, desired, await cached(ConfigMap, desired), owner);
      expect((await client.get(ConfigMap, nameOf(desired))).data).toEqual(liveData);
    }
  });

  it('has its fields moved to Apply once: later updates are one read and one write', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    const change = async (word: string): Promise<string[]> => {
      desired.data = { word };
      const live = await cached(ConfigMap, desired);
      return requests(() => applier.apply(ConfigMap, desired, live, owner));
    };
    expect(await change('first')).toEqual(['get configmaps', 'patch configmaps', 'patch configmaps']);
    expect(await change('second')).toEqual(['get configmaps', 'patch configmaps']);
    const { managedFields = [] } = (await client.get(ConfigMap, nameOf(desired))).metadata;
    expect(managedFields.map(({ manager, operation }) => ({ manager, operation }))).toEqual([
      { manager: MANAGER, operation: 'Apply' },
    ]);
  });

  it('is updated despite a conflict: another client writes between our read and our write', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    const live = await cached(ConfigMap, desired);
    desired.data = { word: 'new' };
    const touch = () => edit(ConfigMap, desired, { data: { touched: 'yes' } });
    proxy.inject({ verb: 'patch', resource: 'configmaps' }, { kind: 'first', do: touch });
    const before = proxy.journal.length;
    await applier.apply(ConfigMap, desired, live, owner);
    expect(proxy.journal.slice(before).map(({ status }) => status)).toContain(409);
    expect((await client.get(ConfigMap, nameOf(desired))).data).toEqual({ word: 'new', touched: 'yes' });
  });

  it.each<[string, ResourceType, (owner: KubeObject) => KubeObject, object]>([
    ['a Service', Service, manifests.service, { spec: { selector: { more: 'yes' } } }],
    ['a policy', NetworkPolicy, manifests.networkPolicy, { spec: { podSelector: { matchLabels: { more: 'yes' } } } }],
    [
      'a policy, by an expression,',
      NetworkPolicy,
      manifests.networkPolicy,
      { spec: { podSelector: { matchExpressions: [{ key: 'more', operator: 'Exists' }] } } },
    ],
    [
      'a budget',
      PodDisruptionBudget,
      manifests.disruptionBudget,
      { spec: { selector: { matchLabels: { more: 'yes' } } } },
    ],
  ])(
    'loses what another writer added to the selector of %s: it would select nothing',
    async (_, type, manifest, added) => {
      const { owner, applier } = await world();
      const desired = manifest(owner);
      await applier.apply(type, desired, undefined, owner);
      await client.patch(type, nameOf(desired), added, { contentType: 'application/merge-patch+json' });
      expect((await applier.apply(type, desired, await cached(type, desired), owner)).action).toBe('updated');
      expect(JSON.stringify(await cached(type, desired))).not.toContain('more');
    },
  );

  it('is not updated to a state that was computed from an earlier one', async () => {
    const { owner, applier } = await world();
    await applier.apply(Deployment, manifests.smallDeployment(owner), undefined, owner);
    const late = await cached(Deployment, manifests.smallDeployment(owner));
    await edit(Deployment, late, { spec: { replicas: 0 } });
    const desired = manifests.smallDeployment(owner);
    desired.metadata.labels = { ...desired.metadata.labels, release: 'two' };
    const apply = () => applier.apply(Deployment, desired, late, owner, { derivedFrom: late });
    await expect(apply()).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
    await client.delete(Deployment, nameOf(late), { uid: late.metadata.uid ?? '' });
    await expect(apply()).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
    expect(await ignoreNotFound(client.get(Deployment, nameOf(late)))).toBeUndefined();
  });

  it('is updated once when the response to the update was lost', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    desired.data = { word: 'moved' };
    await applier.apply(ConfigMap, desired, await cached(ConfigMap, desired), owner);
    const stale = await cached(ConfigMap, desired);
    desired.data = { word: 'new' };
    proxy.inject({ verb: 'patch', resource: 'configmaps' }, { kind: 'loseResponse' });
    // The client may retry the apply, which is idempotent. In either case the second reconcile has nothing to do.
    await applier.apply(ConfigMap, desired, stale, owner).catch((error: unknown) => {
      expect(error).toBeInstanceOf(TransportError);
    });
    const { resourceVersion } = (await client.get(ConfigMap, nameOf(desired))).metadata;
    expect((await applier.apply(ConfigMap, desired, stale, owner)).action).toBe('unchanged');
    expect((await client.get(ConfigMap, nameOf(desired))).metadata.resourceVersion).toBe(resourceVersion);
  });

  it.each([
    ['replaced', true],
    ['deleted', false],
  ])('is not written when another client has %s it between our read and our write', async (_, replaced) => {
    const { applier, owner, namespace } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    desired.data = { word: 'moved' };
    const { object } = await applier.apply(ConfigMap, desired, await cached(ConfigMap, desired), owner);
    desired.data = { word: 'new' };
    const replace = async (): Promise<void> => {
      await client.delete(ConfigMap, nameOf(object), { uid: object.metadata.uid ?? '' });
      if (replaced) await client.create(ConfigMap, configMap(namespace, 'words', { theirs: 'x' }));
    };
    proxy.inject({ verb: 'patch', resource: 'configmaps' }, { kind: 'first', do: replace });
    const failed = await applier.apply(ConfigMap, desired, object, owner).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 409 });
    const { items } = await client.list(ConfigMap, { namespace, fieldSelector: 'metadata.name=words' });
    expect(items.map(({ data }) => data)).toEqual(replaced ? [{ theirs: 'x' }] : []);
  });

  it('with an immutable field causes an error that names object and field', async () => {
    const { applier, owner } = await world();
    const desired = manifests.smallDeployment(owner);
    await applier.apply(Deployment, desired, undefined, owner);
    const changed = manifests.smallDeployment(owner);
    changed.spec = {
      ...changed.spec,
      selector: { matchLabels: { app: 'other' } },
      template: { ...changed.spec?.template, metadata: { labels: { app: 'other' } } },
    };
    const live = await cached(Deployment, desired);
    const error = await applier.apply(Deployment, changed, live, owner).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidObjectError);
    expect(error).toMatchObject({ kind: 'Deployment', objectName: 'small', immutable: true });
    expect((error as InvalidObjectError).fields.map(({ field }) => field)).toEqual(['spec.selector']);
    expect((error as InvalidObjectError).message).toMatch(/Deployment "apply-\d+\/small".*spec\.selector.*immutable/);
  });

  it('is not written while it is terminating', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    desired.metadata.finalizers = ['example.com/slow'];
    const { object } = await applier.apply(ConfigMap, desired, undefined, owner);
    await client.delete(ConfigMap, nameOf(object), { uid: object.metadata.uid ?? '' });
    desired.data = { word: 'new' };
    const live = await cached(ConfigMap, desired);
    let action = '';
    const sent = await requests(async () => ({ action } = await applier.apply(ConfigMap, desired, live, owner)));
    expect([action, sent]).toEqual(['terminating', []]);
  });
});

describe('a foreign object of the name', () => {
  it.each([
    ['has no controller', () => undefined],
    [
      'is controlled by an earlier owner of the same name',
      (owner: KubeObject) => [{ ...manifests.childMeta(owner, '').ownerReferences?.[0], uid: '0000-earlier' }],
    ],
  ])('is neither adopted nor changed when it %s', async (_, ownerReferences) => {
    const { applier, owner, namespace } = await world();
    const foreign = configMap(namespace, 'words', { theirs: 'x' });
    const references = ownerReferences(owner);
    const metadata = { ...foreign.metadata, ...(references && { ownerReferences: references }) };
    const created = await client.create(ConfigMap, { ...foreign, metadata } as ConfigMap);
    const desired = manifests.childConfigMap(owner);
    for (const live of [undefined, await cached(ConfigMap, created)]) {
      await expect(applier.apply(ConfigMap, desired, live, owner)).rejects.toThrow(ForeignObjectError);
      await expect(applier.apply(ConfigMap, desired, live, owner)).rejects.toThrow(/ConfigMap "apply-\d+\/words"/);
    }
    await expect(applier.delete(ConfigMap, created, owner)).rejects.toThrow(ForeignObjectError);
    expect((await client.get(ConfigMap, nameOf(created))).metadata.resourceVersion).toBe(
      created.metadata.resourceVersion,
    );
  });

  it('is written if the caller declares it ours', async () => {
    const { applier, owner, namespace } = await world();
    const kept = configMap(namespace, 'kept', { old: 'data' });
    kept.metadata.labels = { tenant: 'acme' };
    const created = await client.create(ConfigMap, kept);
    const desired = { ...kept, data: { new: 'data' } };
    const isOurs = (live: KubeObject) => live.metadata.labels?.['tenant'] === 'acme';
    const result = await applier.apply(ConfigMap, desired, undefined, owner, { isOurs });
    expect([result.action, result.object.metadata.uid]).toEqual(['updated', created.metadata.uid]);
    expect(result.object.data).toEqual({ old: 'data', new: 'data' });
  });
});

describe('another writer', () => {
  it('that keeps reverting our field causes no loop of writes', async () => {
    const { applier, owner, clock } = await world();
    const desired = manifests.childConfigMap(owner);
    await applier.apply(ConfigMap, desired, undefined, owner);
    const restoredAt: number[] = [];
    for (let second = 0; second < 64; second++) {
      // Even the hash annotation is removed.
      const annotations = { [HASH]: second % 2 === 0 ? null : 'theirs' };
      const theirs = stripServerFields(
        await edit(ConfigMap, desired, { metadata: { annotations }, data: { word: 'theirs' } }),
      );
      const before = proxy.journal.length;
      const { action, retryAfterMs = 0 } = await applier.apply(ConfigMap, desired, theirs, owner);
      if (action === 'updated') restoredAt.push(second);
      else expect([action, retryAfterMs > 0, proxy.journal.length - before]).toEqual(['deferred', true, 0]);
      await clock.advance(1_000);
    }
    // Three at once, each further one after twice the wait of the last.
    expect(restoredAt).toEqual([0, 1, 2, 3, 5, 9, 17, 33]);
  });

  it('that is a second installation with another desired state causes no loop of writes', async () => {
    const { applier, newApplier, owner, clock } = await world();
    const installations = [
      { applier, desired: manifests.childConfigMap(owner, 'child', { word: 'first' }), updates: 0 },
      { applier: newApplier(), desired: manifests.childConfigMap(owner, 'child', { word: 'second' }), updates: 0 },
    ];
    for (let second = 0; second < 64; second++) {
      for (const installation of installations) {
        const live = second === 0 ? undefined : await cached(ConfigMap, installation.desired);
        const { action } = await installation.applier.apply(ConfigMap, installation.desired, live, owner);
        if (action === 'updated') installation.updates++;
      }
      await clock.advance(1_000);
    }
    // Each time each finds the other's value.
    for (const { updates } of installations) expect(updates).toBeLessThan(12);
  });

  it('in the API server, which changes what we write, is accepted', async () => {
    const { applier, newApplier, owner, namespace } = await world();
    await rewriteIn(namespace, shout);
    const desired = manifests.childConfigMap(owner, 'words', { word: 'hello' });
    await waitFor('the policy is active', async () => {
      const { data } = await client.create(ConfigMap, configMap(namespace, 'probe', { word: 'x' }), { dryRun: true });
      return data?.['word'] === 'SHOUTED';
    });
    expect((await applier.apply(ConfigMap, desired, undefined, owner)).object.data).toEqual({ word: 'SHOUTED' });
    const live = await cached(ConfigMap, desired);
    expect(await requests(() => applier.apply(ConfigMap, desired, live, owner))).toEqual([]);
    // A new process has to read once to notice it.
    const restarted = newApplier();
    expect(await requests(() => restarted.apply(ConfigMap, desired, live, owner))).toEqual(['get configmaps']);
    expect(await requests(() => restarted.apply(ConfigMap, desired, live, owner))).toEqual([]);
    await edit(ConfigMap, desired, { metadata: { labels: { app: 'renamed' } } });
    const result = await restarted.apply(ConfigMap, desired, await cached(ConfigMap, desired), owner);
    expect([result.action, result.object.metadata.labels]).toEqual(['updated', { app: 'words' }]);
  });

  describe.each([[['CREATE']], [['CREATE', 'UPDATE']]])(
    'in the API server, which changes Deployments at %j,',
    (operations) => {
      async function mirrored() {
        const { applier, newApplier, owner, namespace } = await world();
        await rewriteIn(namespace, { ...mirror, operations });
        const desired = manifests.smallDeployment(owner);
        const probe = { ...desired, metadata: { ...desired.metadata, name: 'probe' } };
        await waitFor('the policy is active', async () => {
          return image(await client.create(Deployment, probe, { dryRun: true })) === 'mirror.example.com/main:1';
        });
        await applier.apply(Deployment, desired, undefined, owner);
        return { desired, newApplier, owner };
      }

      it('is left alone by every process that starts: nothing is written', async () => {
        const { desired, newApplier, owner } = await mirrored();
        const before = await client.get(Deployment, nameOf(desired));
        const live = await cached<Deployment>(Deployment, desired);
        for (const restarted of [newApplier(), newApplier()]) {
          expect(restarted.wouldWrite(Deployment, desired, live, owner)).toBe(true);
          expect(await requests(() => restarted.changedByServer(Deployment, desired, live, owner))).toEqual([
            'get deployments',
          ]);
          expect(restarted.wouldWrite(Deployment, desired, live, owner)).toBe(false);
          expect(await requests(() => restarted.apply(Deployment, desired, live, owner))).toEqual([]);
        }
        const unprepared = newApplier();
        expect(await requests(() => unprepared.apply(Deployment, desired, live, owner))).toEqual(['get deployments']);
        const { generation, resourceVersion } = (await client.get(Deployment, nameOf(desired))).metadata;
        expect([generation, resourceVersion]).toEqual([before.metadata.generation, before.metadata.resourceVersion]);
      });

      it.each([
        ['changed another field', { replicas: 0 }],
        ['removed a field', { template: { spec: { containers: [{ name: 'main', env: null }] } } }],
      ])('does not hide drift from a process that starts: another client %s', async (_, spec) => {
        const { desired, newApplier, owner } = await mirrored();
        await edit(Deployment, desired, { spec });
        const live = await cached<Deployment>(Deployment, desired);
        const restarted = newApplier();
        expect(await restarted.changedByServer(Deployment, desired, live, owner)).toBe(false);
        expect((await restarted.apply(Deployment, desired, live, owner)).action).toBe('updated');
      });

      it('says which fields of an update the policy did not change again', async () => {
        const { desired, newApplier, owner } = await mirrored();
        desired.metadata.labels = { ...desired.metadata.labels, release: 'two' };
        const [applier, live] = [newApplier(), await cached<Deployment>(Deployment, desired)];
        await applier.apply(Deployment, manifests.smallDeployment(owner), live, owner);
        const { undone, object } = await applier.apply(Deployment, desired, live, owner);
        const again = operations.includes('UPDATE');
        expect(image(object)).toBe(again ? 'mirror.example.com/main:1' : 'example.com/main:1');
        expect(undone).toEqual(again ? undefined : ['spec.template.spec.containers[name=main].image']);
      });

      it('repairs an image that another client has set, unless the policy has undone it', async () => {
        const { desired, newApplier, owner } = await mirrored();
        const edited = await edit(Deployment, desired, {
          spec: { template: { spec: { containers: [{ name: 'main', image: 'evil:1' }] } } },
        });
        const isUndone = image(edited) !== 'evil:1';
        expect(isUndone).toBe(operations.includes('UPDATE'));
        const live = await cached<Deployment>(Deployment, desired);
        const { object } = await newApplier().apply(Deployment, desired, live, owner);
        expect(image(object)).toBe(isUndone ? 'mirror.example.com/main:1' : 'example.com/main:1');
        expect((await newApplier().apply(Deployment, desired, await cached(Deployment, desired), owner)).action).toBe(
          'unchanged',
        );
      });
    },
  );
});

describe('deleting a child', () => {
  it('deletes that object, and never a new one of its name', async () => {
    const { applier, owner } = await world();
    const desired = manifests.childConfigMap(owner);
    const { object: first } = await applier.apply(ConfigMap, desired, undefined, owner);
    expect(await applier.delete(ConfigMap, first, owner)).toBe(true);
    const { object: second } = await applier.apply(ConfigMap, desired, undefined, owner);
    expect(await applier.delete(ConfigMap, first, owner)).toBe(false);
    expect((await client.get(ConfigMap, nameOf(desired))).metadata.uid).toBe(second.metadata.uid);
  });
});
