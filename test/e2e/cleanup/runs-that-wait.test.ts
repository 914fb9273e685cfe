// Cleanup runs that cannot start, or that a sidecar keeps from ending, on the real cluster.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job } from '../../../src/kube/types/builtins.ts';
import { cleanupLabels } from '../../../src/resources/cleanup-pod.ts';
import { cleanupJob, tenantThatCleans } from '../../support/cleanup-by-hand.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { addSidecar } from '../../support/meddling-policy.ts';
import { ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await ModelInCluster.start(namespace);
});
afterAll(() => namespace.close());

const onVolume = async (tenant: string) => (await namespace.exec(`${tenant}-0`, 'ls', '-A', SESSIONS)).split('\n');

describe('a cleanup run', () => {
  it('that a sidecar keeps open is counted, and its Job deleted', async () => {
    await tenantThatCleans(namespace, 'meshed');
    const undo = await addSidecar(namespace, cleanupLabels('meshed'));
    try {
      const job = await cleanupJob(namespace, 'meshed');
      const { status } = await namespace.waitForTenant(
        'meshed',
        'reports the run',
        (tenant) => tenant.status?.lastCleanup?.job === job,
        150_000,
      );
      expect(status?.lastCleanup).toMatchObject({ result: 'Succeeded', failuresInARow: 0 });
      await waitFor('the Job is deleted', async () => (await namespace.get(Job, job)) === undefined || undefined, {
        withinMs: 30_000,
        everyMs: 500,
      });
    } finally {
      await undo();
    }
  });

  it('that a quota refuses is reported, and the servers delete expired sessions meanwhile', async () => {
    await tenantThatCleans(namespace, 'crowded');
    for (const sessionId of ['long-ago', 'of-today']) await say(namespace, 'crowded', { prompt: 'Hello', sessionId });
    // Below what is used already: a pod of another test that ends meanwhile makes no room.
    await namespace.kubectl.ok(['create', 'quota', 'few', '--hard=pods=1', '-n', namespace.name]);
    const used = ['get', 'quota', 'few', '-n', namespace.name, '-o', 'jsonpath={.status.used.pods}'];
    await waitFor('the quota is enforced', async () => Number(await namespace.kubectl.ok(used)) > 1 || undefined, {
      withinMs: 30_000,
      everyMs: 500,
    });
    try {
      await namespace.exec('crowded-0', 'touch', '-d', '2 days ago', `${SESSIONS}/long-ago/events.jsonl`);
      const job = await cleanupJob(namespace, 'crowded');
      const blocked = await namespace.waitForTenant(
        'crowded',
        'reports that the run is blocked',
        (tenant) => conditionOf(tenant, 'CleanupHealthy').reason === 'CleanupBlocked',
        150_000,
      );
      expect(conditionOf(blocked, 'CleanupHealthy')).toMatchObject({
        status: 'False',
        message: expect.stringMatching(
          new RegExp(`^Pod of Job ${job} exceeds the ResourceQuota few of the namespace: `),
        ),
      });
      expect(conditionOf(blocked, 'Ready').status).toBe('True');
      await waitFor(
        'the server has deleted the expired session',
        async () => !(await onVolume('crowded')).includes('long-ago') || undefined,
        { withinMs: 120_000, everyMs: 1000 },
      );
      expect(await onVolume('crowded')).toContain('of-today');
    } finally {
      await namespace.kubectl.ok(['delete', 'quota', 'few', '-n', namespace.name]);
    }
  });
});
