// Invalid sessions: rejected with the field, or reported in the status where only the cluster shows the problem.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CronJob } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** As in the other tests of cleanups: once in four years. */
const SCHEDULED = { ttl: '24h', cleanupSchedule: '0 0 29 2 *' };

let namespace: TestNamespace;
/** Another namespace that the same operator looks after. */
let other: TestNamespace;
let bystander: Bystander;

beforeAll(async () => {
  [namespace, other] = await Promise.all([TestNamespace.open(), TestNamespace.open()]);
  const account = `--serviceaccount=${namespace.name}:copilot-operator`;
  const role = '--role=copilot-operator-tenants';
  await namespace.kubectl.ok(['create', 'rolebinding', 'neighbour', role, account, '-n', other.name]);
  await namespace.startOperator({ args: [`--watch-namespaces=${namespace.name},${other.name}`] });
  await namespace.createTenant('acme', { server: { binary: 'runtime' }, sessions: SCHEDULED });
  await other.createTenant('elsewhere', { server: { binary: 'runtime' }, ...askingTestModel(other.name) });
  await ModelInCluster.start(other);
  bystander = await Bystander.start(namespace);
  await Promise.all([namespace.waitForIdle('acme'), other.waitForReady('elsewhere')]);
});
afterAll(async () => {
  // First the tenants, which the operator of the other one takes away.
  await other.close();
  await namespace.close();
});

const apply = (kind: 'CopilotSession' | 'CopilotTenant', name: string, spec: object) =>
  namespace.kubectl.try(['apply', '-f', '-'], {
    apiVersion: 'copilot-operator.dev/v1alpha1',
    kind,
    metadata: { name, namespace: namespace.name },
    spec,
  });

const PATTERN = 'spec.sessionId in body should match';
const TTL = 'spec.ttl must be from 1m to 87600h';
const TENANT_TTL = 'spec.sessions.ttl must be from 1m to 87600h';

describe('kubectl apply is refused with the field', () => {
  it.each([
    ['an id with a dot', { sessionId: 'a.b' }, PATTERN],
    ['an id that is a path', { sessionId: '../bystander' }, PATTERN],
    ['an id with a space', { sessionId: 'a b' }, PATTERN],
    ['an id with a line break', { sessionId: 'a\nb' }, PATTERN],
    ['an id of other letters', { sessionId: 'größe' }, PATTERN],
    ['an id of 255 characters', { sessionId: 'a'.repeat(255) }, 'spec.sessionId: Too long: may not be more than 200'],
    ['a ttl of 0', { ttl: '0s' }, TTL],
    ['a negative ttl', { ttl: '-1h' }, TTL],
    ['a ttl of a century', { ttl: '876000h' }, TTL],
  ])('of a session with %s', async (_, spec, reported) => {
    const { code, stderr } = await apply('CopilotSession', 'refused', { tenantRef: { name: 'acme' }, ...spec });
    expect(stderr).toContain(reported);
    expect(code).toBe(1);
    expect(await namespace.get(CopilotSession, 'refused')).toBeUndefined();
  });

  it.each([
    ['a ttl of 0', { ttl: '0s' }, TENANT_TTL],
    ['a negative ttl', { ttl: '-1h' }, TENANT_TTL],
    ['a ttl of a century', { ttl: '876000h' }, TENANT_TTL],
    [
      'a schedule of three words',
      { cleanupSchedule: 'once a day' },
      'spec.sessions.cleanupSchedule in body should match',
    ],
    ['a time zone that is a path', { timeZone: '../UTC' }, 'spec.sessions.timeZone in body should match'],
  ])('of a tenant with %s, and one that runs stays as it is', async (_, sessions, reported) => {
    const before = await namespace.tenant('acme');
    for (const name of ['refused', 'acme']) {
      const { code, stderr } = await apply('CopilotTenant', name, { sessions });
      expect(stderr).toContain(reported);
      expect(code).toBe(1);
    }
    expect(await namespace.get(CopilotTenant, 'refused')).toBeUndefined();
    expect(await namespace.tenant('acme')).toEqual(before);
    await bystander.expectUntouched();
  });
});

describe('a schedule that has the shape of one and is none', () => {
  it.each([
    ['minute 61', { cleanupSchedule: '61 * * * *' }, 'spec.sessions.cleanupSchedule'],
    ['letters', { cleanupSchedule: 'a b c d e' }, 'spec.sessions.cleanupSchedule'],
    ['a time zone of another planet', { timeZone: 'Mars/Olympus' }, 'spec.sessions.timeZone'],
  ])('is reported with its field, and the servers keep running: %s', async (_, sessions, field) => {
    const cronJob = () => namespace.get(CronJob, 'acme-cleanup');
    const [pod] = await namespace.pods('acme');
    expect(await cronJob()).toBeDefined();
    await namespace.patchTenant('acme', { spec: { sessions } });
    const reported = await expectStalled(
      namespace,
      'acme',
      'InvalidSpec',
      ['CronJob acme-cleanup', `Correct ${field}`],
      {
        serves: true,
      },
    );
    expect(reported.status?.servers).toMatchObject([{ name: 'acme-0', state: 'Healthy', restarts: 0 }]);
    expect(conditionOf(reported, 'Healthy').status).toBe('True');
    // The one of the former spec would go by another rule than this one.
    await waitFor('the former CronJob is gone', async () => (await cronJob()) === undefined, { everyMs: 100 });

    await namespace.patchTenant('acme', { spec: { sessions: { timeZone: null, ...SCHEDULED } } });
    await expectRecovered(namespace, 'acme');
    expect(await cronJob()).toBeDefined();
    expect((await namespace.pods('acme')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
    await bystander.expectUntouched();
  });
});

describe('a session whose tenant is in another namespace', () => {
  const shared = () => other.waitForSession('shared', 'reports its usage', ({ status }) => status?.usage?.turns === 1);
  const journal = () => other.exec('elsewhere-0', 'cat', `${SESSIONS}/shared/events.jsonl`);
  const stranger = 'eve-of-the-neighbours';

  it('reports that there is no such tenant, and leaves the session of that id there alone', async () => {
    await other.createSession('shared', 'elsewhere', { owner: 'ann' });
    await say(other, 'elsewhere', { prompt: 'This is for Ann alone', sessionId: 'shared' });
    const before = await shared();
    const written = await journal();

    await namespace.createSession('shared', 'elsewhere', { owner: stranger, lifecycle: 'Ephemeral' });
    const reported = await namespace.waitForSession(
      'shared',
      'reports that there is no such tenant',
      (session) => conditionOf(session, 'Stalled').reason === 'TenantNotFound',
    );
    expect(conditionOf(reported, 'Stalled').message).toContain(
      `CopilotTenant elsewhere does not exist in namespace ${namespace.name}`,
    );
    expect(conditionOf(reported, 'Ready')).toMatchObject({ status: 'False', reason: 'TenantNotFound' });
    for (const field of ['server', 'usage', 'sizeBytes', 'lastActivityTime']) {
      expect(reported.status).not.toHaveProperty(field);
    }
    await namespace.kubectl.ok(['delete', 'csn', 'shared', '-n', namespace.name, '--timeout=15s']);
    expect(await namespace.events('shared', 'CopilotSession')).not.toContainEqual(
      expect.objectContaining({ reason: 'SessionDataLeftBehind' }),
    );

    const after = await shared();
    expect(after.metadata).toMatchObject({ uid: before.metadata.uid, generation: before.metadata.generation });
    expect(after.metadata.deletionTimestamp).toBeUndefined();
    expect(after.status).toMatchObject({ phase: 'Idle', server: 'elsewhere-0', usage: before.status?.usage });
    expect(await journal()).toBe(written);
    // Whose a session is, is kept beside its journal.
    expect(await other.exec('elsewhere-0', 'sh', '-c', `grep -rl ${stranger} ${SESSIONS} || true`)).toBe('');
    expect(await namespace.get(CopilotTenant, 'elsewhere')).toBeUndefined();
    await bystander.expectUntouched();
  });
});
