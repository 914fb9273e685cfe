// The cleanup as its CronJob runs it: the real image in a restricted pod, the real server, the real volume.
import { isDeepStrictEqual } from 'node:util';
import { approveAll } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConfigMap, Pod } from '../../../src/kube/types/builtins.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { argoHealth } from '../../support/argo-health.ts';
import { withClient } from '../../support/chat.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { cleanUp, tenantThatCleans } from '../../support/cleanup-by-hand.ts';
import { giveWrongToken } from '../../support/meddling-policy.ts';
import { ModelInCluster, reach, say } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** Within this time a tenant's session statistics are up to date, in ms. */
const COUNTED_MS = 60_000;

let namespace: TestNamespace;
let model: ModelInCluster;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  model = await ModelInCluster.start(namespace);
});
afterAll(() => namespace.close());

const onVolume = async (tenant: string) => (await namespace.exec(`${tenant}-0`, 'ls', '-A', SESSIONS)).split('\n');

/** Changes the modification times of the sessions as if they had not been used for two days. */
const age = (tenant: string, ...ids: string[]) =>
  namespace.exec(`${tenant}-0`, 'touch', '-d', '2 days ago', ...ids.map((id) => `${SESSIONS}/${id}/events.jsonl`));

/** To the minute, as the status reports it. */
const wasActiveAt = (time: number, status: CopilotTenant['status']) =>
  Date.parse(status?.lastActivityTime ?? '') >= Math.floor(time / 60_000) * 60_000;

describe('the cleanup of a running tenant', () => {
  it('deletes what is old, and not what is young or kept by a resource', async () => {
    await tenantThatCleans(namespace, 'tidy');
    for (const sessionId of ['old', 'young', 'kept', 'short-lived']) {
      await say(namespace, 'tidy', { prompt: 'Hello', sessionId });
    }
    await namespace.createSession('kept', 'tidy');
    await waitFor(
      'the resource keeps its session from the cleanup',
      async () => (await namespace.get(ConfigMap, 'tidy-sessions'))?.data?.['policies.json']?.includes('"kept"'),
      { withinMs: 30_000, everyMs: 100 },
    );
    await age('tidy', 'old', 'kept');
    const last = await cleanUp(namespace, 'tidy');
    expect(last).toMatchObject({ result: 'Succeeded', deleted: 1, kept: 3, failuresInARow: 0 });
    expect(last.freedBytes).toBeGreaterThan(1000);
    const left = await onVolume('tidy');
    expect(left).not.toContain('old');
    expect(left).toEqual(expect.arrayContaining(['young', 'kept', 'short-lived']));
    const tenant = await namespace.waitForTenant('tidy', 'counts its sessions', ({ status }) => {
      return status?.sessions?.total === 3;
    });
    expect(conditionOf(tenant, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupSucceeded' });
    const [, row] = (await namespace.kubectl.ok(['get', 'ct', 'tidy', '-n', namespace.name])).split('\n');
    expect(row).toMatch(/^tidy +True +1\/1 +3 +Healthy /);
  });

  it('keeps loaded sessions and one with a running turn, whatever their modification times', async () => {
    await tenantThatCleans(namespace, 'open');
    for (const sessionId of ['old', 'opened', 'used', 'thinking']) {
      await say(namespace, 'open', { prompt: 'Hello', sessionId });
    }
    // The server writes nothing of this turn to the journal before the first word of the answer.
    await model.script({ match: 'Think it over', steps: [{ text: 'done', chunks: 1, delayMs: 600_000 }] });
    await using binding = await reach(namespace, 'open');
    await withClient(binding, async (client) => {
      const { model: name = '', provider } = binding;
      const config = { model: name, ...(provider && { provider }), onPermissionRequest: approveAll };
      // Until it is used, polling reports it as not loaded: only a request for the session itself shows that it is.
      await client.resumeSession('opened', config);
      await (await client.resumeSession('used', config)).sendAndWait({ prompt: 'Hello again' });
      const thinking = await client.resumeSession('thinking', config);
      const began = Date.now();
      await thinking.send({ prompt: 'Think it over' });
      await waitFor('the model was asked', async () => (await model.journal('Think it over')).length > 0);
      await namespace.waitForTenant(
        'open',
        'counts the loaded sessions, and the turn',
        ({ status }) =>
          isDeepStrictEqual(status?.sessions, { active: 1, loaded: 2, total: 4 }) && wasActiveAt(began, status),
        COUNTED_MS,
      );
      await age('open', 'old', 'opened', 'used', 'thinking');
      expect(await cleanUp(namespace, 'open')).toMatchObject({ result: 'Succeeded', deleted: 1, kept: 3 });
      await thinking.abort();
    });
    await namespace.waitForTenant(
      'open',
      'counts no loaded session',
      ({ status }) => isDeepStrictEqual(status?.sessions, { active: 0, loaded: 0, total: 3 }),
      COUNTED_MS,
    );
    const left = await onVolume('open');
    expect(left).not.toContain('old');
    expect(left).toEqual(expect.arrayContaining(['opened', 'used', 'thinking']));
    // Nor was it closed for the client that had it open: it continues with its history.
    await say(namespace, 'open', { prompt: 'Still there?', resume: 'opened' });
    const [request] = await model.journal('Still there?');
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
  });

  it('reports in a dry run what it would delete, and deletes nothing', async () => {
    await tenantThatCleans(namespace, 'careful', { cleanupDryRun: true });
    await say(namespace, 'careful', { prompt: 'Hello', sessionId: 'old' });
    await age('careful', 'old');
    expect(await cleanUp(namespace, 'careful')).toMatchObject({
      result: 'Succeeded',
      dryRun: true,
      deleted: 1,
      kept: 0,
    });
    expect(await onVolume('careful')).toContain('old');
  });

  it('sweeps the files that deletions leave, and touches no files of users', async () => {
    await tenantThatCleans(namespace, 'swept');
    await say(namespace, 'swept', { prompt: 'Hello', sessionId: 'old' });
    await age('swept', 'old');
    await namespace.exec(
      'swept-0',
      'sh',
      '-c',
      `cd ${SESSIONS} && echo mine > notes.txt && mkdir photos && echo mine > photos/a.jpg && touch -d '9 days ago' notes.txt photos photos/a.jpg`,
    );
    expect(await cleanUp(namespace, 'swept')).toMatchObject({ result: 'Succeeded', deleted: 1 });
    const left = await onVolume('swept');
    expect(left).toEqual(expect.arrayContaining(['notes.txt', 'photos']));
    expect(left).not.toContain('old');
    expect(await namespace.exec('swept-0', 'cat', `${SESSIONS}/photos/a.jpg`)).toBe('mine\n');
    expect(await namespace.exec('swept-0', 'ls', '-A', `${SESSIONS}/.session-operation-locks`)).not.toContain(
      'old.lock',
    );
  });

  it('sweeps the volumes of several servers in turn, one in each run', async () => {
    await tenantThatCleans(namespace, 'trio', {}, { replicas: 2 });
    const locks = `${SESSIONS}/.session-operation-locks`;
    const servers = ['trio-0', 'trio-1'];
    for (const server of servers) {
      const script = `mkdir -p ${locks} && touch -d '2 days ago' ${locks}/gone.lock`;
      await namespace.exec(server, 'sh', '-ec', script);
    }
    const unswept = async () => {
      const listed = await Promise.all(servers.map((server) => namespace.exec(server, 'ls', '-A', locks)));
      return listed.filter((names) => names.includes('gone.lock')).length;
    };
    const history = [];
    // The name of the previous run decides which volume is next.
    for (let run = 0; run < 20 && (await unswept()) > 0; run++) {
      expect(await cleanUp(namespace, 'trio')).toMatchObject({ result: 'Succeeded', deleted: 0 });
      history.push(await unswept());
    }
    expect(history).toContain(1);
    expect(history.at(-1)).toBe(0);
  });

  it('logs no text of users and no token, and has no access to Kubernetes', async () => {
    await tenantThatCleans(namespace, 'quiet');
    await say(namespace, 'quiet', { prompt: 'My secret plan', sessionId: 'old' });
    await age('quiet', 'old');
    const { job } = await cleanUp(namespace, 'quiet');
    const log = await namespace.kubectl.ok(['logs', `job/${job}`, '-n', namespace.name]);
    const { token = '' } = await namespace.secret('quiet-token');
    expect(log).toContain('old');
    expect(log).not.toContain('secret plan');
    expect(log).not.toContain(token);
    const [pod] = await namespace.list(Pod, `batch.kubernetes.io/job-name=${job}`);
    expect(pod?.spec?.automountServiceAccountToken).toBe(false);
  });

  it('is reported as failing after two failures in a row, with the reason, and recovers once the cause is fixed', async () => {
    await tenantThatCleans(namespace, 'broken');
    await say(namespace, 'broken', { prompt: 'Hello', sessionId: 'old' });
    await age('broken', 'old');
    // The server has the token that it was started with, and refuses a cleanup with another one.
    const { token = '' } = await namespace.secret('broken-token');
    const labels = { 'copilot-operator.dev/tenant': 'broken', 'app.kubernetes.io/component': 'cleanup' };
    const undo = await giveWrongToken(namespace, labels, () => dryRunPod('broken'));
    try {
      const first = await cleanUp(namespace, 'broken');
      expect(first).toMatchObject({ result: 'Failed', failuresInARow: 1 });
      const once = await namespace.tenant('broken');
      expect(conditionOf(once, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupRetrying' });
      await cleanUp(namespace, 'broken');
      const twice = await namespace.waitForTenant(
        'broken',
        'reports that its cleanup fails',
        (tenant) => conditionOf(tenant, 'CleanupHealthy').reason === 'CleanupFailing',
      );
      expect(conditionOf(twice, 'CleanupHealthy')).toMatchObject({ status: 'False' });
      expect(conditionOf(twice, 'CleanupHealthy').message).toMatch(/token/i);
      expect(JSON.stringify(twice.status)).not.toContain(token);
      expect(conditionOf(twice, 'Ready').status).toBe('True');
      expect(await argoHealth(twice)).toMatchObject({ status: 'Degraded', message: expect.stringMatching(/token/i) });
    } finally {
      await undo();
    }
    expect(await cleanUp(namespace, 'broken')).toMatchObject({ result: 'Succeeded', deleted: 1, failuresInARow: 0 });
    const mended = await namespace.tenant('broken');
    expect(conditionOf(mended, 'CleanupHealthy')).toMatchObject({ status: 'True', reason: 'CleanupSucceeded' });
  });

  /** A pod of the tenant's CronJob as the API server would create it (a dry run). */
  async function dryRunPod(tenant: string): Promise<string> {
    const cronJob = await namespace.kubectl.ok(['get', 'cronjob', `${tenant}-cleanup`, '-n', namespace.name, '-ojson']);
    const { template } = (
      JSON.parse(cronJob) as { spec: { jobTemplate: { spec: { template: { metadata?: object } } } } }
    ).spec.jobTemplate.spec;
    const metadata = { ...template.metadata, name: 'probe', namespace: namespace.name };
    const pod = { apiVersion: 'v1', kind: 'Pod', ...template, metadata };
    return namespace.kubectl.ok(['create', '-o', 'json', '--dry-run=server', '-f', '-'], pod);
  }
});

describe('the cleanup of a suspended tenant', () => {
  it('works on the volume', async () => {
    await tenantThatCleans(namespace, 'asleep');
    for (const sessionId of ['old', 'young']) await say(namespace, 'asleep', { prompt: 'Hello', sessionId });
    await age('asleep', 'old');
    await namespace.patchTenant('asleep', { spec: { suspend: true } });
    await waitFor('the server has stopped', async () => (await namespace.pods('asleep', 'asleep-0')).length === 0, {
      withinMs: 60_000,
      everyMs: 200,
    });
    await namespace.waitForTenant(
      'asleep',
      'is suspended and up to date',
      (tenant) => conditionOf(tenant, 'Reconciling').reason === 'UpToDate',
    );
    expect(await cleanUp(namespace, 'asleep')).toMatchObject({ result: 'Succeeded', deleted: 1, kept: 1 });
    await namespace.patchTenant('asleep', { spec: { suspend: false } });
    await namespace.waitForReady('asleep');
    const left = await onVolume('asleep');
    expect(left).toContain('young');
    expect(left).not.toContain('old');
  });
});
