// What happens to a session's data when its resource is deleted, over a real API server. Every deletion ends.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { RpcError } from '../../../src/copilot/errors.ts';
import { Job, Namespace, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../src/kube/types/owner.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { metricValue } from '../../support/metrics.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

const MINUTE = 60_000;

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const open = () => SessionWorld.open(api.kubeconfig);
const reasons = (world: SessionWorld) => world.events.map((event) => event.split(':')[0]);
const gone = async (world: SessionWorld) => (await world.get(CopilotSession, 'alpha')) === undefined;
const sweepAt = async (world: SessionWorld) =>
  (await world.get(PersistentVolumeClaim, 'acme-0'))?.metadata.annotations?.['copilot-operator.dev/sweep-at'];
const counted = (world: SessionWorld, result: string) =>
  metricValue(world.metrics, 'copilot_session_deletions_total', { result });

/** The session `alpha` after turns on acme-0. */
async function used(world: SessionWorld, facts: Parameters<typeof sessionFacts>[1] = {}): Promise<void> {
  await world.createTenant();
  await world.createClaim();
  world.source.answer(world.server(), sessionFacts('alpha', facts), sessionFacts('theirs'));
  await world.createSession();
  await world.settle();
}

/** The same, after which no server runs. */
async function suspended(world: SessionWorld): Promise<void> {
  await used(world);
  await world.changeTenant({ suspend: true });
  world.source.silence(world.server());
  await world.observeTenant({ replicas: 0 });
  await world.settle();
}

async function remove(world: SessionWorld, name = 'alpha'): Promise<void> {
  await world.delete(CopilotSession, name);
  await world.settle();
}

/** Those that are deleted together are gathered for one Job first. */
const gather = (world: SessionWorld) => world.advance(1_000, 1_000);

/** A world whose operator lacks this permission, or the next process in a namespace. */
async function openForbidden(verb: 'create' | 'get' | 'patch', resource: string, shared?: string) {
  const proxy = await api.proxy();
  const message = `${resource} is forbidden: User "operator" cannot ${verb} resource "${resource}"`;
  proxy.inject({ verb, resource }, { kind: 'respond', status: 403, reason: 'Forbidden', message }, { times: Infinity });
  return SessionWorld.open(api.server.kubeconfig({ server: proxy.url }), shared);
}

/** The deletion of `alpha` reports a missing permission, and ends at its deadline with an event of this reason. */
async function isGivenUp(world: SessionWorld, reason: string): Promise<void> {
  await remove(world);
  await gather(world);
  expect(await world.condition('Stalled')).toBe('True Forbidden');
  await world.advance(6 * MINUTE, MINUTE);
  expect(await gone(world)).toBe(true);
  expect(reasons(world)).toEqual(['Warning Forbidden', `Warning ${reason}`]);
}

describe('a session of a paused tenant', () => {
  const pause = (world: SessionWorld, value: string | null) => {
    const contentType = 'application/merge-patch+json';
    const annotations = { 'copilot-operator.dev/paused': value };
    return world.client.patch(
      CopilotTenant,
      { namespace: world.namespace, name: 'acme' },
      { metadata: { annotations } },
      { contentType },
    );
  };

  it('that is deleted keeps its data until the tenant is not paused any more', async () => {
    await using world = await open();
    await used(world);
    await pause(world, 'true');
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(false);
    expect(await world.condition('Reconciling')).toMatch(/^True /);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
    await pause(world, null);
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
  });

  it('does not keep a namespace from being deleted: at the deadline the data is left behind, with an event', async () => {
    await using world = await open();
    await used(world);
    await pause(world, 'true');
    await world.settle();
    await remove(world);
    await world.advance(6 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(true);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
    expect(world.events.join('\n')).toMatch(/Warning SessionDataLeftBehind: .*CopilotTenant acme is paused/);
  });
});

describe('a deleted session', () => {
  it('deletes its data, and nothing else', async () => {
    await using world = await open();
    await used(world);
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect(world.source.has(world.server(), 'theirs')).toBe(true);
    expect([...world.source.watched]).toEqual([]);
    expect(world.events).toEqual([]);
    expect(await counted(world, 'Deleted')).toBe(1);
  });

  it('requests one sweep for what servers leave of all sessions deleted within half a minute', async () => {
    await using world = await open();
    await used(world);
    await world.createSession({}, 'theirs');
    await world.settle();
    await remove(world);
    const first = await sweepAt(world);
    expect(first).toBe(timestamp(world.clock.now() + 30_000));
    await world.advance(20_000);
    await remove(world, 'theirs');
    expect(await world.get(CopilotSession, 'theirs')).toBeUndefined();
    expect(await sweepAt(world)).toBe(first);
  });

  it('requests another sweep when the last one has started', async () => {
    await using world = await open();
    await used(world);
    world.source.answer(world.server(), ...['alpha', 'theirs', 'third'].map((id) => sessionFacts(id)));
    for (const name of ['theirs', 'third']) await world.createSession({}, name);
    await world.settle();
    await remove(world);
    const first = await sweepAt(world);
    await world.advance(30_000);
    await world.createJob('acme-sweep0', { 'copilot-operator.dev/sweep-at': first ?? '' });
    await world.settle();
    await remove(world, 'theirs');
    const again = await sweepAt(world);
    expect(again).toBe(timestamp(world.clock.now() + 30_000));
    expect(again).not.toBe(first);
    // Once for all deletions while that Job exists.
    await world.advance(10_000);
    await remove(world, 'third');
    expect(await world.get(CopilotSession, 'third')).toBeUndefined();
    expect(await sweepAt(world)).toBe(again);
  });

  it('requests no sweep when it never had a turn, or its data stays', async () => {
    await using world = await open();
    await used(world);
    await world.patch(CopilotSession, 'alpha', { spec: { deletionPolicy: 'Retain' } });
    await world.createSession({}, 'beta');
    await world.settle();
    for (const name of ['alpha', 'beta']) await world.delete(CopilotSession, name);
    await world.settle();
    expect(await world.get(CopilotSession, 'beta')).toBeUndefined();
    expect(await sweepAt(world)).toBeUndefined();
  });

  it('requests the sweep after a failure too, when the server has nothing to delete any more', async () => {
    const proxy = await api.proxy();
    await using world = await SessionWorld.open(api.server.kubeconfig({ server: proxy.url }));
    await used(world);
    const claims = { verb: 'patch', resource: 'persistentvolumeclaims' } as const;
    proxy.inject(claims, { kind: 'respond', status: 500, reason: 'InternalError' }, { times: 1000 });
    await remove(world);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect([await gone(world), await sweepAt(world)]).toEqual([false, undefined]);
    proxy.clearFaults();
    await world.advance(5_000);
    expect(await gone(world)).toBe(true);
    expect(await sweepAt(world)).toBeDefined();
    expect(world.events).toEqual([]);
    expect(await counted(world, 'Deleted')).toBe(1);
  });

  it('is released at its deadline when no sweep can be requested, with an event', async () => {
    await using world = await openForbidden('patch', 'persistentvolumeclaims');
    await used(world);
    await isGivenUp(world, 'SessionLockLeftBehind');
    expect(world.events[1]).toMatch(
      /The data of the session was deleted\. The empty lock .* PersistentVolumeClaim acme-0/,
    );
    expect(await counted(world, 'Deleted')).toBe(1);
  });

  it('requests a sweep also when an application had deleted the session before', async () => {
    await using world = await open();
    await used(world);
    world.source.answer(world.server(), sessionFacts('theirs'));
    await world.settle();
    expect((await world.status()).phase).toBe('Lost');
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(await sweepAt(world)).toBeDefined();
  });

  it('ends a running turn first, with an event', async () => {
    await using world = await open();
    await used(world, { activity: 'Active' });
    await remove(world);
    expect(world.source.calls.map((call) => call.split(' ')[0])).toEqual(expect.arrayContaining(['close', 'delete']));
    expect(world.source.called('close')).toHaveLength(1);
    expect(world.source.calls.findIndex((call) => call.startsWith('close'))).toBeLessThan(
      world.source.calls.findIndex((call) => call.startsWith('delete')),
    );
    expect(reasons(world)).toEqual(['Normal SessionClosed']);
    expect(await gone(world)).toBe(true);
  });

  it('ends a turn first that has started since the last poll too', async () => {
    await using world = await open();
    await used(world);
    world.source.used.set('alpha', sessionFacts('alpha', { activity: 'Active' }));
    await remove(world);
    const calls = world.source.calls.map((call) => call.split(' ')[0]).filter((call) => call !== 'refresh');
    expect(calls).toEqual(['activity', 'close', 'delete']);
    expect(reasons(world)).toEqual(['Normal SessionClosed']);
    expect(await gone(world)).toBe(true);
  });

  it('without a turn leaves nothing and is released at once', async () => {
    await using world = await open();
    await world.createTenant();
    world.source.answer(world.server());
    await world.createSession();
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(await counted(world, 'NotFound')).toBe(1);
  });

  it('keeps its data and its labels with Retain', async () => {
    await using world = await open();
    await used(world);
    await world.patch(CopilotSession, 'alpha', { spec: { deletionPolicy: 'Retain' } });
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([]);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
  });

  it('is removed from the server that has it, and no other server is called', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 3 });
    world.source.answer(world.server(0));
    world.source.answer(world.server(1), sessionFacts('alpha'));
    world.source.answer(world.server(2));
    await world.createSession();
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([`delete ${world.server(1)} alpha`]);
    expect(world.source.called('activity')).toEqual([`activity ${world.server(1)} alpha`]);
  });

  it('with copies on two servers is reported, and none is removed, closed or expired', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 3 });
    for (const index of [0, 1]) world.source.answer(world.server(index), sessionFacts('alpha', { activity: 'Active' }));
    world.source.answer(world.server(2));
    await world.createSession({ ttl: '1m' });
    await world.settle();
    expect(await world.condition('Stalled')).toBe('True OnSeveralServers');
    expect(await world.condition('Ready')).toBe('False OnSeveralServers');
    expect(world.events).toEqual([expect.stringMatching(/OnSeveralServers: Servers acme-0 and acme-1 of/)]);
    await world.advance(10 * MINUTE, MINUTE);
    await remove(world);
    expect(await world.condition('Reconciling')).toBe('True DeletingData');
    await world.advance(6 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(true);
    for (const index of [0, 1]) expect(world.source.has(world.server(index), 'alpha')).toBe(true);
    for (const method of ['close', 'delete', 'deleteUnused', 'label']) expect(world.source.called(method)).toEqual([]);
    expect(world.events.at(-1)).toMatch(/SessionDataLeftBehind: .*acme-0 and acme-1/);
  });

  it('with copies on two servers goes on once one of them is deleted', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    for (const index of [0, 1]) world.source.answer(world.server(index), sessionFacts('alpha'));
    await world.createSession();
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(false);
    world.source.answer(world.server(0));
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([`delete ${world.server(1)} alpha`]);
  });

  it('that was created anew on another server after a scale-down is reported, and neither copy is removed', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    await world.createClaim(1);
    world.source.answer(world.server(0));
    world.source.answer(world.server(1), sessionFacts('alpha'));
    await world.createSession();
    await world.settle();
    expect((await world.status()).server).toBe('acme-1');
    await world.changeTenant({ replicas: 1 });
    await world.observeTenant({ replicas: 1 });
    world.source.silence(world.server(1));
    world.source.answer(world.server(0), sessionFacts('alpha', { activity: 'Active' }));
    await world.settle();
    expect(await world.condition('Stalled')).toBe('True OnSeveralServers');
    expect((await world.status()).server).toBe('acme-1');
    expect(world.events).toEqual([
      expect.stringMatching(/OnSeveralServers: .*PersistentVolumeClaim acme-1 keeps its data/),
    ]);
    await remove(world);
    await world.advance(6 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(true);
    for (const method of ['close', 'delete', 'deleteUnused', 'label']) expect(world.source.called(method)).toEqual([]);
    expect(await world.jobs()).toEqual([]);
    expect(world.events.at(-1)).toMatch(/SessionDataLeftBehind: .*PersistentVolumeClaim acme-1/);
  });

  it('that was created anew on another server belongs to that one when the first volume is gone', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    world.source.answer(world.server(0));
    world.source.answer(world.server(1), sessionFacts('alpha'));
    await world.createSession();
    await world.settle();
    await world.changeTenant({ replicas: 1 });
    await world.observeTenant({ replicas: 1 });
    world.source.silence(world.server(1));
    world.source.answer(world.server(0), sessionFacts('alpha'));
    await world.settle();
    expect(await world.condition('Stalled')).toBe('False NotStalled');
    expect((await world.status()).server).toBe('acme-0');
  });

  it('whose server can’t end its running turn says so, and is deleted when the turn has ended', async () => {
    await using world = await open();
    await used(world, { activity: 'Active' });
    world.source.failures.set(world.server(), () =>
      Promise.reject(new RpcError('no such method', -32601, 'own words')),
    );
    await remove(world);
    const reconciling = findCondition((await world.status()).conditions, 'Reconciling');
    expect(reconciling?.message).toMatch(
      /A turn of the session runs on server acme-0, which can't end it: its version lacks the method sessions\.close\. Set spec\.server\.image .* deleted when the turn has ended/,
    );
    expect(world.source.called('delete')).toEqual([]);
    world.source.failures.clear();
    world.source.answer(world.server(), sessionFacts('alpha'));
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toHaveLength(1);
  });

  it('is deleted again by its server when that was killed halfway and does not list what is left', async () => {
    await using world = await open();
    await used(world);
    world.source.failures.set(world.server(), () => Promise.reject(new Error('killed')));
    await remove(world);
    expect(await gone(world)).toBe(false);
    const before = world.source.called('delete').length;
    world.source.failures.clear();
    world.source.answer(world.server(), sessionFacts('theirs'));
    await world.advance(10_000, 1_000);
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete').length).toBeGreaterThan(before);
  });

  it('can be recreated under its name within the second', async () => {
    await using world = await open();
    await used(world);
    await world.delete(CopilotSession, 'alpha');
    await world.sync();
    await waitFor('the first one is gone', () => gone(world));
    await world.createSession();
    await world.settle();
    const second = await world.session();
    expect(second.status?.phase).toBe('Pending');
    expect(second.metadata.finalizers).toHaveLength(1);
    expect(second.metadata.deletionTimestamp).toBeUndefined();
  });

  it('that was deleted before the operator saw it waits for nothing, and the next one of its name is a new one', async () => {
    await using world = await open();
    await world.createTenant();
    world.source.answer(world.server(), sessionFacts('alpha'));
    await world.createSession();
    await world.sync();
    await world.delete(CopilotSession, 'alpha');
    await world.settle();
    await world.createSession();
    await world.settle();
    expect(await world.condition('Stalled')).toBe('False NotStalled');
    expect((await world.session()).metadata.finalizers).toHaveLength(1);
  });
});

describe('while no server runs', () => {
  it('a Job removes the data from the volume, and the deletion ends with it', async () => {
    await using world = await open();
    await suspended(world);
    await remove(world);
    await gather(world);
    const [job] = await world.jobs();
    expect(job?.spec?.template.spec?.containers[0]?.args).toEqual(
      expect.arrayContaining(['--delete-session=alpha', '--volume=acme-0=/volumes/acme-0']),
    );
    expect(await world.condition('Ready')).toBe('False Deleting');
    expect(await world.condition('Reconciling')).toBe('True DeletingData');
    await world.reconcile('alpha');
    expect(await world.jobs()).toHaveLength(1);
    if (job) await world.endRemovalPod(job, ['Deleted']);
    if (job) await world.endJob(job, 'Complete');
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([]);
    expect(await counted(world, 'Deleted')).toBe(1);
  });

  it('no Job is created before the server has stopped', async () => {
    await using world = await open();
    await used(world);
    await world.changeTenant({ suspend: true });
    world.source.silence(world.server());
    await world.settle();
    await remove(world);
    await gather(world);
    expect(await world.jobs()).toEqual([]);
    await world.observeTenant({ replicas: 0 });
    await world.settle();
    expect(await world.jobs()).toHaveLength(1);
  });

  it('a Job that fails ends it too, with an event that says where the data is', async () => {
    await using world = await open();
    await suspended(world);
    await remove(world);
    await gather(world);
    const [job] = await world.jobs();
    if (job) await world.endJob(job, 'Failed', 'Job has reached the specified backoff limit');
    await world.advance(15_000);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning SessionDataLeftBehind']);
    expect(world.events[0]).toMatch(/PersistentVolumeClaim acme-0: Job acme-remove0 failed: .*backoff limit/);
  });

  it('a Job that never finishes is given up after five minutes', async () => {
    await using world = await open();
    await suspended(world);
    await remove(world);
    await gather(world);
    await world.advance(4 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(false);
    await world.advance(90_000, 30_000);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning SessionDataLeftBehind']);
    expect(await counted(world, 'LeftBehind')).toBe(1);
  });

  it('a Job is not needed any more when the tenant is resumed', async () => {
    await using world = await open();
    await suspended(world);
    await remove(world);
    await gather(world);
    await world.changeTenant({ suspend: false });
    world.source.answer(world.server(), sessionFacts('alpha'));
    await world.settle();
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect(await gone(world)).toBe(true);
  });

  it('because none is desired, a Job checks the retained volume for a session that was never observed', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 0 });
    await world.createClaim();
    await world.createSession();
    await world.settle();
    await remove(world);
    await gather(world);
    const [job] = await world.jobs();
    expect(job?.spec?.template.spec?.containers[0]?.args).toContain('--volume=acme-0=/volumes/acme-0');
    // The result of its pod is lost.
    if (job) await world.endJob(job, 'Complete');
    await world.advance(15_000);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([]);
  });

  it('because none was ever desired, there is no volume to check', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 0 });
    await world.createSession();
    await world.settle();
    await remove(world);
    await gather(world);
    expect(await world.jobs()).toEqual([]);
    expect(await gone(world)).toBe(true);
  });

  it('there is nothing to remove when the volume is gone', async () => {
    await using world = await open();
    await suspended(world);
    await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { finalizers: null } });
    await world.delete(PersistentVolumeClaim, 'acme-0');
    await remove(world);
    await gather(world);
    expect(await world.jobs()).toEqual([]);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([]);
  });

  it('a Job that the API server refuses is reported, and tried until the deadline', async () => {
    await using world = await open();
    await suspended(world);
    const quota = { spec: { hard: { 'count/jobs.batch': '0' } } };
    await api.kubectl.ok(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'no-jobs', namespace: world.namespace },
      ...quota,
    });
    await remove(world);
    await gather(world);
    await waitFor('it is told', async () => (await world.condition('Reconciling')) === 'True DeletingData');
    await world.advance(6 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning SessionDataLeftBehind']);
  });
});

describe('the finalizer never hangs', () => {
  it('when the server does not answer: five minutes, and an event says where the data is', async () => {
    await using world = await open();
    await used(world);
    world.source.silence(world.server());
    await remove(world);
    expect(await world.condition('Reconciling')).toBe('True DeletingData');
    await world.advance(4 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(false);
    await world.advance(90_000, 30_000);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([expect.stringMatching(/SessionDataLeftBehind: .*Server acme-0 does not answer/)]);
  });

  it.each<[string, boolean]>([
    ['when the volume of a server that does not answer is gone', true],
    ['when the server never started and has no volume', false],
  ])('%s: at once, for nothing is left', async (_case, had) => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    world.source.answer(world.server(1));
    if (had) {
      await world.createClaim();
      world.source.answer(world.server(), sessionFacts('alpha'));
    }
    await world.createSession();
    await world.settle();
    expect((await world.status()).server).toBe(had ? 'acme-0' : undefined);
    if (had) {
      world.source.silence(world.server());
      await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { finalizers: null } });
      await world.delete(PersistentVolumeClaim, 'acme-0');
      await world.settle();
    }
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([]);
    expect(await counted(world, 'NotFound')).toBe(1);
  });

  it('when the server answers in time after all', async () => {
    await using world = await open();
    await used(world);
    world.source.silence(world.server());
    await remove(world);
    world.source.answer(world.server(), sessionFacts('alpha'));
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([]);
  });

  it('when the server refuses', async () => {
    await using world = await open();
    await used(world);
    world.source.failures.set(world.server(), () => Promise.reject(new Error('secret words')));
    await remove(world);
    expect(JSON.stringify(await world.status())).not.toContain('secret words');
    await world.advance(6 * MINUTE, MINUTE);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([expect.stringMatching(/SessionDataLeftBehind: .*acme-0 failed to delete/)]);
    expect(world.events.join()).not.toContain('secret words');
  });

  it('when the server neither deletes nor refuses', async () => {
    await using world = await open();
    await used(world);
    world.source.failures.set(world.server(), () => new Promise(() => undefined));
    await world.delete(CopilotSession, 'alpha');
    await world.sync();
    await waitFor('it is given up', async () => {
      await world.clock.advance(10_000);
      return gone(world);
    });
    expect(reasons(world)).toEqual(['Warning SessionDataLeftBehind']);
  });

  it('when the tenant was deleted first: at once, and an event names the retained volume', async () => {
    await using world = await open();
    await used(world);
    await world.delete(CopilotTenant, 'acme');
    world.source.silence(world.server());
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.events.at(-1)).toMatch(/SessionDataLeftBehind: .*retained PersistentVolumeClaim acme-0/);
  });

  it('when the tenant was deleted first and its volume with it: at once, and nothing is left', async () => {
    await using world = await open();
    await world.createTenant();
    world.source.answer(world.server(), sessionFacts('alpha'));
    await world.createSession();
    await world.settle();
    await world.delete(CopilotTenant, 'acme');
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning TenantNotFound']);
  });

  it('when the tenant was deleted first and its volume goes with it: at once, and nothing is left', async () => {
    await using world = await open();
    await used(world);
    const tenant = await world.client.get(CopilotTenant, world.ref('acme'));
    const ownerReferences = [controllerRef(tenant)];
    await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { ownerReferences } });
    await world.delete(CopilotTenant, 'acme');
    world.source.silence(world.server());
    await world.settle();
    // The garbage collector, which is not here, has not deleted it yet.
    expect(await world.get(PersistentVolumeClaim, 'acme-0')).toBeDefined();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning TenantNotFound']);
  });

  it('when the tenant is being deleted with its volume: at once', async () => {
    await using world = await open();
    await used(world);
    const tenant = await world.client.get(CopilotTenant, world.ref('acme'));
    const ownerReferences = [controllerRef(tenant)];
    await world.patch(PersistentVolumeClaim, 'acme-0', { metadata: { ownerReferences } });
    await world.patch(CopilotTenant, 'acme', { metadata: { finalizers: ['example.com/theirs'] } });
    await world.delete(CopilotTenant, 'acme');
    world.source.silence(world.server());
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).not.toContain('Warning SessionDataLeftBehind');
    await world.patch(CopilotTenant, 'acme', { metadata: { finalizers: null } });
  });

  it('when the tenant was deleted before the session was seen: all retained volumes are named that may have it', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    for (const index of [0, 1]) await world.createClaim(index);
    await world.createSession();
    await world.settle();
    await world.delete(CopilotTenant, 'acme');
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.events.at(-1)).toMatch(/may be on its retained PersistentVolumeClaim acme-0 or acme-1/);
  });

  it('when the tenant is being deleted: one minute', async () => {
    await using world = await open();
    await used(world);
    await world.patch(CopilotTenant, 'acme', { metadata: { finalizers: ['example.com/theirs'] } });
    await world.delete(CopilotTenant, 'acme');
    world.source.silence(world.server());
    await remove(world);
    expect(await gone(world)).toBe(false);
    await world.advance(70_000, 10_000);
    expect(await gone(world)).toBe(true);
    await world.patch(CopilotTenant, 'acme', { metadata: { finalizers: null } });
  });

  it('when the tenant never existed', async () => {
    await using world = await open();
    await world.createSession();
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(reasons(world)).toEqual(['Warning TenantNotFound']);
  });

  it('when the namespace is being deleted and no Job can be created: at once', async () => {
    await using world = await open();
    await suspended(world);
    const { metadata } = await world.client.get(Namespace, { namespace: '', name: world.namespace });
    await world.client.delete(Namespace, { namespace: '', name: world.namespace }, { uid: metadata.uid ?? '' });
    await remove(world);
    await gather(world);
    expect(await world.jobs()).toEqual([]);
    expect(await gone(world)).toBe(true);
    expect(world.events).toEqual([expect.stringMatching(/SessionDataLeftBehind: .*the namespace is being deleted/)]);
  });

  it('when the operator did not run at the deadline: it tries first, and then gives up', async () => {
    await using world = await open();
    await used(world);
    world.source.silence(world.server());
    await world.delete(CopilotSession, 'alpha');
    await using next = await SessionWorld.open(api.kubeconfig, world.namespace);
    next.clock.jumpWallClock(60 * MINUTE);
    await next.settle();
    expect(await gone(next)).toBe(false);
    next.source.answer(next.server(), sessionFacts('alpha'));
    await next.settle();
    expect(await gone(next)).toBe(true);
    expect(next.events).toEqual([]);
  });

  it('when the Jobs of the namespace can’t be listed any more: at once, because the server deletes it', async () => {
    await using world = await open();
    await used(world);
    world.refuse(Job);
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([`delete ${world.server()} alpha`]);
  });

  it('when its server does not know the method for the activity of a session: at once, too', async () => {
    await using world = await open();
    await used(world);
    const unknown = () => Promise.reject(new RpcError('no such method', -32601, 'no such method'));
    world.source.activityFailures.set(world.server(), unknown);
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([`delete ${world.server()} alpha`]);
  });

  it('when a process that has just started may not read its tenant: it is reported, and given up in time', async () => {
    await using world = await open();
    await used(world);
    await using next = await openForbidden('get', 'copilottenants', world.namespace);
    // Its cache lacks it too.
    next.refuse(CopilotTenant);
    await isGivenUp(next, 'SessionDataLeftBehind');
  });

  it('when the operator lacks a permission: it is reported, and given up in time', async () => {
    await using world = await openForbidden('create', 'jobs');
    await suspended(world);
    await isGivenUp(world, 'SessionDataLeftBehind');
  });
});
