// The life of a CopilotSession, from the reserved id to the deletion of its data, with the real CLI, SDK and volume.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { argoHealth } from '../../support/argo-health.ts';
import { withClient } from '../../support/chat.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, reach, say } from '../../support/model-in-cluster.ts';
import { sessionEvent } from '../../support/session-events.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

describe.each(['cli', 'runtime'] as const)('a session of a server of binary %s', (binary) => {
  let namespace: TestNamespace;
  let model: ModelInCluster;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('acme', { server: { binary }, ...askingTestModel(namespace.name) });
    model = await ModelInCluster.start(namespace);
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  /** File names on the volume of the tenant's first server. */
  const onVolume = async () => (await namespace.exec('acme-0', 'ls', '-A', SESSIONS)).split('\n');
  const gone = (name: string, everyMs = 200) =>
    waitFor(
      `session ${name} is gone`,
      async () => (await namespace.get(CopilotSession, name)) === undefined || undefined,
      {
        withinMs: 60_000,
        everyMs,
      },
    );

  it('is Pending before its first turn, reported after it, and has its owner stored on the server', async () => {
    await namespace.createSession('review', 'acme', { owner: 'alice', participants: ['bob', 'carol'] });
    const pending = await namespace.waitForPhase('review', 'Pending');
    expect(conditionOf(pending, 'Ready')).toMatchObject({ status: 'True', reason: 'AwaitingFirstTurn' });
    expect(pending.status).toMatchObject({ sessionId: 'review' });

    const slow = { match: 'Take your time', steps: [{ text: 'word '.repeat(60), delayMs: 100 }] };
    await model.script(slow);
    const answered = say(namespace, 'acme', { prompt: 'Take your time', sessionId: 'review' });
    const active = await namespace.waitForPhase('review', 'Active', 30_000);
    expect(conditionOf(active, 'Ready')).toMatchObject({ status: 'True', reason: 'TurnRunning' });
    await answered;

    const idle = await namespace.waitForSession(
      'review',
      'reports its usage',
      ({ status }) => status?.phase === 'Idle' && (status.usage?.turns ?? 0) > 0,
    );
    expect(idle.status).toMatchObject({ server: 'acme-0', usage: { turns: 1 } });
    expect(idle.status?.usage?.inputTokens).toBeGreaterThan(0);
    expect(idle.status?.usage?.outputTokens).toBeGreaterThan(0);
    expect(idle.status?.sizeBytes).toBeGreaterThan(1000);
    expect(Date.parse(idle.status?.lastActivityTime ?? '')).toBeGreaterThan(Date.now() - 120_000);

    const metadata = await namespace.exec('acme-0', 'cat', `${SESSIONS}/review/client-metadata.json`);
    for (const word of ['acme', 'review', 'alice', 'bob', 'carol']) expect(metadata).toContain(word);

    const [header, row] = (await namespace.kubectl.ok(['get', 'csn', 'review', '-n', namespace.name])).split('\n');
    expect(header?.split(/ +/)).toEqual(['NAME', 'TENANT', 'READY', 'PHASE', 'TURNS', 'LAST-ACTIVITY', 'AGE']);
    expect(row).toMatch(/^review +acme +True +Idle +1 +\w+ +\w+$/);
  });

  it('is deleted with its resource, including its data', async () => {
    await namespace.createSession('brief', 'acme');
    await namespace.waitForPhase('brief', 'Pending');
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'brief' });
    await namespace.waitForPhase('brief', 'Idle');
    expect(await onVolume()).toContain('brief');
    await namespace.kubectl.ok(['delete', 'csn', 'brief', '-n', namespace.name, '--timeout=60s']);
    expect(await onVolume()).not.toContain('brief');
    // The lock file that the server leaves is swept a little later: then no file has the session's name.
    const left = async () => (await namespace.exec('acme-0', 'find', SESSIONS, '-name', '*brief*')) === '';
    await waitFor('nothing is left of the session', left, { withinMs: 120_000, everyMs: 500 });
    await waitFor('the sweep is over', async () => (await namespace.get(Job, 'acme-sweep0')) === undefined, {
      withinMs: 30_000,
    });
    const { metadata } = await namespace.client.get(PersistentVolumeClaim, namespace.ref('acme-0'));
    expect(metadata.annotations).not.toHaveProperty(['copilot-operator.dev/sweep-at']);
  });

  it('stays on the volume with deletionPolicy Retain, and the next resource with its id finds it', async () => {
    const retained = { sessionId: 'Kept_1', deletionPolicy: 'Retain' } as const;
    await namespace.createSession('kept', 'acme', retained);
    await say(namespace, 'acme', { prompt: 'Remember me', sessionId: 'Kept_1' });
    await namespace.waitForPhase('kept', 'Idle');
    await namespace.kubectl.ok(['delete', 'csn', 'kept', '-n', namespace.name, '--timeout=30s']);
    expect(await onVolume()).toContain('Kept_1');
    await namespace.createSession('kept', 'acme', retained);
    await namespace.waitForPhase('kept', 'Idle');
  });

  it('is closed in the middle of a turn when its resource is deleted, and an event reports that', async () => {
    await namespace.createSession('busy', 'acme');
    await namespace.waitForPhase('busy', 'Pending');
    await model.script({ match: 'Never end', steps: [{ text: 'word '.repeat(2000), delayMs: 100 }] });
    await using binding = await reach(namespace, 'acme');
    await withClient(binding, async (client) => {
      const { model: name = '', provider } = binding;
      const session = await client.createSession({
        sessionId: 'busy',
        model: name,
        ...(provider && { provider }),
        onPermissionRequest: () => ({ kind: 'reject' }),
      });
      await session.send({ prompt: 'Never end' });
      await namespace.waitForPhase('busy', 'Active', 30_000);
      await namespace.kubectl.ok(['delete', 'csn', 'busy', '-n', namespace.name, '--wait=false']);
      await gone('busy');
    });
    const events = await namespace.events('busy', 'CopilotSession');
    expect(events.map(({ reason }) => reason)).toContain('SessionClosed');
    expect(await onVolume()).not.toContain('busy');
  });

  it('is reported as Lost when a client deleted it on the server', async () => {
    await namespace.createSession('stolen', 'acme');
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'stolen' });
    await namespace.waitForPhase('stolen', 'Idle');
    await using binding = await reach(namespace, 'acme');
    await withClient(binding, (client) => client.deleteSession('stolen'));
    const lost = await namespace.waitForPhase('stolen', 'Lost');
    expect(conditionOf(lost, 'Ready')).toMatchObject({ status: 'False', reason: 'SessionLost' });
    expect(await argoHealth(lost)).toMatchObject({
      status: 'Degraded',
      message: expect.stringMatching(/data of the session is gone/),
    });
  });

  it('can be created, deleted with its data and recreated, twice without a pause', async () => {
    await namespace.createSession('again', 'acme');
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'again' });
    let { metadata } = await namespace.waitForPhase('again', 'Idle');
    for (let round = 0; round < 2; round += 1) {
      await namespace.client.delete(CopilotSession, namespace.ref('again'), { uid: metadata.uid ?? '' });
      await gone('again', 20);
      ({ metadata } = await namespace.createSession('again', 'acme'));
    }
    const last = await namespace.waitForPhase('again', 'Pending');
    expect(last.metadata.uid).toBe(metadata.uid);
    expect(await onVolume()).not.toContain('again');
  });

  it('reports which resource holds its id, and takes the id over when that one is deleted', async () => {
    await namespace.createSession('first', 'acme', { sessionId: 'shared-id' });
    await namespace.waitForPhase('first', 'Pending');
    await namespace.createSession('second', 'acme', { sessionId: 'shared-id' });
    const reported = await namespace.waitForSession(
      'second',
      'reports the other one',
      (session) => conditionOf(session, 'Stalled').reason === 'DuplicateSessionId',
    );
    expect(conditionOf(reported, 'Stalled').message).toContain('first');
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'shared-id' });
    await namespace.waitForPhase('first', 'Idle');
    await namespace.kubectl.ok(['delete', 'csn', 'second', '-n', namespace.name, '--timeout=30s']);
    expect(await onVolume()).toContain('shared-id');
    await namespace.createSession('second', 'acme', { sessionId: 'shared-id' });
    await namespace.kubectl.ok(['delete', 'csn', 'first', '-n', namespace.name, '--timeout=60s']);
    await namespace.waitForSession(
      'second',
      'holds the id',
      (session) => conditionOf(session, 'Stalled').status === 'False',
    );
    expect(await onVolume()).not.toContain('shared-id');
  });

  it('waits for its tenant, and for one that is recreated', async () => {
    await namespace.createSession('early', 'later');
    const early = await namespace.waitForSession(
      'early',
      'reports that there is no such tenant',
      (session) => conditionOf(session, 'Stalled').reason === 'TenantNotFound',
    );
    expect(conditionOf(early, 'Stalled').message).toContain('later');
    await namespace.createTenant('later', { server: { binary: 'runtime' } });
    await namespace.waitForSession(
      'early',
      'becomes Ready',
      (session) => conditionOf(session, 'Ready').status === 'True',
      READY_MS,
    );
    await namespace.deleteTenant('later');
    await namespace.kubectl.ok(['delete', 'csn', 'early', '-n', namespace.name, '--timeout=30s']);
  });
});

describe('sessions of a suspended tenant', () => {
  let namespace: TestNamespace;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('sleepy', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
    await ModelInCluster.start(namespace);
    await namespace.waitForReady('sleepy');
  });
  afterAll(() => namespace.close());

  it('report the suspension; one is deleted from the volume with its resource, and the others are there after the resume', async () => {
    for (const name of ['going', 'staying']) {
      await namespace.createSession(name, 'sleepy');
      await say(namespace, 'sleepy', { prompt: `I am ${name}`, sessionId: name });
      await namespace.waitForPhase(name, 'Idle');
    }
    await namespace.patchTenant('sleepy', { spec: { suspend: true } });
    const reported = await namespace.waitForSession(
      'staying',
      'reports that its tenant is suspended',
      (session) => conditionOf(session, 'Ready').reason === 'TenantSuspended',
    );
    expect(reported.status?.phase).toBe('Idle');
    await waitFor('the server has stopped', async () => (await namespace.pods('sleepy', 'sleepy-0')).length === 0, {
      withinMs: 60_000,
    });
    await namespace.kubectl.ok(['delete', 'csn', 'going', '-n', namespace.name, '--timeout=120s']);
    expect(await namespace.events('going', 'CopilotSession')).not.toContainEqual(
      expect.objectContaining({ reason: 'SessionDataLeftBehind' }),
    );
    await namespace.patchTenant('sleepy', { spec: { suspend: false } });
    await namespace.waitForReady('sleepy');
    await namespace.waitForSession(
      'staying',
      'is Ready again',
      (session) => conditionOf(session, 'Ready').status === 'True' && session.status?.phase === 'Idle',
    );
    const left = (await namespace.exec('sleepy-0', 'ls', '-A', SESSIONS)).split('\n');
    expect(left).toContain('staying');
    expect(left).not.toContain('going');
    const { sessionId } = await say(namespace, 'sleepy', { prompt: 'Still there?', resume: 'staying' });
    expect(sessionId).toBe('staying');
  });

  it('of a tenant that was deleted first: the resource is deleted at once, and an event names the claim with the data', async () => {
    await namespace.createTenant('leaving', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
    await namespace.waitForReady('leaving');
    await namespace.createSession('widow', 'leaving');
    await say(namespace, 'leaving', { prompt: 'Hello', sessionId: 'widow' });
    await namespace.waitForPhase('widow', 'Idle');
    await namespace.deleteTenant('leaving');
    const reported = await namespace.waitForSession(
      'widow',
      'reports that its tenant is gone',
      (session) => conditionOf(session, 'Stalled').reason === 'TenantNotFound',
    );
    expect(reported.status).toMatchObject({ phase: 'Idle', server: 'leaving-0' });
    await namespace.kubectl.ok(['delete', 'csn', 'widow', '-n', namespace.name, '--timeout=15s']);
    const left = await sessionEvent(namespace, 'widow', 'SessionDataLeftBehind');
    expect(left).toMatchObject({ type: 'Warning', count: 1 });
    expect(left.message).toContain('the data is on its retained PersistentVolumeClaim leaving-0');
    const claim = await namespace.get(PersistentVolumeClaim, 'leaving-0');
    expect(claim?.metadata.deletionTimestamp).toBeUndefined();
    expect(claim?.status?.phase).toBe('Bound');
  });

  it('do not delay the deletion of a tenant that is deleted first', async () => {
    await namespace.createTenant('gone', { server: { binary: 'runtime' }, storage: { reclaimPolicy: 'Delete' } });
    await namespace.waitForReady('gone');
    await namespace.createSession('orphan', 'gone');
    await namespace.waitForPhase('orphan', 'Pending');
    await namespace.deleteTenant('gone');
    await waitFor('the volume is gone', async () => !(await namespace.get(PersistentVolumeClaim, 'gone-0')), {
      withinMs: 60_000,
    });
    await namespace.kubectl.ok(['delete', 'csn', 'orphan', '-n', namespace.name, '--timeout=90s']);
  });
});
