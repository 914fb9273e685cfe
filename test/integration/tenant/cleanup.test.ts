// The objects of a tenant's cleanup and the results of its runs, with a real API server. The test plays the Job controller.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CopilotSessionSpecInput } from '../../../src/api/session.ts';
import {
  ConfigMap,
  CoreEvent,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
} from '../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../src/kube/types/owner.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { cleanupLabels } from '../../../src/resources/cleanup-pod.ts';
import type { CleanupResult } from '../../../src/resources/cleanup-result.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { endCleanupPod } from '../../support/jobs.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(async () => {
  await api.stop();
});

const TTL = { sessions: { ttl: '720h' } };
/** Delay after which the cleanup gets changes of CopilotSessions, in ms. */
const SESSIONS_DELAY_MS = 2_000;

const children = async (world: ReconcilerWorld) => ({
  cronJob: await world.get(CronJob, 'acme-cleanup'),
  configMap: await world.get(ConfigMap, 'acme-sessions'),
  networkPolicy: await world.get(NetworkPolicy, 'acme-cleanup'),
});
const conditionOf = async (world: ReconcilerWorld, type: string) =>
  findCondition((await world.tenant('acme')).status?.conditions, type);
const policies = async (world: ReconcilerWorld): Promise<unknown> =>
  JSON.parse((await world.get(ConfigMap, 'acme-sessions'))?.data?.['policies.json'] ?? 'null');
const argsOf = (job: CronJob | undefined) => job?.spec?.jobTemplate.spec?.template.spec?.containers[0]?.args ?? [];
const setSessions = (world: ReconcilerWorld, sessions: object) =>
  world.patch(CopilotTenant, 'acme', { spec: { sessions } });

function createSession(world: ReconcilerWorld, name: string, spec: Partial<CopilotSessionSpecInput> = {}) {
  const manifest = {
    apiVersion: 'copilot-operator.dev/v1alpha1',
    kind: 'CopilotSession',
    metadata: { name, namespace: world.namespace },
    spec: { tenantRef: { name: 'acme' }, ...spec },
  };
  return world.client.create(CopilotSession, manifest as CopilotSession);
}

async function sessionsChanged(world: ReconcilerWorld): Promise<void> {
  await world.sync(CopilotSession);
  await world.clock.advance(SESSIONS_DELAY_MS);
  await world.settle();
}

describe('a tenant whose sessions have a TTL', () => {
  it('gets a cleanup, and then nothing more is written', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    const before = await children(world);
    expect(argsOf(before.cronJob)).toContain('--ttl=720h');
    expect(await policies(world)).toEqual({ sessions: {} });
    expect(before.networkPolicy?.spec?.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'Unknown', reason: 'AwaitingFirstRun' });
    await world.reconcile('acme');
    await world.settle();
    expect(await children(world)).toEqual(before);
  });

  it('loses it when the TTL is removed, and reports that cleanup is disabled', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    await setSessions(world, { ttl: null });
    await world.settle();
    expect(await children(world)).toEqual({});
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'NotScheduled' });
  });

  it('has its cleanup follow the spec, and drift reverted', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    await setSessions(world, {
      ttl: '1h',
      cleanupSchedule: '5 4 * * *',
      timeZone: 'Europe/Berlin',
      cleanupDryRun: true,
    });
    await world.settle();
    const { cronJob } = await children(world);
    expect(cronJob?.spec).toMatchObject({ schedule: '5 4 * * *', timeZone: 'Europe/Berlin' });
    expect(argsOf(cronJob)).toEqual(expect.arrayContaining(['--ttl=1h', '--dry-run']));
    await world.patch(CronJob, 'acme-cleanup', { spec: { suspend: true, schedule: '* * * * *' } });
    await world.settle();
    expect((await children(world)).cronJob?.spec).toMatchObject({ schedule: '5 4 * * *', suspend: false });
    // The time zone is removed with the field.
    await setSessions(world, { timeZone: null });
    await world.settle();
    expect((await children(world)).cronJob?.spec).not.toHaveProperty('timeZone');
  });

  it('is cleaned up on its volume while it is suspended', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    const through = argsOf((await children(world)).cronJob);
    expect(through.filter((arg) => /^--(server|volume)=/.test(arg))).toHaveLength(2);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await world.settle();
    const suspended = argsOf((await children(world)).cronJob);
    expect(suspended.filter((arg) => /^--(server|volume)=/.test(arg))).toEqual(['--volume=acme-0=/volumes/acme-0']);
  });
});

describe('a tenant that stops and starts', () => {
  it('is not cleaned up while its server stops, and does not start while a cleanup works on its volume', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const isPaused = async () => (await children(world)).cronJob?.spec?.suspend;
    const replicas = async () => (await world.get(Deployment, 'acme-0'))?.spec?.replicas;
    await world.createTenant('acme', TTL);
    await world.settle();
    const server = await world.startPod('acme', 0);
    await world.settle();
    expect(await isPaused()).toBe(false);
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await world.settle();
    expect(await isPaused()).toBe(true);
    await world.removePod(server);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    const { spec } = (await children(world)).cronJob?.spec?.jobTemplate.spec?.template ?? {};
    expect(await isPaused()).toBe(false);
    if (spec === undefined) throw new Error('the CronJob has no pod');
    // What the pod mounts does not exist. What it works on is in its arguments.
    const containers = spec.containers.map(({ name, args = [] }) => ({ name, image: 'i', args }));
    const run = await world.client.create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'acme-cleanup-1-x', namespace: world.namespace, labels: cleanupLabels('acme') },
      spec: { containers },
    });
    await world.settle();
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.settle();
    expect(await replicas()).toBe(0);
    const reconciling = await conditionOf(world, 'Reconciling');
    expect(reconciling?.message).toContain('waits until pod acme-cleanup-1-x');
    await world.removePod(run);
    await world.settle();
    expect(await replicas()).toBe(1);
  });

  it('does not start beside a run whose pod was refused until now, which is withdrawn', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const replicas = async () => (await world.get(Deployment, 'acme-0'))?.spec?.replicas;
    await world.createTenant('acme', { ...TTL, suspend: true });
    await world.settle();
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    const { cronJob } = await children(world);
    const { spec } = cronJob?.spec?.jobTemplate ?? {};
    if (cronJob === undefined || spec === undefined) throw new Error('there is no CronJob');
    await world.client.create(Job, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: 'acme-cleanup-1',
        namespace: world.namespace,
        labels: cleanupLabels('acme'),
        ownerReferences: [controllerRef(cronJob)],
      },
      spec,
    });
    await world.settle();
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.settle();
    // The garbage collector, which is not here, deletes its pods first.
    const withdrawn = await world.get(Job, 'acme-cleanup-1');
    expect(withdrawn?.metadata).toMatchObject({
      deletionTimestamp: expect.any(String),
      finalizers: ['foregroundDeletion'],
    });
    expect((await replicas()) ?? 0).toBe(0);
    expect((await conditionOf(world, 'Reconciling'))?.message).toContain('waits until Job acme-cleanup-1');
    await world.patch(Job, 'acme-cleanup-1', { metadata: { finalizers: null } });
    await world.settle();
    expect(await replicas()).toBe(1);
    // No more such runs are created from then on.
    const versionOf = (object: KubeObject | undefined) => Number(object?.metadata.resourceVersion);
    const { cronJob: through } = await children(world);
    expect(argsOf(through).filter((arg) => arg.startsWith('--server='))).toHaveLength(1);
    expect(versionOf(through)).toBeLessThan(versionOf(await world.get(Deployment, 'acme-0')));
  });

  it('ends a run on its volume that was created when the server had started', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { ...TTL, suspend: true });
    await world.settle();
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    const { cronJob } = await children(world);
    const { spec } = cronJob?.spec?.jobTemplate ?? {};
    if (cronJob === undefined || spec === undefined) throw new Error('there is no CronJob');
    await world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await world.settle();
    await world.startPod('acme', 0);
    await world.settle();
    // By a CronJob controller whose cache was behind.
    const metadata = {
      namespace: world.namespace,
      labels: cleanupLabels('acme'),
      ownerReferences: [controllerRef(cronJob)],
    };
    await world.client.create(Job, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { ...metadata, name: 'late' },
      spec,
    });
    await world.settle();
    expect((await world.get(Job, 'late'))?.metadata.deletionTimestamp).toBeDefined();
    expect((await world.get(Deployment, 'acme-0'))?.spec?.replicas).toBe(1);
  });
});

describe('a tenant without a TTL', () => {
  it('gets no cleanup, whatever sessions refer to it', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme');
    await world.settle();
    const before = await world.reconciles();
    await createSession(world, 'chat');
    await sessionsChanged(world);
    expect(await world.reconciles()).toBe(before);
    expect(await children(world)).toEqual({});
  });
});

describe('the sessions that CopilotSessions keep', () => {
  it('are in the ConfigMap until they are deleted', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    await createSession(world, 'chat');
    await createSession(world, 'long', { sessionId: 'Long_1', ttl: '800h' });
    await createSession(world, 'short', { ttl: '1h' });
    await sessionsChanged(world);
    const since = async (name: string) => (await world.get(CopilotSession, name))?.metadata.creationTimestamp;
    const others = {
      Long_1: { ttlSeconds: 2_880_000, since: await since('long') },
      short: { ttlSeconds: 3600, since: await since('short') },
    };
    expect(await policies(world)).toEqual({ sessions: { ...others, chat: { keep: true } } });
    const { uid = '' } = (await world.get(CopilotSession, 'chat'))?.metadata ?? {};
    await world.client.delete(CopilotSession, world.ref('chat'), { uid });
    await sessionsChanged(world);
    expect(await policies(world)).toEqual({ sessions: others });
  });

  it('are written together when they are created together', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    const before = await world.reconciles();
    for (let index = 0; index < 20; index++) await createSession(world, `chat-${index}`);
    await world.sync(CopilotSession);
    expect(await world.reconciles()).toBe(before);
    await world.clock.advance(SESSIONS_DELAY_MS);
    await world.settle();
    expect(Object.keys(((await policies(world)) as { sessions: object }).sessions)).toHaveLength(20);
    expect((await world.reconciles()) - before).toBeLessThan(5);
  });

  it('stay in the ConfigMap when the TTL is raised: a run with the previous, shorter one may be in progress', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { sessions: { ttl: '1h' } });
    await createSession(world, 'chat', { ttl: '10h' });
    await sessionsChanged(world);
    await setSessions(world, { ttl: '720h' });
    await world.settle();
    expect(argsOf((await children(world)).cronJob)).toContain('--ttl=720h');
    const since = (await world.get(CopilotSession, 'chat'))?.metadata.creationTimestamp;
    expect(await policies(world)).toEqual({ sessions: { chat: { ttlSeconds: 36_000, since } } });
  });

  it('are not affected by the status of their CopilotSession', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await createSession(world, 'chat');
    await sessionsChanged(world);
    const before = await world.reconciles();
    await world.patch(CopilotSession, 'chat', { status: { phase: 'Active', sizeBytes: 5 } }, 'status');
    await sessionsChanged(world);
    expect(await world.reconciles()).toBe(before);
  });
});

describe('an invalid schedule', () => {
  it.each([
    ['minute 61', { cleanupSchedule: '61 * * * *' }, 'spec.sessions.cleanupSchedule'],
    ['a word', { cleanupSchedule: 'a b c d e' }, 'spec.sessions.cleanupSchedule'],
    ['a time zone of another planet', { timeZone: 'Mars/Olympus' }, 'spec.sessions.timeZone'],
  ])('is reported with the invalid field, and servers are not affected: %s', async (_, sessions, field) => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', { sessions: { ...TTL.sessions, ...sessions } });
    await world.settle();
    const stalled = await conditionOf(world, 'Stalled');
    expect(stalled).toMatchObject({ status: 'True', reason: 'InvalidSpec' });
    expect(stalled?.message).toContain(`Correct ${field} of the tenant`);
    expect((await world.startPod('acme', 0)).metadata.name).toMatch(/^acme-0-/);
    await setSessions(world, { cleanupSchedule: null, timeZone: null });
    await world.settle();
    expect(await conditionOf(world, 'Stalled')).toMatchObject({ status: 'False' });
    expect((await children(world)).cronJob).toBeDefined();
  });

  it('deletes the CronJob of the previous spec until it is valid', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    expect((await children(world)).cronJob).toBeDefined();
    await setSessions(world, { ttl: '1440h', timeZone: 'Mars/Olympus' });
    await world.settle();
    expect(await children(world)).toMatchObject({ cronJob: undefined, configMap: { kind: 'ConfigMap' } });
    await setSessions(world, { timeZone: null });
    await world.settle();
    expect(argsOf((await children(world)).cronJob)).toContain('--ttl=1440h');
  });
});

describe('a foreign object with a name of the cleanup', () => {
  it.each([
    ['CronJob', 'cronjob'],
    ['ConfigMap', 'configmap'],
  ])('is not changed, and reported: a %s', async (kind, command) => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    const made =
      command === 'cronjob'
        ? ['acme-cleanup', '--image=i', '--schedule=0 0 1 1 *']
        : ['acme-sessions', '--from-literal=a=b'];
    await api.kubectl.ok(['create', command, ...made, '-n', world.namespace]);
    const foreign = async () => (await children(world))[kind === 'CronJob' ? 'cronJob' : 'configMap'];
    const before = await foreign();
    await world.createTenant('acme', TTL);
    await world.settle();
    expect(await conditionOf(world, 'Stalled')).toMatchObject({ status: 'True', reason: 'ForeignObject' });
    expect(await foreign()).toEqual(before);
    // A cleanup without the list of kept sessions must not run.
    if (kind === 'ConfigMap') expect((await children(world)).cronJob?.spec?.suspend).toBe(true);
    await setSessions(world, { ttl: null });
    await world.settle();
    expect(await foreign()).toEqual(before);
  });
});

const WORD: CleanupResult = {
  result: 'Succeeded',
  dryRun: false,
  kept: 1,
  deleted: 2,
  freedBytes: 300,
  sweptFiles: 4,
  errors: 0,
  volumes: [{ name: 'acme-0', space: 12, size: 2 ** 30, files: 3 }],
};

/** Plays the run of a Job that a user created from the CronJob, with the result of its pod. */
async function run(world: ReconcilerWorld, name: string, result: CleanupResult | undefined): Promise<void> {
  // Each run ends later than the one before.
  await world.clock.advance(60_000);
  await api.kubectl.ok(['create', 'job', name, '--from=cronjob/acme-cleanup', '-n', world.namespace]);
  if (result !== undefined) await endCleanupPod(world, name, result);
  const at = timestamp(world.clock.now() - 60_000);
  const failed = result?.result !== 'Succeeded';
  const reason = failed
    ? { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }
    : {};
  const ends = failed ? ['FailureTarget', 'Failed'] : ['SuccessCriteriaMet', 'Complete'];
  const conditions = ends.map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: at,
    lastProbeTime: at,
    ...reason,
  }));
  const counts = failed ? { failed: 1 } : { succeeded: 1, completionTime: at };
  await world.patch(Job, name, { status: { startTime: at, conditions, ...counts } }, 'status');
  await world.settle();
}

describe('the runs of a cleanup', () => {
  it('are reported with the last one, whoever started it, and counted once', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    const claim = { phase: 'Bound', capacity: { storage: '10Gi' } };
    await world.patch(PersistentVolumeClaim, 'acme-0', { status: claim }, 'status');
    await run(world, 'by-hand', WORD);
    const { status } = await world.tenant('acme');
    expect(status?.lastCleanup).toMatchObject({
      job: 'by-hand',
      result: 'Succeeded',
      kept: 1,
      deleted: 2,
      freedBytes: 300,
      sweptFiles: 4,
      errors: 0,
    });
    expect(status?.servers?.[0]?.volumeUsage).toMatchObject({ space: 12, files: 3, capacity: '10Gi' });
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupSucceeded' });
    await world.reconcile('acme');
    expect(world.counted.filter((what) => what.startsWith('cleanup'))).toEqual(['cleanup Succeeded']);
  });

  it('that fail twice in a row are reported by a condition and an event, until one succeeds', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    await run(world, 'one', {
      ...WORD,
      result: 'Failed',
      errors: 1,
      message: 'Session x of server acme-0: no answer.',
    });
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupRetrying' });
    await run(world, 'two', undefined);
    expect((await world.tenant('acme')).status?.lastCleanup).toMatchObject({ job: 'two', failuresInARow: 2 });
    const failing = await conditionOf(world, 'CleanupHealthy');
    expect(failing).toMatchObject({ status: 'False', reason: 'CleanupFailing' });
    expect(failing?.message).toContain('BackoffLimitExceeded');
    await run(world, 'three', WORD);
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupSucceeded' });
    const events = world.events.filter((event) => event.includes('Cleanup'));
    expect(events).toEqual(['Warning CleanupFailing', 'Normal CleanupSucceeded']);
  });

  it('have pods that are not selected as servers', async () => {
    await using world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    const { lastCleanup: _, ...before } = (await world.tenant('acme')).status ?? {};
    await run(world, 'by-hand', WORD);
    const { lastCleanup, ...after } = (await world.tenant('acme')).status ?? {};
    expect(lastCleanup).toBeDefined();
    const others = ({ conditions, ...status }: typeof after) => ({
      ...status,
      conditions: conditions?.filter(({ type }) => type !== 'CleanupHealthy'),
    });
    expect(others(after)).toEqual(others(before));
  });
});

describe('a cleanup run that cannot start', () => {
  const open = async () => {
    const world = await ReconcilerWorld.open(api.kubeconfig);
    await world.createTenant('acme', TTL);
    await world.settle();
    await api.kubectl.ok(['create', 'job', 'stuck', '--from=cronjob/acme-cleanup', '-n', world.namespace]);
    await world.settle();
    return world;
  };

  it('is reported with the event of its Job after a minute, and no longer once it has ended', async () => {
    await using world = await open();
    const job = await world.get(Job, 'stuck');
    await world.client.create(CoreEvent, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'stuck.1', namespace: world.namespace },
      involvedObject: { kind: 'Job', name: 'stuck', namespace: world.namespace, uid: job?.metadata.uid },
      type: 'Warning',
      reason: 'FailedCreate',
      message:
        'Error creating: pods "stuck-x7k2p" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1',
      lastTimestamp: timestamp(world.clock.now()),
    } as CoreEvent);
    await world.advance(10_000);
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'Unknown' });
    await world.advance(150_000);
    await world.settle();
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({
      status: 'False',
      reason: 'CleanupBlocked',
      message: expect.stringMatching(
        /^Pod of Job stuck exceeds the ResourceQuota few of the namespace: .* Raise the quota\.$/,
      ),
    });
    await world.client.delete(Job, world.ref('stuck'), {
      uid: job?.metadata.uid ?? '',
      propagationPolicy: 'Background',
    });
    await world.settle();
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'Unknown', reason: 'AwaitingFirstRun' });
  });

  it('is reported after ten minutes when its Job is suspended', async () => {
    await using world = await open();
    const at = timestamp(world.clock.now());
    const conditions = [{ type: 'Suspended', status: 'True', lastTransitionTime: at, lastProbeTime: at }];
    await world.patch(Job, 'stuck', { spec: { suspend: true } });
    await world.patch(Job, 'stuck', { status: { conditions } }, 'status');
    await world.settle();
    await world.advance(9 * 60_000);
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'Unknown' });
    await world.advance(2 * 60_000);
    await world.settle();
    expect(await conditionOf(world, 'CleanupHealthy')).toMatchObject({ status: 'False', reason: 'CleanupBlocked' });
  });
});
