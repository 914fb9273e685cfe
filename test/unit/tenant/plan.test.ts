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
import { decide, type Plan, type PlanInput } from '../../../src/tenant/plan.ts';
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
  SHARED_STORAGE,
  silentServer,
  TOKEN,
  UNLIMITED,
} from '../../support/tenants.ts';
import { persistentVolumeClaim } from '../../../src/tenant/builders/persistentvolumeclaim.ts';
import { unhealthy } from './fixtures.ts';
import { TemplateAnnotation } from '../../../src/tenant/deployments.ts';
import type { ServerObservation, ServerWorld, SharedWorld, World } from '../../../src/tenant/model.ts';

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
  /** Observations of servers that are not healthy. */
  readonly seen?: readonly ServerObservation[];
}

function planned(world: World, { seen = [], ...input }: Given = {}): Plan {
  const observed = new Map(
    Array.from({ length: world.tenant.spec.replicas }, (_, index) => [index, healthyServer(index)] as const),
  );
  for (const observation of seen) observed.set(observation.index, observation);
  return decide({
    world,
    facts: OPERATOR,
    observed,
    volumes: new Map(),
    wouldWrite: (desired, live) => differences(desired, live).length > 0,
    wasApplied: () => false,
    budget: UNLIMITED,
    now: NOW,
    randomBytes: (size) => Buffer.alloc(size, 7),
    ...input,
  });
}

/** The tenant with all planned servers running. */
function running(tenant: CopilotTenant, found: Partial<World> = {}, from: Plan = planned(emptyWorld(tenant, found))) {
  const servers = new Map(
    from.servers.map(({ index, deployment, claim }) => [index, runningServer(tenant, index, { deployment, claim })]),
  );
  return emptyWorld(tenant, { servers, ...found });
}

/** The same cluster after a change of the tenant. */
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

  it('has nothing to replace and nothing to delete', () => {
    expect({ rolling, surplus }).toEqual({ rolling: false, surplus: [] });
  });
});

describe('a tenant that matches its spec', () => {
  const world = running(sampleTenant({ replicas: 3 }));
  const { servers, causes, waits } = planned(world);

  it('is not changed: the desired children are the live ones', () => {
    const changes = servers.flatMap(({ deployment, claim, live }) => [
      ...(deployment && live.deployment ? differences(deployment, live.deployment) : ['no Deployment']),
      ...(claim && live.claim ? differences(claim, live.claim) : ['no claim']),
    ]);
    expect(changes).toEqual([]);
  });

  it('has no cause and no wait', () => {
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

  it('starts with the server of the lowest index', () => {
    expect(writes(planned(target))).toEqual([0]);
  });

  it('is reported as a rollout', () => {
    expect(planned(target).rolling).toBe(true);
  });

  it('waits while the first is not available', () => {
    const starting = healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } });
    expect(writes(planned(begun, { seen: [starting] }))).toEqual([0]);
  });

  it('continues with the next once the first is available', () => {
    expect(
      planned(begun)
        .servers.filter(({ replaces, deployment }) => replaces && deployment)
        .map(({ index }) => index),
    ).toEqual([1]);
  });

  it('replaces a server that is down before one that serves', () => {
    const down = healthyServer(2, { state: 'Failed', ready: false, portOpen: false });
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

  it('reaches one server at a time, although all servers reject it already', () => {
    expect(taken(rotated, [0, 1, 2].map(refuses))).toEqual([0]);
    expect(taken(begun, [1, 2].map(refuses))).toEqual([1]);
  });

  it('does not reach a second server while the first is starting', () => {
    const starting = healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } });
    expect(taken(begun, [starting, ...[1, 2].map(refuses)])).toEqual([]);
  });

  it('reaches a server that is really down at once', () => {
    expect(taken(rotated, [silentServer(2), refuses(0), refuses(1)])).toEqual([2]);
  });
});

describe('the default image', () => {
  const world = running(sampleTenant());
  const upgraded = { facts: { ...OPERATOR, serverImage: 'example.com/copilot-cli:2' } };

  it('of a new operator version leaves a running server as it is until the roll-out reaches it', () => {
    const refused = { allowed: false, reason: 'Waiting', message: 'It waits.' } as const;
    const budget = { ...UNLIMITED, rollOut: () => refused };
    expect(imageIn(planned(world, { ...upgraded, budget }).servers[0])).toBe('example.com/copilot-cli:1');
    expect(imageIn(planned(world, upgraded).servers[0])).toBe('example.com/copilot-cli:2');
  });

  it('of a new operator version leaves a suspended server as it is', () => {
    expect(imageIn(planned(changed(world, { suspend: true }), upgraded).servers[0])).toBe('example.com/copilot-cli:1');
  });

  it('is used when the tenant is resumed', () => {
    const { deployment } = planned(changed(world, { suspend: true })).servers[0] ?? {};
    const suspended = withServer(world, 0, {
      deployment: deployment && { ...deployment, status: { replicas: 0 } },
      pods: [],
    });
    expect(imageIn(planned(suspended, upgraded).servers[0])).toBe('example.com/copilot-cli:2');
  });

  it('is not used where the spec has an image', () => {
    const named = changed(world, { server: { image: 'example.com/own:3' } });
    expect(imageIn(planned(named, upgraded).servers[0])).toBe('example.com/own:3');
  });
});

describe('a change of a server whose last rollout is incomplete', () => {
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

  it('waits until the Deployment controller has observed the last change', () => {
    const server = planWith({ observedGeneration: generation - 1, replicas: 1, updatedReplicas: 1 });
    expect([server?.deployment, server?.wait?.reason]).toEqual([undefined, 'ServersUpdating']);
  });

  it('scales it to zero first while a pod is stopping, so that no second pod starts beside it', () => {
    const server = planWith({ observedGeneration: generation, replicas: 0, updatedReplicas: 0 }, stopping);
    expect(server?.deployment?.spec?.replicas).toBe(0);
  });

  it('is applied at once when no pod is left', () => {
    const server = planWith({ observedGeneration: generation, replicas: 0, updatedReplicas: 0 }, []);
    expect(server?.deployment?.spec?.replicas).toBe(1);
  });

  it('is applied at once when its pod does not start, because that one stops before the next is created', () => {
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

  it('keeps its template, so that the servers are only stopped', () => {
    const [server] = planned(world).servers;
    expect(server?.deployment?.spec?.template).toEqual(server?.live.deployment?.spec?.template);
  });

  it('is stopped even while its credentials cannot be read', () => {
    const blind: World = { ...world, tokenSecret: 'Forbidden' };
    expect(planned(blind).servers.map(({ deployment }) => deployment?.spec?.replicas)).toEqual([0, 0]);
  });

  it('starts no server while its previous pod still writes to the volume', () => {
    const { deployment } = planned(world).servers[0] ?? {};
    const pods = [serverPod(world.tenant, 0, { deletionTimestamp: '2026-01-02T03:04:00Z' })];
    const resumed = changed(withServer(world, 0, { deployment, pods }), {});
    const [server] = planned(resumed).servers;
    expect(server).toMatchObject({ wait: { reason: 'ServersStarting' } });
    expect(server?.deployment).toBeUndefined();
  });
});

describe('a server that starts during a cleanup', () => {
  const tenant = sampleTenant({ replicas: 2 });
  /** The pod of a run, as it is in the cache. */
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

  it('does not wait for a pod that has ended, nor for one that works through the server', () => {
    for (const run of [
      cleaning({ servers: [], volumes: [0, 1] }, 'Succeeded'),
      cleaning({ servers: [0], volumes: [0] }),
      cleaning({ servers: [0, 1], volumes: [] }),
    ]) {
      expect(writes(planned(withRun(emptyWorld(tenant), run)))).toEqual([0, 1]);
    }
  });

  it('and a Job whose pod is not created yet waits until that is deleted', () => {
    const spec = {
      template: { spec: cleanupPod(tenant, { image: 'i', args: ['--ttl=720h'], servers: [], volumes: [0] }) },
    };
    const ownerReferences = [
      { apiVersion: 'batch/v1', kind: 'CronJob', name: 'acme-cleanup', uid: 'u', controller: true },
    ];
    const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'acme-cleanup-1', ownerReferences }, spec };
    const world = emptyWorld(tenant);
    const found = planned({ ...world, cleanup: { ...world.cleanup, jobs: [job] } });
    expect(writes(found)).toEqual([1]);
    expect(found.servers.map(({ withdrawn }) => withdrawn?.map(({ metadata }) => metadata.name))).toEqual([
      ['acme-cleanup-1'],
      [],
    ]);
    expect(found.waits.map(({ message }) => message)).toEqual([
      'Server acme-0 waits until Job acme-cleanup-1, which deletes sessions on its volume, has ended or is deleted: only one pod may write to its volume.',
    ]);
  });

  it('and was running before is changed and restarted at once', () => {
    const world = withRun(running(tenant), cleaning({ servers: [], volumes: [0, 1] }));
    expect(planned(changed(world, { replicas: 2, server: { image: 'example.com/copilot-cli:2' } })).waits).toEqual([]);
    const { servers } = planned(world, { seen: [silentServer(0)] });
    expect(servers[0]?.wait).toBeUndefined();
    expect(servers[0]?.restart).toBeDefined();
  });
});

describe('servers beyond spec.replicas', () => {
  it('are deleted, the highest index first', () => {
    const world = changed(running(sampleTenant({ replicas: 12 })), { replicas: 1 });
    expect(planned(world).surplus.map(({ index }) => index)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('are all deleted when spec.replicas is 0', () => {
    const world = changed(running(sampleTenant({ replicas: 2 })), { replicas: 0 });
    expect(planned(world).surplus.map(({ index }) => index)).toEqual([1, 0]);
  });
});

describe('a lost volume', () => {
  const tenant = sampleTenant({}, {}, recorded('uid-of-claim-0'));
  const lost = withServer({ ...running(sampleTenant()), tenant }, 0, {
    claim: undefined,
    deployment: undefined,
    pods: [],
  });

  it('is reported', () => {
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

  it('is replaced once a user has accepted the loss', () => {
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

  it('is reported', () => {
    expect(planned(missing).causes).toMatchObject([{ reason: 'ModelNotConfigured' }]);
  });

  it('is reported when its Secret lacks the label that the operator requires', () => {
    const facts = { ...OPERATOR, requireSecretLabel: { key: 'tenants' } };
    const { causes, model } = planned(world, { facts });
    expect(model).toMatchObject({ ok: false, reason: 'SecretNotAllowed' });
    expect(causes).toMatchObject([{ reason: 'ModelNotConfigured' }]);
    expect(writes(planned(world, { facts }))).toEqual([]);
  });

  it('leaves running servers as they are', () => {
    expect(writes(planned(missing))).toEqual([]);
  });

  it('starts no server', () => {
    expect(writes(planned({ ...missing, servers: new Map() }))).toEqual([]);
  });

  it('does not delay volumes', () => {
    expect(planned({ ...missing, servers: new Map() }).servers.map(({ claim }) => claim?.metadata.name)).toEqual([
      'acme-0',
      'acme-1',
    ]);
  });
});

describe('a Secret of spec.server.env that cannot be used', () => {
  const env = [{ name: 'LOGIN', valueFrom: { secretKeyRef: { name: 'model', key: 'login' } } }];
  const tenant = sampleTenant({ replicas: 2, server: { env } });
  const read = (value: string) => new Map([['Secret/model', modelSecret('login', value)]]);
  const world = running(tenant, { podInputs: read('one') });
  const missing: World = { ...world, podInputs: new Map([['Secret/model', 'NotFound']]) };

  it('is reported, and is no outage while all servers serve', () => {
    expect(planned(missing).causes).toMatchObject([{ reason: 'EnvironmentNotUsable', isBesideServers: true }]);
  });

  it('is an outage once one of them does not', () => {
    expect(planned(missing, { seen: [silentServer(1)] }).causes).toMatchObject([
      { reason: 'EnvironmentNotUsable', isBesideServers: false },
    ]);
  });

  it('leaves running servers as they are, and starts none', () => {
    expect(writes(planned(missing))).toEqual([]);
    expect(writes(planned({ ...missing, servers: new Map() }))).toEqual([]);
  });

  it('is reported when it lacks the label that the operator requires', () => {
    const facts = { ...OPERATOR, requireSecretLabel: { key: 'tenants' } };
    expect(planned(world, { facts }).causes).toMatchObject([{ reason: 'EnvironmentNotUsable' }]);
  });

  it('replaces the servers, one at a time, when its value has changed', () => {
    expect(planned(world)).toMatchObject({ causes: [], rolling: false });
    expect(writes(planned({ ...world, podInputs: read('two') }))).toEqual([0]);
  });
});

describe('the connection token', () => {
  const tenant = sampleTenant();

  it('has 256 random bits', () => {
    const { token } = planned(emptyWorld(tenant, { tokenSecret: 'NotFound' }));
    expect(Buffer.from(token ?? '', 'base64url')).toEqual(Buffer.alloc(32, 7));
  });

  it('is the one in its Secret once that exists', () => {
    expect(planned(emptyWorld(tenant)).token).toBe(TOKEN);
  });

  it('is another one after its Secret was deleted, whatever the binding Secret has: that is a rotation', () => {
    const found: Partial<World> = { tokenSecret: 'NotFound', bindingSecret: bindingSecret(tenant, { token: TOKEN }) };
    const { token, rotation } = planned(emptyWorld(tenant, found));
    expect(token).not.toBe(TOKEN);
    expect(rotation?.reason).toBe('SecretDeleted');
  });

  it('of a new tenant is no rotation, even if there is a foreign binding Secret', () => {
    const { ownerReferences: _, ...metadata } = bindingSecret(tenant, { token: TOKEN }).metadata;
    const foreign = { ...bindingSecret(tenant, { token: TOKEN }), metadata };
    expect(planned(emptyWorld(tenant, { tokenSecret: 'NotFound', bindingSecret: foreign })).rotation).toBeUndefined();
  });

  it('that a user wrote to its Secret is a rotation until the binding has it', () => {
    const other = Buffer.alloc(32, 'other').toString('base64url');
    const bound = bindingSecret(tenant, { token: TOKEN });
    const world: World = { ...running(tenant), tokenSecret: tokenSecret(tenant, other) };
    expect(planned({ ...world, bindingSecret: bound }).rotation?.reason).toBe('SecretChanged');
    expect(planned({ ...world, bindingSecret: bindingSecret(tenant, { token: other }) }).rotation).toBeUndefined();
  });

  const { ownerReferences: _, ...unowned } = tokenSecret(tenant, TOKEN).metadata;
  const previous = sampleTenant({}, { uid: 'uid-of-the-previous-acme' });
  const unusable: [string, World['tokenSecret'], string][] = [
    ['foreign', { ...tokenSecret(tenant, TOKEN), metadata: unowned }, 'ForeignObject'],
    ['forbidden', 'Forbidden', 'Forbidden'],
    ["a deleted tenant's", tokenSecret(previous, TOKEN), 'WaitingForDeletion'],
  ];

  it.each(unusable)('is reported when its Secret is %s', (_name, found, reason) => {
    const { causes, waits } = planned(emptyWorld(tenant, { tokenSecret: found }));
    expect([...causes, ...waits]).toMatchObject([{ reason }]);
  });

  it.each(unusable)('starts no server while its Secret is %s', (_name, found) => {
    expect(writes(planned(emptyWorld(tenant, { tokenSecret: found })))).toEqual([]);
  });
});

describe('the credentials hash of a pod', () => {
  const tenant = sampleTenant(GITHUB);
  const hashOf = (value: string, token = TOKEN) =>
    hashIn(
      planned(
        emptyWorld(tenant, { modelSecret: modelSecret('token', value), tokenSecret: tokenSecret(tenant, token) }),
      ),
    );

  it('is the same while they are', () => {
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

  it('reveals no credential, nor does any other part of the planned children', () => {
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

describe('an unresponsive server', () => {
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

  it('has a reason for that', () => {
    expect(restarted.servers[0]?.restart).toEqual({ reason: 'Timeout', message: 'No answer within 5 s' });
  });

  it('does not restart the others', () => {
    expect(restarted.servers[1]?.restart).toBeUndefined();
  });

  it('is restarted together with another unresponsive one: both are down', () => {
    expect(planned(world, { seen: both }).servers.map(({ restart }) => restart?.reason)).toEqual([
      'Timeout',
      'Timeout',
    ]);
  });

  it('keeps the annotation of its restart, or the next reconcile would restart it again', () => {
    expect(annotationsIn(planned(again).servers[0])).toEqual(annotationsIn(restarted.servers[0]));
  });

  it('is not restarted again during the back-off, and requeued for its end', () => {
    const soon = planned(again, { seen: [silentServer(0)], now: NOW + 10_000 });
    expect(soon.servers[0]?.restart).toBeUndefined();
    expect(soon.dueInMs).toBe(50_000);
  });

  it('is restarted again after the back-off, as the second of the series', () => {
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

  it('begins a new series of restarts after the tenant was suspended and resumed', () => {
    const { deployment } = planned(changed(again, { replicas: 2, suspend: true })).servers[0] ?? {};
    const resumed = planned(
      withServer(again, 0, { deployment: deployment && { ...deployment, status: { replicas: 0 } }, pods: [] }),
    );
    expect(annotationsIn(resumed.servers[0])).not.toHaveProperty([TemplateAnnotation.restartedAt]);
  });
});

describe('children of a deleted tenant of the same name', () => {
  it('are waited for, and none is created in their place', () => {
    const previous = running(
      sampleTenant({ storage: { reclaimPolicy: 'Delete' } }, { uid: 'uid-of-the-previous-acme' }),
    );
    const { servers, waits } = planned(emptyWorld(sampleTenant(), { servers: previous.servers }));
    expect(waits).toMatchObject([{ reason: 'WaitingForDeletion' }]);
    expect([servers[0]?.claim, servers[0]?.deployment]).toEqual([undefined, undefined]);
  });
});

describe('servers that share a volume', () => {
  const tenant = sampleTenant({ ...SHARED_STORAGE, replicas: 2 });
  const claim = { ...persistentVolumeClaim(tenant, 0), status: { phase: 'Bound', accessModes: ['ReadWriteMany'] } };
  const shared = (found: Partial<SharedWorld> = {}) =>
    emptyWorld(tenant, { shared: { claim, publicKeys: 'PEM', ...found } });

  it('are planned with the one claim, and their guards with the image of the operator', () => {
    const { servers, volumeServer } = planned(shared());
    expect(servers.map(({ claim: desired }) => desired?.metadata.name)).toEqual(['acme-shared', 'acme-shared']);
    for (const { deployment } of servers) {
      expect(deployment?.spec?.template.spec?.initContainers).toMatchObject([{ image: OPERATOR.operatorImage }]);
    }
    expect(volumeServer?.server?.name).toBe('acme-0');
  });

  it('start while the keys are in the cluster, and not before they are known at all', () => {
    const guardConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'acme-guard' } };
    expect(writes(planned(shared({ publicKeys: undefined, guardConfigMap })))).toEqual([0, 1]);
    const none = planned(shared({ publicKeys: undefined }));
    expect([writes(none), none.waits.map(({ reason }) => reason)]).toEqual([
      [],
      ['ServersStarting', 'ServersStarting'],
    ]);
  });

  it('keep their guards where the operator does not know its image any more', () => {
    const world = running(tenant, { shared: { claim, publicKeys: 'PEM' } }, planned(shared()));
    const { servers } = planned(world, { facts: { ...OPERATOR, operatorImage: undefined } });
    for (const { replaces, upgrade, deployment } of servers) {
      expect([replaces, upgrade]).toEqual([false, undefined]);
      expect(deployment?.spec?.template.spec?.initContainers).toMatchObject([{ image: OPERATOR.operatorImage }]);
    }
  });

  it('have one sweep of their volume, whichever of them run', () => {
    const requested = {
      ...claim,
      metadata: { ...claim.metadata, uid: 'uid-claim', annotations: { 'copilot-operator.dev/sweep-at': 'now' } },
    };
    const servers = new Map([0, 1].map((index) => [index, { index, pods: [], claim: requested }]));
    const { sweeps } = planned({ ...shared({ claim: requested }), servers });
    expect(sweeps).toMatchObject([{ index: 0, action: 'start', besideServer: false }]);
  });
});
