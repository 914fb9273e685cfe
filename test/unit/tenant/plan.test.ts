import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import type { Deployment, Pod } from '../../../src/kube/types/builtins.ts';
import { differences } from '../../../src/kube/write/diff.ts';
import type { ObjectMeta } from '../../../src/kube/types/types.ts';
import { cleanupLabels, cleanupPod } from '../../../src/resources/cleanup-pod.ts';
import { slimPod } from '../../../src/tenant/transforms.ts';
import { bindingSecret } from '../../../src/tenant/builders/bindingsecret.ts';
import { tokenSecret } from '../../../src/tenant/builders/tokensecret.ts';
import { plan, type Plan, type PlanInput } from '../../../src/tenant/plan.ts';
import type { ServerPlan } from '../../../src/tenant/server-plan.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import {
  emptyWorld,
  healthyServer,
  modelSecret,
  OPERATOR,
  runningServer,
  sampleTenant,
  serverPod,
  silentServer,
  TOKEN,
} from '../../support/tenants.ts';
import { unhealthy } from './fixtures.ts';
import { TemplateAnnotation } from '../../../src/tenant/deployments.ts';
import type { ServerObservation, ServerWorld, World } from '../../../src/tenant/model.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const GITHUB = { model: { github: { tokenSecretRef: { name: 'model', key: 'token' } } } };
const PROVIDER = {
  model: {
    provider: {
      baseUrl: 'https://models.example.com/v1',
      model: 'large',
      apiKeySecretRef: { name: 'model', key: 'token' },
    },
  },
};

interface Given extends Partial<Omit<PlanInput, 'world' | 'observed'>> {
  /** What is seen of servers that are not up and healthy. */
  readonly seen?: readonly ServerObservation[];
}

function planned(world: World, { seen = [], ...input }: Given = {}): Plan {
  const observed = new Map(
    Array.from({ length: world.tenant.spec.replicas }, (_, index) => [index, healthyServer(index)] as const),
  );
  for (const observation of seen) observed.set(observation.index, observation);
  return plan({
    world,
    facts: OPERATOR,
    observed,
    volumes: new Map(),
    wouldWrite: (desired, live) => differences(desired, live).length > 0,
    now: NOW,
    randomBytes: (size) => Buffer.alloc(size, 7),
    ...input,
  });
}

/** The tenant with the servers that were planned for it, all of them up. */
function running(tenant: CopilotTenant, found: Partial<World> = {}, from: Plan = planned(emptyWorld(tenant, found))) {
  const servers = new Map(
    from.servers.map(({ index, deployment, claim }) => [index, runningServer(tenant, index, { deployment, claim })]),
  );
  return emptyWorld(tenant, { servers, ...found });
}

/** The same cluster after somebody has changed the tenant. */
function changed(world: World, spec: CopilotTenantSpecInput, metadata: Partial<ObjectMeta> = {}): World {
  return { ...world, tenant: sampleTenant(spec, metadata, world.tenant.status) };
}

/** The same cluster with another state of one server. */
function withServer(world: World, index: number, change: Partial<ServerWorld>): World {
  const server = world.servers.get(index) ?? { index, pods: [] };
  return { ...world, servers: new Map(world.servers).set(index, { ...server, ...change }) };
}

const writes = ({ servers }: Plan): number[] => servers.flatMap(({ index, deployment }) => (deployment ? [index] : []));
const imageIn = (server: ServerPlan | undefined) =>
  server?.deployment?.spec?.template.spec?.containers.map(({ image }) => image)[0];
const annotationsIn = (server: ServerPlan | undefined) => server?.deployment?.spec?.template.metadata?.annotations;
const hashIn = ({ servers }: Plan) => annotationsIn(servers[0])?.[TemplateAnnotation.credentials];
const recorded = (volumeUID: string) => ({
  servers: [{ name: 'acme-0', state: 'Healthy' as const, restarts: 0, volumeUID }],
});

describe('a new tenant', () => {
  const { servers, rolling, surplus } = planned(emptyWorld(sampleTenant({ replicas: 3 })));

  it('gets all its servers at once, each with a volume', () => {
    expect(
      servers.map(({ name, claim, deployment }) => [name, claim?.metadata.name, deployment?.spec?.replicas]),
    ).toEqual([
      ['acme-0', 'acme-0', 1],
      ['acme-1', 'acme-1', 1],
      ['acme-2', 'acme-2', 1],
    ]);
  });

  it('has nothing to replace and nothing to remove', () => {
    expect({ rolling, surplus }).toEqual({ rolling: false, surplus: [] });
  });
});

describe('a tenant that runs as it is wanted', () => {
  const world = running(sampleTenant({ replicas: 3 }));
  const { servers, causes, waits } = planned(world);

  it('is not changed: what would be applied is what is there', () => {
    const changes = servers.flatMap(({ deployment, claim, live }) => [
      ...(deployment && live.deployment ? differences(deployment, live.deployment) : ['no Deployment']),
      ...(claim && live.claim ? differences(claim, live.claim) : ['no claim']),
    ]);
    expect(changes).toEqual([]);
  });

  it('has nothing to tell', () => {
    expect([...causes, ...waits]).toEqual([]);
  });
});

describe('a change that replaces servers', () => {
  const world = running(sampleTenant({ replicas: 3 }));
  const next = { replicas: 3, server: { image: 'example.com/copilot-cli:2' } };
  const target = changed(world, next);
  const first = planned(target).servers[0];
  const begun = withServer(
    target,
    0,
    runningServer(target.tenant, 0, { deployment: first?.deployment, claim: first?.claim }),
  );

  it('takes one server first, the lowest', () => {
    expect(writes(planned(target))).toEqual([0]);
  });

  it('is told to be under way', () => {
    expect(planned(target).rolling).toBe(true);
  });

  it('waits while the first is not available', () => {
    const starting = healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } });
    expect(writes(planned(begun, { seen: [starting] }))).toEqual([0]);
  });

  it('goes on with the next once the first is available', () => {
    expect(
      planned(begun)
        .servers.filter(({ replaces, deployment }) => replaces && deployment)
        .map(({ index }) => index),
    ).toEqual([1]);
  });

  it('mends a server that is down before it touches one that serves', () => {
    const down = healthyServer(2, { state: 'Failed', ready: false, podReady: false });
    expect(writes(planned(target, { seen: [down] }))).toEqual([2]);
  });
});

describe('a rotated connection token', () => {
  const tenant = sampleTenant({ replicas: 3 });
  const rotated: World = {
    ...running(tenant),
    tokenSecret: tokenSecret(tenant, Buffer.alloc(32, 'other').toString('base64url')),
  };
  const refuses = (index: number) => silentServer(index, { health: unhealthy('AuthFailed') });
  const taken = (world: World, seen: readonly ServerObservation[]) =>
    planned(world, { seen })
      .servers.filter(({ replaces, deployment }) => replaces && deployment)
      .map(({ index }) => index);
  const first = planned(rotated).servers[0];
  const begun = withServer(
    rotated,
    0,
    runningServer(tenant, 0, { deployment: first?.deployment, claim: first?.claim }),
  );

  it('reaches one server at a time, also when they refuse it already', () => {
    expect(taken(rotated, [0, 1, 2].map(refuses))).toEqual([0]);
    expect(taken(begun, [1, 2].map(refuses))).toEqual([1]);
  });

  it('reaches no second one while the first is on its way back', () => {
    const starting = healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } });
    expect(taken(begun, [starting, ...[1, 2].map(refuses)])).toEqual([]);
  });

  it('reaches one that is really down at once', () => {
    expect(taken(rotated, [silentServer(2), refuses(0), refuses(1)])).toEqual([2]);
  });
});

describe('the default image', () => {
  const world = running(sampleTenant());
  const upgraded = { facts: { ...OPERATOR, serverImage: 'example.com/copilot-cli:2' } };

  it('of a new operator version leaves a running server as it is', () => {
    expect(imageIn(planned(world, upgraded).servers[0])).toBe('example.com/copilot-cli:1');
  });

  it('of a new operator version leaves a suspended server as it is', () => {
    expect(imageIn(planned(changed(world, { suspend: true }), upgraded).servers[0])).toBe('example.com/copilot-cli:1');
  });

  it('is taken up when the tenant is resumed', () => {
    const { deployment } = planned(changed(world, { suspend: true })).servers[0] ?? {};
    const suspended = withServer(world, 0, {
      deployment: deployment && { ...deployment, status: { replicas: 0 } },
      pods: [],
    });
    expect(imageIn(planned(suspended, upgraded).servers[0])).toBe('example.com/copilot-cli:2');
  });

  it('does not count where the spec names an image', () => {
    const named = changed(world, { server: { image: 'example.com/own:3' } });
    expect(imageIn(planned(named, upgraded).servers[0])).toBe('example.com/own:3');
  });
});

describe('a change of a server whose last change is still under way', () => {
  const world = running(sampleTenant());
  const changing = changed(world, { server: { image: 'example.com/own:3' } });
  const { deployment: live, pods = [] } = world.servers.get(0) ?? {};
  const generation = (live?.metadata.generation ?? 1) + 1;
  const planWith = (status: NonNullable<Deployment['status']>, its = pods) =>
    planned(
      withServer(changing, 0, {
        deployment: live && { ...live, metadata: { ...live.metadata, generation }, status },
        pods: its,
      }),
    ).servers[0];
  const stopping = pods.map((pod) => ({
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
  }));

  it('waits until the Deployment controller has taken that one up', () => {
    const server = planWith({ observedGeneration: generation - 1, replicas: 1, updatedReplicas: 1 });
    expect([server?.deployment, server?.wait?.reason]).toEqual([undefined, 'ServersUpdating']);
  });

  it('stops it first while a pod of it stops, so that no pod starts beside that one', () => {
    const server = planWith({ observedGeneration: generation, replicas: 0, updatedReplicas: 0 }, stopping);
    expect(server?.deployment?.spec?.replicas).toBe(0);
  });

  it('is made at once when nothing of it is left', () => {
    const server = planWith({ observedGeneration: generation, replicas: 0, updatedReplicas: 0 }, []);
    expect(server?.deployment?.spec?.replicas).toBe(1);
  });

  it('is made at once when its pod is there and does not start: that one stops before the next is made', () => {
    const server = planWith({ observedGeneration: generation, replicas: 1, updatedReplicas: 1 });
    expect(server?.deployment?.spec?.replicas).toBe(1);
  });
});

describe('a suspended tenant', () => {
  const world = changed(running(sampleTenant({ replicas: 2 })), { replicas: 2, suspend: true });

  it('has all its servers stopped at once', () => {
    expect(planned(world).servers.map(({ deployment }) => deployment?.spec?.replicas)).toEqual([0, 0]);
  });

  it('keeps its volumes', () => {
    expect(planned(world).servers.map(({ claim }) => claim?.metadata.name)).toEqual(['acme-0', 'acme-1']);
  });

  it('has its template left alone, so that stopping is all that happens', () => {
    const [server] = planned(world).servers;
    expect(server?.deployment?.spec?.template).toEqual(server?.live.deployment?.spec?.template);
  });

  it('is stopped even while its credentials cannot be read', () => {
    const blind: World = { ...world, tokenSecret: 'Forbidden' };
    expect(planned(blind).servers.map(({ deployment }) => deployment?.spec?.replicas)).toEqual([0, 0]);
  });

  it('starts no server while its former pod still writes to the volume', () => {
    const { deployment } = planned(world).servers[0] ?? {};
    const pods = [serverPod(world.tenant, 0, { deletionTimestamp: '2026-01-02T03:04:00Z' })];
    const resumed = changed(withServer(world, 0, { deployment, pods }), {});
    const [server] = planned(resumed).servers;
    expect(server).toMatchObject({ wait: { reason: 'ServersStarting' } });
    expect(server?.deployment).toBeUndefined();
  });
});

describe('a server that starts while a cleanup works', () => {
  const tenant = sampleTenant({ replicas: 2 });
  /** The pod of a run, as the cache has it. */
  const cleaning = (places: { servers: number[]; volumes: number[] }, phase = 'Running'): Pod => {
    const metadata = { name: 'acme-cleanup-1-x', namespace: 'team', labels: cleanupLabels('acme') };
    const spec = cleanupPod(tenant, { image: 'i', args: ['--ttl=720h'], ...places });
    return slimPod({ apiVersion: 'v1', kind: 'Pod', metadata, spec, status: { phase } });
  };
  const withRun = (world: World, run: Pod): World => ({ ...world, cleanup: { ...world.cleanup, pods: [run] } });

  it.each(['Pending', 'Running'])('on its volume waits for that pod, which is %s', (phase) => {
    const found = planned(withRun(emptyWorld(tenant), cleaning({ servers: [], volumes: [0] }, phase)));
    expect(writes(found)).toEqual([1]);
    expect(found.waits.map(({ reason, message }) => [reason, message])).toEqual([
      [
        'ServersStarting',
        'Server acme-0 waits until pod acme-cleanup-1-x has finished cleaning up its volume: only one pod may write to its volume.',
      ],
    ]);
  });

  it('waits for no pod that has ended, and none that asks the server itself', () => {
    for (const run of [
      cleaning({ servers: [], volumes: [0, 1] }, 'Succeeded'),
      cleaning({ servers: [0], volumes: [0] }),
      cleaning({ servers: [0, 1], volumes: [] }),
    ]) {
      expect(writes(planned(withRun(emptyWorld(tenant), run)))).toEqual([0, 1]);
    }
  });

  it('and has run before is changed and restarted at once', () => {
    const world = withRun(running(tenant), cleaning({ servers: [], volumes: [0, 1] }));
    expect(planned(changed(world, { replicas: 2, server: { image: 'example.com/copilot-cli:2' } })).waits).toEqual([]);
    const { servers } = planned(world, { seen: [silentServer(0)] });
    expect(servers[0]?.wait).toBeUndefined();
    expect(servers[0]?.restart).toBeDefined();
  });
});

describe('servers beyond spec.replicas', () => {
  it('go, the highest index first', () => {
    const world = changed(running(sampleTenant({ replicas: 12 })), { replicas: 1 });
    expect(planned(world).surplus.map(({ index }) => index)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('all go when no server is wanted', () => {
    const world = changed(running(sampleTenant({ replicas: 2 })), { replicas: 0 });
    expect(planned(world).surplus.map(({ index }) => index)).toEqual([1, 0]);
  });
});

describe('a volume that is lost', () => {
  const tenant = sampleTenant({}, {}, recorded('uid-of-claim-0'));
  const lost = withServer({ ...running(sampleTenant()), tenant }, 0, {
    claim: undefined,
    deployment: undefined,
    pods: [],
  });

  it('is told', () => {
    expect(planned(lost).causes).toMatchObject([{ reason: 'DataLost' }]);
  });

  it('is not replaced by an empty one, and its server is not started without it', () => {
    const [server] = planned(lost).servers;
    expect({ claim: server?.claim, deployment: server?.deployment }).toEqual({});
  });

  it('leaves the other servers of the tenant as they are', () => {
    const two = sampleTenant({ replicas: 2 }, {}, recorded('uid-of-claim-0'));
    const world = withServer({ ...running(sampleTenant({ replicas: 2 })), tenant: two }, 0, { claim: undefined });
    expect(writes(planned(world))).toEqual([1]);
  });

  it('is replaced once somebody has accepted the loss', () => {
    const accepted = changed(lost, {}, { annotations: { 'copilot-operator.dev/accept-data-loss': 'uid-of-claim-0' } });
    const [server] = planned(accepted).servers;
    expect([server?.claim?.metadata.name, server?.deployment?.spec?.replicas]).toEqual(['acme-0', 1]);
  });
});

describe('a model credential that cannot be used', () => {
  const world = running(sampleTenant({ ...GITHUB, replicas: 2 }), {
    modelSecret: modelSecret('token', 'github-token'),
  });
  const missing: World = { ...world, modelSecret: 'NotFound' };

  it('is told', () => {
    expect(planned(missing).causes).toMatchObject([{ reason: 'ModelNotConfigured' }]);
  });

  it('leaves running servers as they are', () => {
    expect(writes(planned(missing))).toEqual([]);
  });

  it('starts no server', () => {
    expect(writes(planned({ ...missing, servers: new Map() }))).toEqual([]);
  });

  it('holds no volume back', () => {
    expect(planned({ ...missing, servers: new Map() }).servers.map(({ claim }) => claim?.metadata.name)).toEqual([
      'acme-0',
      'acme-1',
    ]);
  });
});

describe('the connection token', () => {
  const tenant = sampleTenant();

  it('is made of 256 random bits', () => {
    const { token } = planned(emptyWorld(tenant, { tokenSecret: 'NotFound' }));
    expect(Buffer.from(token ?? '', 'base64url')).toEqual(Buffer.alloc(32, 7));
  });

  it('is the one of its Secret once that is there', () => {
    expect(planned(emptyWorld(tenant)).token).toBe(TOKEN);
  });

  it('is taken from the binding Secret when its own was deleted, so that no client is locked out', () => {
    const found: Partial<World> = { tokenSecret: 'NotFound', bindingSecret: bindingSecret(tenant, { token: TOKEN }) };
    expect(planned(emptyWorld(tenant, found)).token).toBe(TOKEN);
  });

  it("is never taken from somebody else's binding Secret", () => {
    const { ownerReferences: _, ...metadata } = bindingSecret(tenant, { token: TOKEN }).metadata;
    const foreign = { ...bindingSecret(tenant, { token: TOKEN }), metadata };
    expect(planned(emptyWorld(tenant, { tokenSecret: 'NotFound', bindingSecret: foreign })).token).not.toBe(TOKEN);
  });

  const { ownerReferences: _, ...unowned } = tokenSecret(tenant, TOKEN).metadata;
  const former = sampleTenant({}, { uid: 'uid-of-the-former-acme' });
  const unusable: [string, World['tokenSecret'], string][] = [
    ["somebody else's", { ...tokenSecret(tenant, TOKEN), metadata: unowned }, 'ForeignObject'],
    ['not to be read', 'Forbidden', 'Forbidden'],
    ["a deleted tenant's", tokenSecret(former, TOKEN), 'WaitingForDeletion'],
  ];

  it.each(unusable)('is told about when its Secret is %s', (_name, found, reason) => {
    const { causes, waits } = planned(emptyWorld(tenant, { tokenSecret: found }));
    expect([...causes, ...waits]).toMatchObject([{ reason }]);
  });

  it.each(unusable)('starts no server while its Secret is %s', (_name, found) => {
    expect(writes(planned(emptyWorld(tenant, { tokenSecret: found })))).toEqual([]);
  });
});

describe('what tells a pod that its credentials changed', () => {
  const tenant = sampleTenant(GITHUB);
  const hashOf = (value: string, token = TOKEN) =>
    hashIn(
      planned(
        emptyWorld(tenant, { modelSecret: modelSecret('token', value), tokenSecret: tokenSecret(tenant, token) }),
      ),
    );

  it('is the same as long as they are', () => {
    expect(hashOf('github-token')).toBe(hashOf('github-token'));
  });

  it('changes with the GitHub token, which replaces the server', () => {
    const world = running(tenant, { modelSecret: modelSecret('token', 'github-token') });
    const rotated = planned({ ...world, modelSecret: modelSecret('token', 'github-token-2') });
    expect(rotated.servers[0]).toMatchObject({ replaces: true });
    expect(hashIn(rotated)).not.toBe(hashOf('github-token'));
  });

  it('changes with the connection token', () => {
    expect(hashOf('github-token', Buffer.alloc(32, 'other').toString('base64url'))).not.toBe(hashOf('github-token'));
  });

  it('does not change with the key of a provider, which is not in the pod', () => {
    const own = sampleTenant(PROVIDER);
    const [one, other] = ['key-1', 'key-2'].map((key) =>
      hashIn(planned(emptyWorld(own, { modelSecret: modelSecret('token', key) }))),
    );
    expect(one).toBe(other);
  });

  it('cannot be compared with hashes of guessed tokens', () => {
    const guess = createHash('sha256').update('github-token').digest('hex');
    expect(guess).not.toContain(hashOf('github-token'));
  });

  it('reveals neither credential, nor does anything else of the children that are planned', () => {
    const { servers } = planned(emptyWorld(tenant, { modelSecret: modelSecret('token', 'github-token-value') }));
    const written = JSON.stringify(servers);
    const secrets = ['github-token-value', TOKEN].flatMap((secret) => [
      secret,
      Buffer.from(secret).toString('base64'),
      Buffer.from(secret).toString('hex'),
    ]);
    expect(secrets.filter((secret) => written.includes(secret))).toEqual([]);
  });
});

describe('a server that does not answer', () => {
  const tenant = sampleTenant({ replicas: 2 });
  const world = running(tenant);
  const both = [silentServer(0), silentServer(1)];
  const restarted = planned(world, { seen: [silentServer(0)] });
  const again = running(tenant, {}, restarted);

  it('is restarted by a change of its pod template', () => {
    expect(annotationsIn(restarted.servers[0])).toMatchObject({
      [TemplateAnnotation.restartedAt]: '2026-01-02T03:04:05Z',
      [TemplateAnnotation.restartAttempt]: '1',
    });
  });

  it('says why', () => {
    expect(restarted.servers[0]?.restart).toEqual({ reason: 'Timeout', message: 'No answer within 5 s' });
  });

  it('does not restart the others', () => {
    expect(restarted.servers[1]?.restart).toBeUndefined();
  });

  it('is restarted beside another that does not answer: both are down', () => {
    expect(planned(world, { seen: both }).servers.map(({ restart }) => restart?.reason)).toEqual([
      'Timeout',
      'Timeout',
    ]);
  });

  it('keeps the mark of its restart, or the next look would restart it once more', () => {
    expect(annotationsIn(planned(again).servers[0])).toEqual(annotationsIn(restarted.servers[0]));
  });

  it('is not restarted again at once, but looked at when its wait is over', () => {
    const soon = planned(again, { seen: [silentServer(0)], now: NOW + 10_000 });
    expect(soon.servers[0]?.restart).toBeUndefined();
    expect(soon.recheckAfterMs).toBe(50_000);
  });

  it('is restarted again when its wait is over, with the count of the row', () => {
    const later = planned(again, { seen: [silentServer(0)], now: NOW + 60_000 });
    expect(annotationsIn(later.servers[0])).toMatchObject({ [TemplateAnnotation.restartAttempt]: '2' });
  });

  it('is not restarted while it is being replaced anyway', () => {
    const { deployment } = world.servers.get(0) ?? {};
    const replacing = withServer(world, 0, {
      deployment: deployment && { ...deployment, status: { observedGeneration: 0 } },
    });
    expect(planned(replacing, { seen: [silentServer(0)] }).servers[0]?.restart).toBeUndefined();
  });

  it('is forgotten to have been restarted once the tenant was suspended and resumed', () => {
    const { deployment } = planned(changed(again, { replicas: 2, suspend: true })).servers[0] ?? {};
    const resumed = planned(
      withServer(again, 0, { deployment: deployment && { ...deployment, status: { replicas: 0 } }, pods: [] }),
    );
    expect(annotationsIn(resumed.servers[0])).not.toHaveProperty([TemplateAnnotation.restartedAt]);
  });
});

describe('children of a deleted tenant of the same name', () => {
  it('are waited for, and nothing is put in their place', () => {
    const former = running(sampleTenant({ storage: { reclaimPolicy: 'Delete' } }, { uid: 'uid-of-the-former-acme' }));
    const { servers, waits } = planned(emptyWorld(sampleTenant(), { servers: former.servers }));
    expect(waits).toMatchObject([{ reason: 'WaitingForDeletion' }]);
    expect([servers[0]?.claim, servers[0]?.deployment]).toEqual([undefined, undefined]);
  });
});
