// Faults of sessions and their cleanup on a cluster: kills, damaged journals, a read-only volume, thousands of sessions.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Job } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { cleanupJob, cleanUp, tenantThatCleans } from '../../support/cleanup-by-hand.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { serverPid } from '../../support/processes.ts';
import { sessionEvent } from '../../support/session-events.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const disk = `readonly-${randomBytes(4).toString('hex')}`;

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await ModelInCluster.start(namespace);
});
afterAll(() => namespace.close());

const shell = (tenant: string, script: string) =>
  namespace.exec(`${tenant}-0`, 'sh', '-ec', `cd ${SESSIONS} && ${script}`);

/** Copies the session named `seed` to `count` sessions that look unused for so many days. */
const multiply = (tenant: string, prefix: string, count: number, days: number) =>
  shell(
    tenant,
    `i=0; while [ $i -lt ${count} ]; do mkdir ${prefix}$i; i=$((i+1)); done;
     for d in ${prefix}*; do cat seed/events.jsonl > $d/events.jsonl; done;
     touch -d '${days} days ago' ${prefix}*/events.jsonl`,
  );
const count = async (tenant: string, prefix: string) =>
  Number(await shell(tenant, `ls | grep -c '^${prefix}' || true`));
const gone = (session: string) =>
  waitFor(`session ${session} is gone`, async () => !(await namespace.get(CopilotSession, session)), {
    withinMs: 90_000,
    everyMs: 200,
  });

describe('three thousand sessions of one server', () => {
  beforeAll(async () => {
    await tenantThatCleans(namespace, 'many');
    await say(namespace, 'many', { prompt: 'Hello', sessionId: 'seed' });
    await multiply('many', 'young', 2400, 0);
    await multiply('many', 'old', 600, 2);
  });

  it('are counted, and cleaned up by the run after one that was killed in the middle', async () => {
    await namespace.waitForTenant('many', 'counts them', ({ status }) => status?.sessions?.total === 3001);
    const job = await cleanupJob(namespace, 'many');
    await waitFor('the run is at work', async () => (await count('many', 'old')) < 600, {
      withinMs: 60_000,
      everyMs: 50,
    });
    await namespace.kubectl.ok(
      `delete pod -n ${namespace.name} -l batch.kubernetes.io/job-name=${job} --grace-period=0 --force`.split(' '),
    );
    const killed = await namespace.waitForTenant(
      'many',
      'tells of it',
      ({ status }) => status?.lastCleanup?.job === job,
    );
    expect(killed.status?.lastCleanup).toMatchObject({ result: 'Failed', failuresInARow: 1 });
    expect(await count('many', 'old')).toBeGreaterThan(0);
    expect(await count('many', 'young')).toBe(2400);

    expect(await cleanUp(namespace, 'many')).toMatchObject({ result: 'Succeeded', kept: 2401 });
    expect([await count('many', 'old'), await count('many', 'young')]).toEqual([0, 2400]);
    await namespace.waitForTenant('many', 'counts what is left', ({ status }) => status?.sessions?.total === 2401);
  });

  it('are deleted once by two runs at the same time', async () => {
    await multiply('many', 'late', 60, 2);
    const jobs = [await cleanupJob(namespace, 'many'), await cleanupJob(namespace, 'many')];
    // The CronJob keeps one of two successful Jobs, so the other may be deleted before its end is observed. A failed one stays.
    const endOf = async (name: string) => {
      const job = await namespace.get(Job, name);
      const ended = job?.status?.conditions?.find(
        ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
      );
      return job === undefined ? 'Complete' : ended?.type;
    };
    const ends = jobs.map((job) =>
      waitFor(`run ${job} has ended`, () => endOf(job), { withinMs: 90_000, everyMs: 200 }),
    );
    expect(await Promise.all(ends)).toEqual(['Complete', 'Complete']);
    expect([await count('many', 'late'), await count('many', 'young')]).toEqual([0, 2400]);
    const { status } = await namespace.waitForReady('many');
    expect(status?.lastCleanup).toMatchObject({ failuresInARow: 0 });
  });
});

describe('a server', () => {
  beforeAll(async () => {
    await namespace.createTenant('hard', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
    await namespace.waitForReady('hard');
    for (const sessionId of ['seed', 'good']) await say(namespace, 'hard', { prompt: 'Hello', sessionId });
  });

  it('is not harmed by a journal that is cut or has 500 MB, and these sessions can be deleted like others', async () => {
    await multiply('hard', 'cut', 1, 0);
    await multiply('hard', 'huge', 1, 0);
    await shell('hard', 'truncate -s 10 cut0/events.jsonl && truncate -s 500M huge0/events.jsonl');
    for (const session of ['cut0', 'huge0', 'good']) await namespace.createSession(session, 'hard');
    await namespace.waitForSession('good', 'reports its usage', ({ status }) => status?.usage?.turns === 1);
    for (const session of ['cut0', 'huge0']) {
      await namespace.waitForSession(session, 'reports', ({ status }) => (status?.sizeBytes ?? 0) > 0);
    }
    await namespace.waitForTenant('hard', 'counts them all', ({ status }) => status?.sessions?.total === 4);
    await namespace.waitForReady('hard');
    for (const session of ['cut0', 'huge0']) {
      await namespace.kubectl.ok(['delete', 'csn', session, '-n', namespace.name, '--timeout=90s']);
    }
    expect((await shell('hard', 'ls')).split('\n')).toEqual(expect.arrayContaining(['good', 'seed']));
    expect([await count('hard', 'cut'), await count('hard', 'huge')]).toEqual([0, 0]);
    const [pod] = await namespace.pods('hard', 'hard-0');
    expect(pod?.status?.containerStatuses?.[0]?.restartCount).toBe(0);
  });

  it('that is killed in the middle of a deletion restarts, and the session is still deleted', async () => {
    await multiply('hard', 'doomed', 1, 0);
    // So that deleting it takes seconds.
    const files = 100_000;
    await shell('hard', `mkdir doomed0/files && cd doomed0/files && seq ${files} | xargs touch`);
    await namespace.createSession('doomed0', 'hard');
    await namespace.waitForPhase('doomed0', 'Idle');
    const [pod] = await namespace.pods('hard', 'hard-0');
    if (pod === undefined) throw new Error('hard-0 has no pod');
    const server = serverPid(pod);

    const here = 'ls -f doomed0/files 2>/dev/null | wc -l';
    // It ends with the container, so its last output is the state that the kill left.
    const watch = `cd ${SESSIONS} && touch /tmp/watching && while ${here}; do sleep 0.02; done`;
    const exec = ['exec', '-n', namespace.name, 'deploy/hard-0', '-c', 'server', '--'];
    const watched = namespace.kubectl.try([...exec, 'sh', '-c', watch]);
    await waitFor('the files are watched', () => shell('hard', 'ls /tmp/watching'), { everyMs: 50 });
    const begun = shell('hard', `while [ $(${here}) -ge ${files} ]; do sleep 0.01; done; ${here}`);
    await namespace.kubectl.ok(['delete', 'csn', 'doomed0', '-n', namespace.name, '--wait=false']);
    expect(Number(await begun)).toBeGreaterThan(0);
    process.kill(server, 'SIGKILL');
    const left = Number((await watched).stdout.trimEnd().split('\n').at(-1));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(files);

    await gone('doomed0');
    await namespace.waitForReady('hard');
    const sessions = (await shell('hard', 'ls')).split('\n');
    expect(sessions).not.toContain('doomed0');
    expect(sessions).toContain('seed');
  });
});

describe('a volume that has become read-only', () => {
  let volume: SmallDisk;

  beforeAll(async () => {
    // The claim is deleted with its tenant: a volume with a claim is not deleted.
    volume = new SmallDisk(disk);
    await namespace.kubectl.ok(['create', '-f', '-'], volume.manifest);
    await tenantThatCleans(
      namespace,
      'stuck',
      {},
      { storage: { size: '24Mi', storageClassName: disk, reclaimPolicy: 'Delete' } },
    );
    await say(namespace, 'stuck', { prompt: 'Hello', sessionId: 'seed' });
    await namespace.createSession('seed', 'stuck');
    await namespace.waitForPhase('seed', 'Idle');
    await multiply('stuck', 'old', 3, 2);
    await namespace.patchTenant('stuck', { spec: { suspend: true } });
    await waitFor('the server has stopped', async () => (await namespace.pods('stuck', 'stuck-0')).length === 0, {
      withinMs: 60_000,
      everyMs: 200,
    });
  });
  afterAll(async () => {
    await namespace.deleteTenant('stuck');
    await namespace.kubectl.ok(['delete', 'pv', disk, '--ignore-not-found']);
    volume[Symbol.dispose]();
  });

  it('fails the cleanup with the reason, is reported when a session is deleted, and is cleaned up once it is writable', async () => {
    await namespace.waitForTenant(
      'stuck',
      'is suspended and up to date',
      (tenant) => conditionOf(tenant, 'Reconciling').reason === 'UpToDate',
    );
    volume.makeReadOnly(true);
    await namespace.kubectl.ok(['delete', 'csn', 'seed', '-n', namespace.name, '--wait=false']);
    const failed = await cleanUp(namespace, 'stuck');
    expect(failed).toMatchObject({ result: 'Failed', deleted: 0 });
    expect(failed.message).toMatch(/read-only/);
    await gone('seed');
    const left = await sessionEvent(namespace, 'seed', 'SessionDataLeftBehind');
    expect(left).toMatchObject({ type: 'Warning', count: 1 });
    expect(left.message).toMatch(/left behind\. PersistentVolumeClaim stuck-0: Job stuck-remove0 failed/);
    volume.makeReadOnly(false);
    expect(await cleanUp(namespace, 'stuck')).toMatchObject({ result: 'Succeeded', deleted: 3, kept: 1 });
  });
});
