// A volume that is out of inodes but not of space: an ext4 with the defaults of mke2fs, filled with small sessions.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { SmallDisk } from '../../support/small-disk.ts';

jest.setTimeout(4 * READY_MS);

const name = `files-${randomBytes(4).toString('hex')}`;

describe('a tenant without a TTL whose volume is out of inodes', () => {
  let namespace: TestNamespace;
  let disk: SmallDisk;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    disk = new SmallDisk(name, { fileSystem: 'ext4', mebibytes: 64 });
    await namespace.kubectl.ok(['create', '-f', '-'], disk.manifest);
    await namespace.startOperator();
    await ModelInCluster.start(namespace);
    await namespace.createTenant('many', {
      server: { binary: 'runtime' },
      storage: { size: '64Mi', storageClassName: name },
      ...askingTestModel(namespace.name),
    });
    await namespace.waitForReady('many');
  });
  afterAll(async () => {
    await namespace.close();
    await namespace.kubectl.ok(['delete', 'pv', name, '--ignore-not-found']);
    disk[Symbol.dispose]();
  });

  const shell = (script: string) => namespace.exec('many-0', 'sh', '-c', `cd ${SESSIONS} && ${script}`);
  const pressure = (reason: string) =>
    namespace.waitForTenant(
      'many',
      `tells ${reason}`,
      (tenant) => conditionOf(tenant, 'StoragePressure').reason === reason,
    );

  it('reports it, loses nothing, and recovers when there are inodes again', async () => {
    await say(namespace, 'many', { prompt: 'Hello', sessionId: 'seed' });
    await pressure('EnoughSpace');
    const before = await shell('sha256sum seed/events.jsonl');
    // Created beside the sessions and moved in one step, so that no poll counts half of them.
    await shell(
      `mkdir .made; i=0; while cp -r seed .made/copy-$i && touch .session-operation-locks/copy-$i.lock; do i=$((i+1)); done 2>/dev/null
       rm -rf .made/copy-$i; cd .made; i=0; while touch ../seed/files/$i; do i=$((i+1)); done 2>/dev/null
       mv copy-* ..`,
    );
    expect(Number(await shell('ls -d copy-* | wc -l'))).toBeGreaterThan(400);

    const full = await pressure('VolumeFull');
    expect(conditionOf(full, 'StoragePressure')).toMatchObject({
      status: 'True',
      message: expect.stringMatching(/server many-0 .*is out of inodes.*Delete sessions/s),
    });
    const [server] = full.status?.servers ?? [];
    expect(server?.volumeUsage?.files).toBeGreaterThanOrEqual(99);
    expect(server?.volumeUsage?.space).toBeLessThan(85);
    expect(await shell('sha256sum seed/events.jsonl')).toBe(before);
    expect(await shell('cat copy-*/events.jsonl | wc -c')).not.toBe('0\n');

    // The operator does not see what an application deletes until a sweep is requested.
    await shell('rm -rf copy-* seed/files/*');
    const annotation = 'copilot-operator.dev/sweep-at=now';
    await namespace.kubectl.ok(['annotate', '--overwrite', 'pvc', 'many-0', annotation, '-n', namespace.name]);
    await pressure('EnoughSpace');
    const { sessionId } = await say(namespace, 'many', { prompt: 'Still there?', resume: 'seed' });
    expect(sessionId).toBe('seed');
  });
});
