import { describe, expect, it } from '@jest/globals';
import type { Deployment, Pod, ReplicaSet, Secret } from '../../../src/kube/types/builtins.ts';
import type { KubeObject, ObjectMeta } from '../../../src/kube/types/types.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { tokenSecret } from '../../../src/tenant/builders/tokensecret.ts';
import { HASH_ANNOTATION } from '../../../src/tenant/decisions/adoption.ts';
import type { ServerWorld, World } from '../../../src/tenant/model.ts';
import { decide, type Plan } from '../../../src/tenant/plan.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import {
  emptyWorld,
  healthyServer,
  OPERATOR,
  runningServer,
  sampleTenant,
  serverPod,
  TOKEN,
  UNLIMITED,
} from '../../support/tenants.ts';

const GITHUB = { model: { github: { tokenSecretRef: { name: 'model', key: 'token' } } } };

function planned(world: World): Plan {
  const observed = new Map(
    Array.from({ length: world.tenant.spec.replicas }, (_, index) => [index, healthyServer(index)] as const),
  );
  return decide({
    world,
    facts: OPERATOR,
    observed,
    volumes: new Map(),
    wouldWrite: (desired, live) => differences(desired, live).length > 0,
    wasApplied: () => false,
    budget: UNLIMITED,
    now: Date.parse('2026-01-02T03:04:05Z'),
    randomBytes: (size) => Buffer.alloc(size, 7),
  });
}

/** As --cascade=orphan and a restore leave it. */
function orphan<T extends KubeObject>(child: T): T {
  const { ownerReferences: _, ...metadata } = child.metadata;
  return { ...child, metadata: { ...metadata, annotations: { ...metadata.annotations, [HASH_ANNOTATION]: 'h' } } };
}

/** The tenant applied again, with the servers of the first one, running and without an owner. */
function again(spec: CopilotTenantSpecInput = {}, metadata: Partial<ObjectMeta> = {}, before = sampleTenant()): World {
  const servers = new Map(
    planned(emptyWorld(before)).servers.map(({ index, deployment, claim }) => {
      const live = runningServer(before, index, { deployment, claim });
      return [index, { ...live, deployment: live.deployment && orphan(live.deployment) }] as const;
    }),
  );
  const tenant = sampleTenant(spec, { uid: 'uid-of-the-next', ...metadata });
  return emptyWorld(tenant, { servers, tokenSecret: orphan(tokenSecret(before, TOKEN)) });
}

const withServer = (world: World, change: Partial<ServerWorld>): World => {
  const server = world.servers.get(0) ?? { index: 0, pods: [] };
  return { ...world, servers: new Map(world.servers).set(0, { ...server, ...change }) };
};
const templateOf = (deployment: Deployment | undefined) => deployment?.spec?.template;
const foreign = (plan: Plan) => plan.causes.map(({ reason }) => reason);

describe('a tenant that is applied again after it was deleted with --cascade=orphan', () => {
  const world = again();
  const plan = planned(world);

  it('keeps the token that its servers run with', () => {
    expect([plan.token, plan.causes]).toEqual([TOKEN, []]);
  });

  it('takes over the Deployment with the same template: no pod is replaced, and no rollout is reported', () => {
    const [server] = plan.servers;
    expect(templateOf(server?.deployment)).toEqual(templateOf(world.servers.get(0)?.deployment));
    expect(server?.deployment?.metadata.ownerReferences?.map(({ uid }) => uid)).toEqual(['uid-of-the-next']);
    expect([server?.replaces, plan.rolling]).toEqual([false, false]);
  });

  it('replaces its servers one at a time if its spec is another now', () => {
    const before = sampleTenant({ replicas: 2 });
    const next = planned(again({ replicas: 2, server: { idleUnload: '1h' } }, {}, before));
    expect(next.servers.map(({ deployment }) => deployment !== undefined)).toEqual([true, false]);
    expect(next.rolling).toBe(true);
  });
});

describe('the token of a Secret without an owner', () => {
  const copied = (value: string, change: Partial<Secret> = {}) => ({
    ...again(),
    tokenSecret: { ...orphan(tokenSecret(sampleTenant(), value)), ...change },
  });

  it.each<[string, World]>([
    ['no server runs with it: it may be a copy from elsewhere', copied('A'.repeat(43))],
    ['it is malformed', copied('short')],
    ['the Secret is of another type', copied(TOKEN, { type: 'kubernetes.io/tls' })],
    ['there is no server yet', { ...again(), servers: new Map() }],
    [
      'the Deployment that has its hash is not of this operator',
      withServer(again(), { deployment: unmarked(again()) }),
    ],
  ])('is not used when %s', (_, world) => {
    const plan = planned(world);
    expect(plan.token).toBeUndefined();
    expect(foreign(plan)).toEqual(['ForeignObject']);
    expect(plan.servers.every(({ deployment }) => deployment === undefined)).toBe(true);
  });

  it('waits for the credential of the model, without which it cannot be verified', () => {
    const plan = planned({ ...again(GITHUB), modelSecret: 'NotFound' });
    expect([plan.token, foreign(plan)]).toEqual([undefined, ['ModelNotConfigured']]);
  });

  it('is verified by an orphaned ReplicaSet too, before the Deployment is restored', () => {
    const [pods, replicaSets] = [[podOf(again().tenant)], [replicaSetOf(again())]];
    expect(planned(withServer(again(), { deployment: undefined, pods, replicaSets })).token).toBe(TOKEN);
  });
});

describe('a server whose Deployment was deleted with --cascade=orphan', () => {
  const tenant = sampleTenant();
  const before = withServer(
    emptyWorld(tenant),
    runningServer(tenant, 0, planned(emptyWorld(tenant)).servers[0] as never),
  );
  const left = withServer(before, {
    deployment: undefined,
    pods: [podOf(tenant)],
    replicaSets: [replicaSetOf(before)],
  });

  it('gets a Deployment with the template of the ReplicaSet, which then keeps its pod', () => {
    const [server] = planned(left).servers;
    expect(templateOf(server?.deployment)).toEqual(templateOf(before.servers.get(0)?.deployment));
    expect([server?.deployment?.spec?.replicas, server?.wait]).toEqual([1, undefined]);
  });

  it('keeps its default image, although the operator has another one now', () => {
    const [replicaSet] = left.servers.get(0)?.replicaSets ?? [];
    const older = orphanTemplate(replicaSet as ReplicaSet, 'example.com/copilot-cli:older');
    const [server] = planned(withServer(left, { replicaSets: [older] })).servers;
    expect(templateOf(server?.deployment)?.spec?.containers[0]?.image).toBe('example.com/copilot-cli:older');
  });

  it('waits while the ReplicaSet still names the deleted Deployment', () => {
    const [replicaSet] = left.servers.get(0)?.replicaSets ?? [];
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'acme-0', uid: 'd', controller: true };
    const owned = { ...replicaSet, metadata: { ...replicaSet?.metadata, ownerReferences: [owner] } } as ReplicaSet;
    const [server] = planned(withServer(left, { replicaSets: [owned] })).servers;
    expect(server?.deployment).toBeUndefined();
    expect(server?.wait?.message).toContain('until its previous pod acme-0-pod has stopped');
  });

  it('is Stalled if its pod has no controller: nothing stops it', () => {
    const plan = planned(withServer(left, { pods: [serverPod(tenant, 0)], replicaSets: [] }));
    expect(foreign(plan)).toEqual(['ForeignObject']);
    expect(plan.servers[0]?.deployment).toBeUndefined();
  });

  it('is stopped if the tenant is suspended: the new Deployment scales the ReplicaSet to zero', () => {
    const suspended = { ...left, tenant: sampleTenant({ suspend: true }) };
    expect(planned(suspended).servers[0]?.deployment?.spec?.replicas).toBe(0);
  });
});

function unmarked(world: World): Deployment {
  const deployment = world.servers.get(0)?.deployment as Deployment;
  return { ...deployment, metadata: { ...deployment.metadata, annotations: {} } };
}

function podOf(tenant: CopilotTenant): Pod {
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: 'acme-0-5d8f7',
    uid: 'uid-of-set',
    controller: true,
  };
  return serverPod(tenant, 0, { ownerReferences: [owner] });
}

/** As the Deployment controller makes it, and as it is without its Deployment. */
function replicaSetOf(world: World): ReplicaSet {
  const { deployment } = world.servers.get(0) ?? {};
  if (deployment === undefined) throw new Error('there is no Deployment');
  const { metadata, spec } = deployment;
  const hash = { 'pod-template-hash': '5d8f7' };
  const labels = { ...spec?.template.metadata?.labels, ...hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'acme-0-5d8f7', uid: 'uid-of-set', labels, annotations: { ...metadata.annotations } },
    spec: {
      replicas: 1,
      selector: {},
      template: { ...spec?.template, metadata: { ...spec?.template.metadata, labels } },
    },
  };
}

function orphanTemplate(replicaSet: ReplicaSet, image: string): ReplicaSet {
  const annotations = { ...replicaSet.metadata.annotations, 'copilot-operator.dev/server-image': image };
  return { ...replicaSet, metadata: { ...replicaSet.metadata, annotations } };
}
