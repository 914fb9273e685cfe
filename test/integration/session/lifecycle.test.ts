// A session from its first reconcile to its end, over a real API server; the test plays the servers.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { RpcError } from '../../../src/copilot/index.ts';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { addFinalizer } from '../../../src/kube/write/finalizer.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { metricValue } from '../../support/metrics.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

const MINUTE = 60_000;
const FINALIZER = 'copilot-operator.dev/session-data';

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const open = () => SessionWorld.open(api.kubeconfig);
/** `alpha` as its server reports it now. */
const alpha = (world: SessionWorld, facts: Parameters<typeof sessionFacts>[1] = {}) =>
  sessionFacts('alpha', { lastActivityTime: world.clock.now(), ...facts });

/** A tenant whose one server answers without a session, and the session `alpha` for it. */
async function pending(world: SessionWorld, spec: Parameters<SessionWorld['createSession']>[0] = {}): Promise<void> {
  await world.createTenant();
  world.source.answer(world.server());
  await world.createSession(spec);
  await world.settle();
}

/** The same after its first turns. */
async function used(world: SessionWorld, spec: Parameters<SessionWorld['createSession']>[0] = {}): Promise<void> {
  await pending(world, spec);
  world.source.answer(world.server(), alpha(world));
  await world.settle();
}

describe('a session', () => {
  it('holds its id before its first turn', async () => {
    await using world = await open();
    await pending(world);
    expect(await world.status()).toMatchObject({ phase: 'Pending', sessionId: 'alpha', observedGeneration: 1 });
    expect(await world.condition('Ready')).toBe('True AwaitingFirstTurn');
    expect((await world.session()).metadata.finalizers).toEqual([FINALIZER]);
    expect([...world.source.watched]).toEqual([`${world.server()} alpha`]);
  });

  it('is Active in a turn and Idle after it, with its usage, without an event for each turn', async () => {
    await using world = await open();
    await pending(world);
    world.source.answer(world.server(), alpha(world, { activity: 'Active', usage: undefined }));
    await world.settle();
    expect(await world.status()).toMatchObject({ phase: 'Active', server: 'acme-0' });
    expect(await world.condition('Ready')).toBe('True TurnRunning');
    world.source.answer(world.server(), alpha(world, { activity: 'Loaded' }));
    await world.settle();
    expect(await world.status()).toMatchObject({
      phase: 'Idle',
      sizeBytes: 1000,
      usage: { turns: 2, inputTokens: 20 },
    });
    expect(world.events).toEqual([]);
  });

  it('has the id that the spec names', async () => {
    await using world = await open();
    await pending(world, { sessionId: 'chat_1' });
    world.source.answer(world.server(), sessionFacts('chat_1'));
    await world.settle();
    expect(await world.status()).toMatchObject({ phase: 'Idle', sessionId: 'chat_1' });
  });

  it('has its owner stored beside its data once it is loaded', async () => {
    await using world = await open();
    await used(world, { owner: 'ann' });
    expect(world.source.called('label')).toEqual([]);
    world.source.answer(world.server(), alpha(world, { activity: 'Loaded' }));
    await world.settle();
    await world.reconcile('alpha');
    expect(world.source.called('label')).toHaveLength(1);
    expect(world.source.stored.get('alpha')).toMatchObject({ 'copilot-operator.dev/owner': 'ann' });
  });

  it('whose owner the server refuses to store is labelled less and less often, and at once after a change', async () => {
    await using world = await open();
    await pending(world, { owner: 'ann' });
    const refusal = new RpcError('too large', -32602, 'too large');
    world.source.failures.set(world.server(), () => Promise.reject(refusal));
    world.source.answer(world.server(), alpha(world, { activity: 'Loaded' }));
    await world.advance(60 * MINUTE, MINUTE);
    expect(world.source.called('label').length).toBeLessThanOrEqual(7);
    world.source.failures.clear();
    await world.patch(CopilotSession, 'alpha', { spec: { participants: ['bob'] } });
    await world.settle();
    expect(world.source.stored.get('alpha')).toMatchObject({ 'copilot-operator.dev/participants': 'bob' });
  });

  it('with a long turn is written at most twice a minute', async () => {
    await using world = await open();
    await pending(world);
    const versions = new Set<string | undefined>();
    for (let second = 0; second < 120; second += 5) {
      world.source.answer(world.server(), alpha(world, { activity: 'Active', sizeBytes: 1000 + second }));
      await world.settle();
      versions.add((await world.session()).metadata.resourceVersion);
      await world.clock.advance(5_000);
    }
    expect(versions.size).toBeLessThanOrEqual(4);
    await world.advance(MINUTE);
    expect(await world.status()).toMatchObject({ sizeBytes: 1115 });
  });

  it('is not written again by the next process of the operator', async () => {
    await using world = await open();
    await used(world, { ttl: '1h' });
    const before = await world.session();
    await using next = await SessionWorld.open(api.kubeconfig, world.namespace);
    // It has polled no server yet, then it knows the list, and then the journal.
    await next.settle();
    const between = await next.condition('Ready');
    next.source.answer(next.server(), alpha(world, { usage: undefined, sizeBytes: 0, labels: undefined }));
    await next.settle();
    next.source.answer(next.server(), alpha(world));
    await next.settle();
    expect(between).toBe('True SessionIdle');
    expect((await next.session()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });

  it.each<[what: string, usedAgoMs: number, phase: string]>([
    ['is kept if it was used meanwhile', 5 * MINUTE, 'Idle'],
    ['expires if it was not', 60 * MINUTE, 'Expired'],
  ])('whose ttl has passed while the operator was away for an hour %s', async (_what, usedAgoMs, phase) => {
    await using world = await open();
    await used(world, { ttl: '15m' });
    await using next = await SessionWorld.open(api.kubeconfig, world.namespace);
    next.clock.jumpWallClock(world.clock.now() + 60 * MINUTE - next.clock.now());
    await next.settle();
    expect([(await next.status())?.phase, next.source.called('delete')]).toEqual(['Idle', []]);
    next.source.answer(next.server(), alpha(next, { lastActivityTime: next.clock.now() - usedAgoMs }));
    await next.settle();
    expect((await next.status())?.phase).toBe(phase);
    expect(next.source.called('delete').length > 0).toBe(phase === 'Expired');
  });
});

describe('a session whose tenant', () => {
  it('does not exist reports that, and starts when it is created', async () => {
    await using world = await open();
    await world.createSession();
    await world.settle();
    expect(await world.condition('Stalled')).toBe('True TenantNotFound');
    expect(world.events.map((event) => event.split(':')[0])).toEqual(['Warning TenantNotFound']);
    await world.createTenant();
    world.source.answer(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('True AwaitingFirstTurn');
    expect(await world.condition('Stalled')).toBe('False NotStalled');
  });

  it('is suspended keeps its phase and continues when it is resumed', async () => {
    await using world = await open();
    await used(world);
    await world.changeTenant({ suspend: true });
    world.source.silence(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('False TenantSuspended');
    expect(await world.condition('Reconciling')).toBe('False UpToDate');
    expect(await world.status()).toMatchObject({ phase: 'Idle', server: 'acme-0', usage: { turns: 2 } });
    await world.changeTenant({ suspend: false });
    await world.settle();
    expect(await world.condition('Ready')).toBe('False TenantUnavailable');
    world.source.answer(world.server(), alpha(world));
    await world.settle();
    expect(await world.condition('Ready')).toBe('True SessionIdle');
  });

  it('does not answer is never lost', async () => {
    await using world = await open();
    await used(world);
    world.source.silence(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('False TenantUnavailable');
    expect(await world.condition('Reconciling')).toBe('True WaitingForTenant');
    expect((await world.status()).phase).toBe('Idle');
  });

  it('is deleted is not lost, but has no tenant', async () => {
    await using world = await open();
    await used(world);
    await world.delete(CopilotTenant, 'acme');
    world.source.silence(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('False TenantNotFound');
    expect((await world.status()).phase).toBe('Idle');
    expect([...world.source.watched]).toEqual([]);
  });

  it('is scaled down keeps the session with its volume', async () => {
    await using world = await open();
    await world.createTenant({ replicas: 2 });
    world.source.answer(world.server(0));
    world.source.answer(world.server(1), alpha(world));
    await world.createSession();
    await world.settle();
    expect(await world.status()).toMatchObject({ phase: 'Idle', server: 'acme-1' });
    world.source.silence(world.server(1));
    await world.changeTenant({ replicas: 1 });
    await world.settle();
    expect(await world.condition('Ready')).toBe('False TenantUnavailable');
    expect(await world.condition('Reconciling')).toBe('False UpToDate');
    expect(await world.status()).toMatchObject({ phase: 'Idle', server: 'acme-1' });
  });
});

describe('a session that is deleted on its server', () => {
  it('is lost, with one event, and starts again with the next turn under its id', async () => {
    await using world = await open();
    await used(world);
    world.source.answer(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('False SessionLost');
    expect(await world.status()).toMatchObject({ phase: 'Lost', usage: { turns: 2 } });
    expect(world.events).toHaveLength(1);
    world.source.answer(world.server(), alpha(world, { usage: { turns: 1, inputTokens: 1, outputTokens: 1 } }));
    await world.settle();
    expect(await world.status()).toMatchObject({ phase: 'Idle', usage: { turns: 1 } });
  });

  it('is lost, with an event, when its policy kept it: the tenant’s cleanup skips it', async () => {
    await using world = await open();
    await used(world);
    await world.changeTenant({ sessions: { ttl: '1h' } });
    await world.advance(61 * MINUTE, MINUTE);
    world.source.answer(world.server());
    await world.settle();
    expect((await world.status()).phase).toBe('Lost');
    expect(world.events.map((event) => event.split(':')[0])).toEqual(['Warning SessionLost']);
  });

  it('has expired, and is not lost, when the tenant’s cleanup was due and its own ttl is shorter', async () => {
    await using world = await open();
    await used(world, { ttl: '50m' });
    await world.changeTenant({ sessions: { ttl: '55m' } });
    // Its own ttl has passed, and the operator waits for the clock margin.
    await world.advance(56 * MINUTE, MINUTE);
    expect(world.source.called('delete')).toEqual([]);
    world.source.answer(world.server());
    await world.settle();
    expect((await world.status()).phase).toBe('Expired');
    expect(world.events).toEqual([]);
  });

  it('stays lost when the tenant’s ttl passes later', async () => {
    await using world = await open();
    await used(world, { ttl: '50m' });
    await world.changeTenant({ sessions: { ttl: '55m' } });
    world.source.answer(world.server());
    await world.settle();
    const { resourceVersion } = (await world.session()).metadata;
    await world.advance(2 * 60 * MINUTE, MINUTE);
    expect((await world.status()).phase).toBe('Lost');
    expect((await world.session()).metadata.resourceVersion).toBe(resourceVersion);
    expect(world.events.map((event) => event.split(':')[0])).toEqual(['Warning SessionLost']);
  });
});

describe('a session whose time to live has passed', () => {
  it('requests a sweep of what its server leaves', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    await world.createClaim();
    await world.advance(5 * MINUTE, MINUTE);
    expect((await world.status()).phase).toBe('Expired');
    const { metadata } = (await world.get(PersistentVolumeClaim, 'acme-0')) ?? {};
    expect(metadata?.annotations).toHaveProperty(['copilot-operator.dev/sweep-at']);
  });

  it('is deleted with an event when it is Persistent, and can start again', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    expect((await world.status()).expiresAt).toBeDefined();
    // Its ttl, and a clock margin as long.
    await world.advance(3 * MINUTE, MINUTE);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
    await world.advance(2 * MINUTE);
    expect(world.source.called('delete')).toHaveLength(1);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect(await world.status()).toMatchObject({ phase: 'Expired', usage: { turns: 2 } });
    expect(await world.status()).not.toHaveProperty('expiresAt');
    expect(world.events.map((event) => event.split(':')[0])).toEqual(['Normal SessionExpired']);
    expect(await metricValue(world.metrics, 'copilot_session_expirations_total', { result: 'Deleted' })).toBe(1);
    await world.clock.advance(MINUTE);
    world.source.answer(world.server(), alpha(world, { activity: 'Active' }));
    await world.settle();
    expect((await world.status()).phase).toBe('Active');
  });

  it('is deleted with its resource when it is Ephemeral', async () => {
    await using world = await open();
    await used(world, { lifecycle: 'Ephemeral', ttl: '2m' });
    await world.advance(5 * MINUTE);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect(await world.get(CopilotSession, 'alpha')).toBeUndefined();
    expect(world.events.map((event) => event.split(':')[0])).toEqual(['Normal SessionExpired']);
  });

  it('frees its id without ever having had a turn', async () => {
    await using world = await open();
    await pending(world, { ttl: '2m' });
    await world.createSession({ lifecycle: 'Ephemeral', ttl: '2m' }, 'beta');
    await world.advance(5 * MINUTE);
    expect((await world.status()).phase).toBe('Expired');
    expect(await world.get(CopilotSession, 'beta')).toBeUndefined();
  });

  it('is never deleted during a turn, but after it', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    const begun = world.clock.now();
    world.source.answer(world.server(), alpha(world, { activity: 'Active' }));
    await world.advance(10 * MINUTE, MINUTE);
    expect(world.source.called('delete')).toEqual([]);
    world.source.answer(world.server(), alpha(world, { activity: 'Loaded', lastActivityTime: begun }));
    await world.settle();
    await world.advance(10_000);
    expect((await world.status()).phase).toBe('Expired');
  });

  it('is left alone until its ttl has passed by its server’s clock too', async () => {
    await using world = await open();
    await pending(world, { ttl: '30m' });
    // The ttl counts from the creation of the resource at the earliest: by the server's clock that is now.
    await world.advance(15 * MINUTE, MINUTE);
    world.source.skewMs = -15 * MINUTE;
    // A turn has just ended.
    const ended = world.clock.now();
    world.source.answer(world.server(), alpha(world, { lastActivityTime: ended + world.source.skewMs }));
    await world.settle();
    await world.advance(30 * MINUTE - 10_000, MINUTE);
    expect(world.source.called('delete')).toEqual([]);
    await world.advance(MINUTE + 15_000);
    expect(world.source.called('delete')).toHaveLength(1);
    expect((await world.status()).phase).toBe('Expired');
  });

  it('with a turn that no answer shows is checked less and less often', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    world.source.used.set('alpha', sessionFacts('alpha', { activity: 'Active' }));
    await world.advance(4 * MINUTE);
    await world.advance(10 * MINUTE, MINUTE);
    const checks = world.source.called('deleteUnused').length;
    expect(checks).toBeLessThanOrEqual(16);
    for (let again = 0; again < 20; again += 1) await world.reconcile('alpha');
    expect(world.source.called('deleteUnused')).toHaveLength(checks);
    world.source.used.clear();
    await world.advance(MINUTE + 5_000);
    expect((await world.status()).phase).toBe('Expired');
  });

  it('is not deleted when its ttl was raised and the cache is behind', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    await world.patch(CopilotSession, 'alpha', { spec: { ttl: '10h' } });
    await world.sync(CopilotTenant);
    await world.clock.advance(5 * MINUTE);
    await world.settle();
    expect(world.source.called('delete')).toEqual([]);
    expect((await world.status()).phase).toBe('Idle');
  });

  it('is deleted only once its server answers again', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    const facts = alpha(world);
    world.source.silence(world.server());
    await world.advance(10 * MINUTE, MINUTE);
    expect(world.source.called('delete')).toEqual([]);
    world.source.answer(world.server(), facts);
    await world.settle();
    expect((await world.status()).phase).toBe('Expired');
  });

  it('is reported and retried while its server fails to delete it', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    world.source.failures.set(world.server(), () => Promise.reject(new Error('busy')));
    await world.advance(5 * MINUTE);
    expect(await world.condition('Reconciling')).toBe('True Expiring');
    expect((await world.status()).phase).toBe('Idle');
    world.source.failures.clear();
    await world.advance(30_000);
    expect((await world.status()).phase).toBe('Expired');
  });
});

describe('two resources with one id', () => {
  async function both(world: SessionWorld): Promise<void> {
    await used(world);
    // Creation times are whole seconds.
    const { creationTimestamp = '' } = (await world.session()).metadata;
    await waitFor('the next second', () => Date.now() >= Date.parse(creationTimestamp) + 1_000);
    await world.createSession({ sessionId: 'alpha', lifecycle: 'Ephemeral', ttl: '2m', owner: 'eve' }, 'second');
    await world.settle();
  }

  it('are ranked by age: the newer one reports the holder, and changes nothing', async () => {
    await using world = await open();
    await both(world);
    expect(await world.condition('Stalled', 'second')).toBe('True DuplicateSessionId');
    expect(world.events.join()).toContain('The older CopilotSession alpha holds');
    expect((await world.session('second')).metadata.finalizers).toBeUndefined();
    expect(await world.condition('Ready')).toBe('True SessionIdle');
    world.source.answer(world.server(), alpha(world, { activity: 'Loaded' }));
    await world.advance(3 * MINUTE);
    await world.delete(CopilotSession, 'second');
    await world.settle();
    expect(world.source.called('delete')).toEqual([]);
    expect(world.source.stored.get('alpha')).not.toMatchObject({ 'copilot-operator.dev/owner': 'eve' });
  });

  it('leave the id to the newer one when the older one is deleted', async () => {
    await using world = await open();
    await both(world);
    await world.patch(CopilotSession, 'alpha', { spec: { deletionPolicy: 'Retain' } });
    await world.settle();
    await world.delete(CopilotSession, 'alpha');
    await world.settle();
    expect(world.source.called('delete')).toEqual([]);
    expect(await world.status('second')).toMatchObject({ phase: 'Idle', server: 'acme-0' });
    expect((await world.session('second')).metadata.finalizers).toEqual([FINALIZER]);
  });
});

describe('a missing permission', () => {
  it('to list tenants is reported, and nothing is done meanwhile', async () => {
    await using world = await open();
    await used(world, { ttl: '2m' });
    world.refuse(CopilotTenant);
    await world.advance(10 * MINUTE, MINUTE);
    expect(await world.condition('Stalled')).toBe('True Forbidden');
    expect(world.source.called('deleteUnused')).toEqual([]);
    world.refuse(CopilotTenant, false);
    await world.advance(MINUTE);
    expect(await world.condition('Stalled')).toBe('False NotStalled');
    expect((await world.status()).phase).toBe('Expired');
  });

  it('to patch sessions is reported', async () => {
    const proxy = await FaultProxy.start(api.server);
    try {
      await using world = await SessionWorld.open(api.server.kubeconfig({ server: proxy.url }));
      await world.createTenant();
      world.source.answer(world.server());
      await world.settle();
      const message =
        'copilotsessions.copilot-operator.dev "alpha" is forbidden: User "operator" cannot patch resource "copilotsessions"';
      proxy.inject(
        { verb: 'patch', resource: 'copilotsessions' },
        { kind: 'respond', status: 403, reason: 'Forbidden', message },
        { times: 1 },
      );
      await world.createSession();
      await world.settle();
      expect(await world.condition('Stalled')).toBe('True Forbidden');
      // Reported and tried again within a minute, where back-off would end up at a quarter of an hour.
      expect(await world.failures()).toBe(0);
      await world.advance(MINUTE);
      expect(await world.condition('Ready')).toBe('True AwaitingFirstTurn');
    } finally {
      await proxy.stop();
    }
  });
});

describe('the finalizer', () => {
  it('is removed when the policy becomes Retain, and added with Delete; those of others stay', async () => {
    await using world = await open();
    await pending(world);
    await addFinalizer(world.client, CopilotSession, await world.session(), 'example.com/theirs');
    await world.patch(CopilotSession, 'alpha', { spec: { deletionPolicy: 'Retain' } });
    await world.settle();
    expect((await world.session()).metadata.finalizers).toEqual(['example.com/theirs']);
    await world.patch(CopilotSession, 'alpha', { spec: { deletionPolicy: 'Delete' } });
    await world.settle();
    expect((await world.session()).metadata.finalizers).toEqual(['example.com/theirs', FINALIZER]);
  });
});
