import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ConditionType, StalledReason } from '../../../src/api/conditions.ts';
import type { CopilotTenantStatus, ServerStatus } from '../../../src/api/tenant.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import type { Plan } from '../../../src/tenant/plan.ts';
import { computeStatus, unobservedStatus, type StatusInput } from '../../../src/tenant/status.ts';
import { transitions } from '../../../src/tenant/transitions.ts';
import type { Outcome } from '../../../src/tenant/apply.ts';
import { GATEWAY, SERVER_ENV, healthyServer, sampleTenant } from '../../support/tenants.ts';
import { HOUR, MINUTE, NOW, SECOND, boundClaim, pod, rolledOutDeployment, unhealthy } from './fixtures.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';

interface Found extends Partial<
  Pick<StatusInput, 'tenant' | 'observed' | 'sessions' | 'usages' | 'lastCleanup' | 'now'>
> {
  readonly plan?: Partial<Plan>;
  readonly outcome?: Partial<Outcome>;
  /** The live children of acme-0. */
  readonly live?: Partial<ServerWorld>;
}

/** The status of acme with one healthy server, with overrides. */
function statusOf({
  tenant = sampleTenant(),
  observed = [healthyServer(0)],
  sessions = {
    fields: {},
    pressure: { status: 'False', reason: 'EnoughSpace', message: 'All volumes are less than 85 % full.' },
  },
  usages = new Map(),
  lastCleanup,
  now = NOW,
  plan,
  outcome,
  live,
}: Found = {}) {
  const server: ServerWorld = {
    index: 0,
    deployment: rolledOutDeployment(),
    claim: boundClaim(),
    pods: [pod()],
    ...live,
  };
  return computeStatus({
    tenant,
    observed,
    sessions,
    usages,
    lastCleanup,
    now,
    plan: {
      token: 'T'.repeat(43),
      model: { ok: true, reason: 'GitHub', message: 'Servers use the token in Secret copilot.', value: 'ghp_secret' },
      clients: { access: 'Direct', injection: SERVER_ENV },
      podSecrets: ['user:password', 'password', '1'],
      servers: [],
      surplus: [],
      endedPods: [],
      sweeps: [],
      causes: [],
      waits: [],
      rolling: false,
      rolledOut: [],
      ...plan,
    },
    outcome: {
      refusals: [],
      waits: [],
      errors: [],
      conflicts: [],
      adopted: [],
      undone: [],
      servers: new Map([[0, server]]),
      hasBinding: true,
      credentials: [],
      rotated: false,
      restarted: [],
      endedPods: [],
      sweepFailures: [],
      removed: [],
      ...outcome,
    },
  });
}

/** The status of the next reconcile after one that ended with `status`. */
const next = (status: CopilotTenantStatus, found: Found = {}, generation = 1) =>
  statusOf({ now: NOW + HOUR, ...found, tenant: sampleTenant({}, { generation }, status) });

const condition = (status: CopilotTenantStatus, type: string) => findCondition(status.conditions, type);
const first = ({ servers }: CopilotTenantStatus): ServerStatus | undefined => servers?.[0];
const silent = healthyServer(0, { state: 'Unhealthy', ready: false, health: unhealthy(), version: undefined });
const crashed = (message: string) =>
  healthyServer(0, { state: 'Failed', ready: false, cause: { reason: 'ContainerCrashed', message } });
const restartedAt = (ms: number, attempt = 1) => ({
  deployment: rolledOutDeployment({ restart: { at: timestamp(ms), attempt } }),
});

describe('the status of a healthy tenant', () => {
  it('has the endpoint, the binding, and how many servers are ready', () => {
    expect(statusOf()).toMatchObject({
      observedGeneration: 1,
      endpoint: 'acme-0.team.svc:4321',
      binding: { name: 'acme-binding' },
      serverVersion: '1.0.102',
      replicas: 1,
      readyReplicas: 1,
      serversReady: '1/1',
      servers: [{ name: 'acme-0', state: 'Healthy', version: '1.0.102', restarts: 0, volumeUID: 'uid-claim' }],
    });
  });

  it('has the address of its servers with access Direct, and no hash of the connection token', () => {
    const { access, binding } = statusOf();
    expect([access, binding]).toEqual(['Direct', { name: 'acme-binding' }]);
  });

  it('has the address of the gateway with access Gateway, and the hashes of the credentials that it accepts', () => {
    const credentials = [{ sha256: 'a'.repeat(64), since: timestamp(NOW) }];
    const status = statusOf({
      plan: { clients: { access: 'Gateway', injection: SERVER_ENV, gateway: GATEWAY } },
      outcome: { credentials },
    });
    expect(status).toMatchObject({
      access: 'Gateway',
      endpoint: 'copilot-gateway.copilot-operator-system.svc:4321',
      binding: { name: 'acme-binding', credentials },
    });
  });

  it('has no address with access Gateway where no gateway is installed', () => {
    expect(statusOf({ plan: { clients: { access: 'Gateway', injection: SERVER_ENV } } })).not.toHaveProperty(
      'endpoint',
    );
  });

  it('has every condition', () => {
    const reported = statusOf().conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
    expect(reported).toEqual([
      'Ready=True ServersReady',
      'Reconciling=False UpToDate',
      'Stalled=False NotStalled',
      'Healthy=True Healthy',
      'ModelConfigured=True GitHub',
      'CleanupHealthy=True NotScheduled',
      'StoragePressure=False EnoughSpace',
    ]);
  });

  it('has the number of sessions, and the result of the last cleanup', () => {
    const sessions = { active: 1, loaded: 2, total: 3 };
    const storage = { capacity: '1Gi', used: '11Mi' };
    const fields = { sessions, storage, lastActivityTime: timestamp(NOW) };
    const lastCleanup = {
      time: timestamp(NOW),
      job: 'acme-cleanup-1',
      result: 'Succeeded',
      failuresInARow: 0,
    } as const;
    expect(statusOf({ sessions: { fields, pressure: undefined }, lastCleanup })).toMatchObject({
      ...fields,
      lastCleanup,
    });
  });

  it('selects the pods of its servers, for kubectl scale', () => {
    expect(statusOf().selector).toBe('copilot-operator.dev/tenant=acme,app.kubernetes.io/component=server');
  });

  it('has no binding before it exists', () => {
    expect(statusOf({ outcome: { hasBinding: false } })).not.toHaveProperty('binding');
  });

  it('has the lowest version that its servers report, compared as numbers', () => {
    const versions = ['1.0.102', '1.0.9', '1.1.0', undefined];
    const observed = versions.map((version, index) => healthyServer(index, { version }));
    expect(statusOf({ observed }).serverVersion).toBe('1.0.9');
  });

  it('has no version while no server reports one', () => {
    expect(statusOf({ observed: [silent] })).not.toHaveProperty('serverVersion');
  });

  it('counts running servers, desired or not, and none whose pod has ended', () => {
    const gone = rolledOutDeployment({ running: false });
    const surplus: ServerWorld[] = [
      { index: 3, deployment: gone, pods: [pod({ phase: 'Failed' })] },
      { index: 2, deployment: gone, pods: [pod()] },
      { index: 1, deployment: rolledOutDeployment(), pods: [] },
    ];
    const status = statusOf({ plan: { surplus } });
    expect(status).toMatchObject({ replicas: 3, readyReplicas: 1, serversReady: '1/1' });
    expect(condition(status, 'Reconciling')?.message).toBe('Scaling down: stopping acme-2, acme-1.');
  });

  it('desires no server while it is suspended', () => {
    const observed = [healthyServer(0, { state: 'Stopped', ready: false })];
    const live = { deployment: rolledOutDeployment({ running: false }), pods: [] };
    const status = statusOf({ tenant: sampleTenant({ suspend: true }), observed, live });
    expect(status).toMatchObject({ replicas: 0, serversReady: '0/0' });
  });

  it('has the lowest allowed size, including the retained volumes of servers beyond spec.replicas', () => {
    expect(statusOf().minimumStorageSize).toBe('1Gi');
    const kept = {
      ...boundClaim({ capacity: { storage: '5Gi' } }),
      spec: { resources: { requests: { storage: '5Gi' } } },
    };
    const somebodys = { ...kept, metadata: { name: 'acme-2', labels: {} }, status: { capacity: { storage: '9Gi' } } };
    const surplus = [kept, somebodys].map((claim, index) => ({ index: index + 1, claim, pods: [] }));
    expect(statusOf({ plan: { surplus } }).minimumStorageSize).toBe('5Gi');
    expect(statusOf({ live: { claim: undefined } }).minimumStorageSize).toBe('0');
  });

  it('reports a volume that is smaller than its claim requests', () => {
    const status = statusOf({ live: { claim: boundClaim({ capacity: { storage: '512Mi' } }) } });
    expect(condition(status, 'Reconciling')).toMatchObject({ status: 'True', reason: 'VolumeResizing' });
  });
});

describe('a condition', () => {
  it('changes lastTransitionTime only when its own status changes', () => {
    const flipped = next(statusOf(), { observed: [silent] });
    const moved = flipped.conditions?.filter(({ lastTransitionTime }) => lastTransitionTime !== timestamp(NOW));
    expect(moved?.map(({ type, status }) => `${type}=${status}`)).toEqual(['Ready=False', 'Healthy=False']);
    expect(moved?.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual(
      [NOW + HOUR, NOW + HOUR].map((ms) => timestamp(ms)),
    );
  });

  it('keeps lastTransitionTime when only its reason changes', () => {
    const before = statusOf({ observed: [silent] });
    const after = next(before, { observed: [crashed('It crashed.')] });
    expect(condition(after, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ContainerCrashed',
      lastTransitionTime: timestamp(NOW),
    });
  });

  // Only a tenant with spec.hibernation has that one.
  it.each(Object.values(ConditionType).filter((type) => type !== 'Hibernated'))(
    '%s has the generation that it was decided from',
    (type) => {
      const after = next(statusOf(), {}, 2);
      expect(condition(after, type)).toMatchObject({ observedGeneration: 2, lastTransitionTime: timestamp(NOW) });
      expect(after.observedGeneration).toBe(2);
    },
  );

  it('has a message of limited length: a longer one would make the API server refuse the whole status', () => {
    const message = `${'x'.repeat(4094)}😀${'y'.repeat(40_000)}`;
    const status = statusOf({ outcome: { refusals: [{ reason: 'InvalidSpec', message }] } });
    const truncated = `${'x'.repeat(4094)}\ufffd…`;
    expect(condition(status, 'Stalled')?.message).toBe(truncated);
    expect(transitions(undefined, status).map((event) => event.message)).toContain(truncated);
    const failed = statusOf({ outcome: { errors: [new Error(message)] } });
    expect(condition(failed, 'Reconciling')?.message).toBe(truncated);
  });

  it('has no half of a surrogate pair, which the API server would replace', () => {
    expect(condition(statusOf({ observed: [crashed('exited: \ud83d…')] }), 'Stalled')?.message).toBe('exited: \ufffd…');
  });

  it('of another writer is not changed', () => {
    const other = {
      type: 'Audited',
      status: 'True',
      reason: 'x',
      message: '',
      lastTransitionTime: timestamp(0),
    } as const;
    const status = statusOf();
    const after = next({ ...status, conditions: [...(status.conditions ?? []), other] });
    expect(condition(after, 'Audited')).toEqual(other);
  });

  it('ModelConfigured is False when the credential cannot be used', () => {
    const model = { ok: false, reason: 'SecretNotFound', message: 'Secret copilot does not exist.' } as const;
    expect(condition(statusOf({ plan: { model } }), 'ModelConfigured')).toMatchObject({
      status: 'False',
      reason: 'SecretNotFound',
      message: 'Secret copilot does not exist.',
    });
  });

  it('StoragePressure is unchanged while no sizes are reported', () => {
    const pressure = { status: 'True', reason: 'VolumeFull', message: 'It is full.' } as const;
    const before = statusOf({ sessions: { fields: {}, pressure } });
    const after = next(before, { sessions: { fields: {}, pressure: undefined } });
    expect(condition(after, 'StoragePressure')).toEqual(condition(before, 'StoragePressure'));
  });

  it('Healthy is unchanged while a new process has no ping results', () => {
    const before = statusOf({ observed: [silent] });
    const remembered = { ...silent, health: { state: 'Unknown' } as const, remembered: true };
    expect(condition(next(before, { observed: [remembered] }), 'Healthy')).toEqual(condition(before, 'Healthy'));
  });
});

describe('an unchanged status', () => {
  const anyFound = fc.constantFrom<Found>(
    {},
    { observed: [silent] },
    { observed: [crashed('It crashed.')] },
    { observed: [healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } })] },
    { plan: { rolling: true } },
    { outcome: { errors: [new Error('PUT /x: no answer')] } },
    { live: { claim: undefined } },
    { live: restartedAt(NOW - HOUR, 3), observed: [silent] },
  );

  it('is equal, key by key, when the same is observed again', () => {
    fc.assert(
      fc.property(anyFound, fc.nat(30 * 24 * HOUR), (found, later) => {
        const before = statusOf(found);
        const again = next(before, { ...found, now: NOW + later });
        expect(JSON.stringify(again)).toBe(JSON.stringify(before));
      }),
    );
  });
});

describe('the secrets of a tenant', () => {
  const token = 'T'.repeat(43);
  const leaks: [string, Found][] = [
    ['the last output of a server', { observed: [crashed(`bad token ${token} or ghp_secret`)] }],
    [
      'what the API server refused',
      { outcome: { refusals: [{ reason: 'InvalidSpec', message: `${token} ghp_secret` }] } },
    ],
    ['a failed request', { outcome: { errors: [new Error(`${token} ghp_secret`)] } }],
    [
      'a silent server',
      { observed: [{ ...silent, health: { ...unhealthy(), message: `${token} ghp_secret` } as never }] },
    ],
    ['a cause from before the writes', { plan: { causes: [{ reason: 'DataLost', message: `${token} ghp_secret` }] } }],
  ];

  it.each(leaks)('are not repeated from %s', (_, found) => {
    const text = JSON.stringify(statusOf(found));
    expect(text).toContain('[redacted]');
    expect(text).not.toMatch(/TTTT|ghp_secret/);
  });

  it('of its variables are not repeated either, except for values that every text contains', () => {
    const text = JSON.stringify(statusOf({ observed: [crashed('exit 1 of http://user:password@proxy, password')] }));
    expect(text).toContain('exit 1 of http://[redacted]@proxy, [redacted]');
  });

  it.each([8, 20, 42])('are not repeated when a quotation ends after their first %i characters', (length) => {
    const text = JSON.stringify(
      statusOf({ observed: [crashed(`exited with code 1: token ${token.slice(0, length)}…. See kubectl logs.`)] }),
    );
    expect(text).toContain('token [redacted]….');
    expect(text).not.toContain('TT');
  });
});

describe('the status of a server', () => {
  it('counts a restart once, and keeps it when its Deployment was deleted', () => {
    const before = statusOf({ live: restartedAt(NOW) });
    expect(first(before)).toMatchObject({ restarts: 1, lastRestartTime: timestamp(NOW) });
    const same = next(before, { live: restartedAt(NOW) });
    expect(first(same)?.restarts).toBe(1);
    const more = next(same, { live: restartedAt(NOW + MINUTE, 2) });
    expect(first(more)).toMatchObject({ restarts: 2, lastRestartTime: timestamp(NOW + MINUTE) });
    const gone = next(more, { live: { deployment: undefined } });
    expect(first(gone)).toMatchObject({ restarts: 2, lastRestartTime: timestamp(NOW + MINUTE) });
  });

  it.each([
    ['counts as restarting for five minutes', 5 * MINUTE - SECOND, 'Restarting unresponsive servers: acme-0.'],
    [
      'counts as starting when the clock was set back since',
      -60 * MINUTE,
      'Waiting for 1 of 1 servers to start and respond: acme-0.',
    ],
    ['counts as starting after that', 5 * MINUTE, 'Waiting for 1 of 1 servers to start and respond: acme-0.'],
  ])('that was restarted %s', (_, later, message) => {
    const observed = [healthyServer(0, { state: 'Starting', ready: false, health: { state: 'Unknown' } })];
    const status = statusOf({ observed, live: restartedAt(NOW), now: NOW + later });
    expect(condition(status, 'Ready')?.message).toBe(message);
  });

  it('has a message when something is wrong, of at most 1024 characters', () => {
    expect(first(statusOf())).not.toHaveProperty('message');
    expect(first(statusOf({ observed: [silent] }))?.message).toBe('10.0.0.1:4321 gave no answer (Timeout)');
    expect(first(statusOf({ observed: [crashed('x'.repeat(2000))] }))?.message).toHaveLength(1024);
  });

  it('keeps the message of an unresponsive server until a new process has ping results', () => {
    const before = statusOf({ observed: [silent] });
    const remembered = { ...silent, health: { state: 'Unknown' } as const, remembered: true };
    expect(first(next(before, { observed: [remembered] }))?.message).toBe(first(before)?.message);
  });
});

describe('the volume of a server', () => {
  const recorded = statusOf();

  it.each<[string, Partial<ServerWorld>, string | undefined]>([
    ['not before it is hasBinding', { claim: boundClaim({ phase: 'Pending' }) }, undefined],
    ['not while it is terminating', { claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) }, undefined],
    ['once it is hasBinding', {}, 'uid-claim'],
    [
      'not when another owner controls it',
      {
        claim: boundClaim(
          {},
          { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x', uid: 'y', controller: true }] },
        ),
      },
      undefined,
    ],
  ])('is recorded %s', (_, live, expected) => {
    expect(first(statusOf({ live }))?.volumeUID).toBe(expected);
  });

  it.each<[string, Partial<ServerWorld>]>([
    ['its claim was deleted', { claim: undefined }],
    ['its claim is lost', { claim: boundClaim({ phase: 'Lost' }) }],
    ['its claim is terminating', { claim: boundClaim({}, { deletionTimestamp: timestamp(NOW) }) }],
  ])('stays recorded when %s: it proves that there were sessions', (_, live) => {
    expect(first(next(recorded, { live }))?.volumeUID).toBe('uid-claim');
  });

  it('is replaced by the UID of a restored claim', () => {
    expect(first(next(recorded, { live: { claim: boundClaim({}, { uid: 'uid-restored' }) } }))?.volumeUID).toBe(
      'uid-restored',
    );
  });

  it.each([
    ['is forgotten when a user accepts its loss', 'uid-claim', undefined],
    ['is not forgotten when a user accepts another loss', 'uid-other', 'uid-claim'],
  ])('%s', (_, accepted, expected) => {
    const annotations = { 'copilot-operator.dev/accept-data-loss': accepted };
    const tenant = sampleTenant({}, { annotations }, recorded);
    expect(first(statusOf({ tenant, live: { claim: undefined } }))?.volumeUID).toBe(expected);
  });
});

describe('the status of a tenant whose children the operator is not allowed to read', () => {
  it('reports that and keeps everything else', () => {
    const before = statusOf();
    const cause = { reason: StalledReason.Forbidden, message: 'The operator lacks a permission for pods.' };
    const after = unobservedStatus(sampleTenant({}, {}, before), cause, NOW + HOUR);
    expect(after.servers).toEqual(before.servers);
    expect(condition(after, 'Ready')).toMatchObject({ status: 'False', ...cause });
    expect(condition(after, 'Stalled')).toMatchObject({ status: 'True', ...cause });
    expect(condition(after, 'Reconciling')).toMatchObject({ status: 'False', reason: 'Blocked' });
    expect(condition(after, 'Healthy')).toEqual(condition(before, 'Healthy'));
  });
});

describe('the status of a tenant that is being deleted', () => {
  it('reports that and keeps everything else', () => {
    const before = statusOf();
    const tenant = sampleTenant({}, { deletionTimestamp: timestamp(NOW) }, before);
    const after = unobservedStatus(tenant, undefined, NOW + HOUR);
    expect(after.servers).toEqual(before.servers);
    expect(condition(after, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'Deleting',
      lastTransitionTime: timestamp(NOW + HOUR),
    });
    expect(condition(after, 'Reconciling')).toMatchObject({ status: 'True', reason: 'Deleting' });
    expect(condition(after, 'ModelConfigured')).toEqual(condition(before, 'ModelConfigured'));
  });
});

describe('the status of a paused tenant', () => {
  it('has the generation that was applied last: a newer spec is still to come', () => {
    const { observedGeneration, conditions } = next(statusOf(), { plan: { paused: true } }, 2);
    expect(observedGeneration).toBe(1);
    expect(findCondition(conditions, 'Reconciling')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(next(statusOf(), {}, 2).observedGeneration).toBe(2);
  });
});

describe('another writer that keeps changing a child', () => {
  const conflict = { reason: 'ConflictingWriter', message: 'Field manager x keeps changing y.' } as const;

  it('is Stalled, and Ready is False only if it keeps a server from serving', () => {
    const beside = statusOf({ outcome: { conflicts: [{ ...conflict, isBesideServers: true }] } });
    expect(condition(beside, 'Stalled')).toMatchObject({ status: 'True', reason: 'ConflictingWriter' });
    expect(condition(beside, 'Ready')).toMatchObject({ status: 'True' });
    const blocking = statusOf({ outcome: { conflicts: [conflict] } });
    expect(condition(blocking, 'Ready')).toMatchObject({ status: 'False', reason: 'ConflictingWriter' });
  });
});

describe('the status of a server that drains', () => {
  const drain = {
    epoch: 3,
    reason: 'Updating',
    podUID: 'u',
    since: timestamp(NOW),
    deadline: timestamp(NOW + MINUTE),
    turns: 1,
  } as const;

  it('is Draining while its turns are waited for, and states the drain until its pod is gone', () => {
    const open = statusOf({ plan: { drains: new Map([[0, { drain }]]), drainEpoch: 3 } });
    expect([open.servers, open.drainEpoch]).toMatchObject([[{ name: 'acme-0', state: 'Draining', drain }], 3]);
    const over = statusOf({ plan: { drains: new Map([[0, { drain, end: 'Drained' }]]), drainEpoch: 3 } });
    expect(over.servers).toMatchObject([{ name: 'acme-0', state: 'Healthy', drain }]);
    const gone = next(over, { plan: { drainEpoch: 3 } });
    expect([first(gone)?.drain, gone.drainEpoch]).toEqual([undefined, 3]);
  });

  it('is listed for one beyond spec.replicas until it is gone', () => {
    const surplus = [1, 2].map((index) => ({ index, pods: [] })).toReversed();
    const { servers } = statusOf({ plan: { surplus, drains: new Map([[1, { drain }]]) } });
    expect(servers?.map(({ name, state }) => `${name} ${state}`)).toEqual(['acme-0 Healthy', 'acme-1 Draining']);
  });
});
