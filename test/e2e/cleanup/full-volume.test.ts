// A volume that is really full: a file system of its own, filled to the last byte by the sessions on it.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const name = `full-${randomBytes(4).toString('hex')}`;

describe('a tenant whose volume runs full', () => {
  let namespace: TestNamespace;
  let model: ModelInCluster;
  let disk: SmallDisk;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    disk = new SmallDisk(name);
    await namespace.kubectl.ok(['create', '-f', '-'], disk.manifest);
    await namespace.startOperator();
    model = await ModelInCluster.start(namespace);
    await namespace.createTenant('full', {
      server: { binary: 'runtime' },
      storage: { size: '24Mi', storageClassName: name },
      ...askingTestModel(namespace.name),
    });
    await namespace.waitForReady('full');
  });
  afterAll(async () => {
    await model[Symbol.asyncDispose]();
    await namespace.close();
    await namespace.kubectl.ok(['delete', 'pv', name, '--ignore-not-found']);
    disk[Symbol.dispose]();
  });

  const pressure = (reason: string) =>
    namespace.waitForTenant(
      'full',
      `tells ${reason}`,
      (tenant) => conditionOf(tenant, 'StoragePressure').reason === reason,
    );

  it('is told before and when it is, loses nothing, and heals when a session goes', async () => {
    for (const sessionId of ['small', 'big']) {
      await namespace.createSession(sessionId, 'full');
      await say(namespace, 'full', { prompt: 'Hello', sessionId });
      await namespace.waitForPhase(sessionId, 'Idle');
    }
    const before = await namespace.exec('full-0', 'sha256sum', `${SESSIONS}/small/events.jsonl`);
    await pressure('EnoughSpace');

    await namespace.exec('full-0', 'sh', '-c', `head -c 21500000 /dev/zero > ${SESSIONS}/big/files/blob`);
    // A file alone changes no time of a session; the next turn of any does.
    await say(namespace, 'full', { prompt: 'Again', resume: 'big' });
    const nearly = await pressure('VolumeNearlyFull');
    expect(conditionOf(nearly, 'StoragePressure').status).toBe('True');
    expect(conditionOf(nearly, 'StoragePressure').message).toMatch(/full-0.*spec\.storage\.size/s);
    expect(nearly.status?.storage).toMatchObject({ capacity: '24Mi' });

    await namespace.exec('full-0', 'sh', '-c', `cat /dev/zero > ${SESSIONS}/big/files/rest 2>/dev/null || true`);
    await expect(say(namespace, 'full', { prompt: 'No room', sessionId: 'third', timeoutMs: 15_000 })).rejects.toThrow(
      /ENOSPC|no space|timeout|Timeout/i,
    );
    const full = await pressure('VolumeFull');
    expect(conditionOf(full, 'StoragePressure').status).toBe('True');
    expect(await namespace.exec('full-0', 'sha256sum', `${SESSIONS}/small/events.jsonl`)).toBe(before);

    await namespace.kubectl.ok(['delete', 'csn', 'big', '-n', namespace.name, '--timeout=90s']);
    await pressure('EnoughSpace');
    const { sessionId } = await say(namespace, 'full', { prompt: 'Still there?', resume: 'small' });
    expect(sessionId).toBe('small');
    await waitFor(
      'the flips are told by events',
      async () => (await namespace.events('full')).some(({ reason }) => reason === 'VolumeFull'),
      { withinMs: 10_000 },
    );
  });
});
