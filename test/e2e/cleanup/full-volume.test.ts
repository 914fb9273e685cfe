// A volume that is really full: a file system of its own, filled to the last byte by the sessions on it.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { argoHealth } from '../../support/argo-health.ts';
import { cleanUp, tenantThatCleans } from '../../support/cleanup-by-hand.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const name = `full-${randomBytes(4).toString('hex')}`;

describe('a tenant whose volume fills up', () => {
  let namespace: TestNamespace;
  let disk: SmallDisk;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    disk = new SmallDisk(name);
    await namespace.kubectl.ok(['create', '-f', '-'], disk.manifest);
    await namespace.kubectl.ok(['create', '-f', '-'], {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name },
      provisioner: 'kubernetes.io/no-provisioner',
      allowVolumeExpansion: true,
    });
    await namespace.startOperator();
    await ModelInCluster.start(namespace);
    await tenantThatCleans(namespace, 'full', {}, { storage: { size: '24Mi', storageClassName: name } });
  });
  afterAll(async () => {
    await namespace.close();
    for (const kind of ['pv', 'storageclass']) await namespace.kubectl.ok(['delete', kind, name, '--ignore-not-found']);
    disk[Symbol.dispose]();
  });

  const pressure = (reason: string) =>
    namespace.waitForTenant(
      'full',
      `tells ${reason}`,
      (tenant) => conditionOf(tenant, 'StoragePressure').reason === reason,
    );

  /** Grows a session to nearly the size of the volume. */
  const load = (session: string) =>
    namespace.exec('full-0', 'sh', '-c', `head -c 21500000 /dev/zero > ${SESSIONS}/${session}/files/blob`);
  /** Fills the remaining space, and waits until that is reported. */
  const fill = async (session: string) => {
    const rest = `${SESSIONS}/${session}/files/rest`;
    await namespace.exec('full-0', 'sh', '-c', `cat /dev/zero > ${rest} 2>/dev/null || true`);
    await expect(say(namespace, 'full', { prompt: 'No room', sessionId: 'third', timeoutMs: 15_000 })).rejects.toThrow(
      /ENOSPC|no space|timeout|Timeout/i,
    );
    const full = await pressure('VolumeFull');
    expect(conditionOf(full, 'StoragePressure').status).toBe('True');
    expect(await argoHealth(full)).toMatchObject({ status: 'Degraded', message: expect.stringMatching(/volume/) });
  };
  const expectRoom = async () => {
    await pressure('EnoughSpace');
    const { sessionId } = await say(namespace, 'full', { prompt: 'Still there?', resume: 'small' });
    expect(sessionId).toBe('small');
  };

  it('reports it when nearly full and when full, loses nothing, and recovers when a session is deleted', async () => {
    for (const sessionId of ['small', 'big']) {
      await namespace.createSession(sessionId, 'full');
      await say(namespace, 'full', { prompt: 'Hello', sessionId });
      await namespace.waitForPhase(sessionId, 'Idle');
    }
    const before = await namespace.exec('full-0', 'sha256sum', `${SESSIONS}/small/events.jsonl`);
    await pressure('EnoughSpace');

    await load('big');
    // A file alone does not change the modification time of a session; the next turn of any session does.
    await say(namespace, 'full', { prompt: 'Again', resume: 'big' });
    const nearly = await pressure('VolumeNearlyFull');
    expect(conditionOf(nearly, 'StoragePressure').status).toBe('True');
    expect(conditionOf(nearly, 'StoragePressure').message).toMatch(/full-0.*spec\.storage\.size/s);
    expect(nearly.status?.storage).toMatchObject({ capacity: '24Mi' });

    await fill('big');
    expect(await namespace.exec('full-0', 'sha256sum', `${SESSIONS}/small/events.jsonl`)).toBe(before);

    await namespace.kubectl.ok(['delete', 'csn', 'big', '-n', namespace.name, '--timeout=90s']);
    await expectRoom();
    await waitFor(
      'the transitions are reported by events',
      async () => (await namespace.events('full')).some(({ reason }) => reason === 'VolumeFull'),
      { withinMs: 10_000 },
    );
  });

  it('recovers when the cleanup deletes old sessions, even with no space left', async () => {
    await say(namespace, 'full', { prompt: 'Hello', sessionId: 'old' });
    await load('old');
    await fill('old');
    await namespace.exec('full-0', 'touch', '-d', '2 days ago', `${SESSIONS}/old/events.jsonl`);
    const last = await cleanUp(namespace, 'full');
    expect(last).toMatchObject({ result: 'Succeeded', deleted: 1 });
    expect(last.freedBytes).toBeGreaterThan(21_500_000);
    await expectRoom();
  });

  it('recovers when the volume is expanded', async () => {
    await say(namespace, 'full', { prompt: 'Hello', sessionId: 'large' });
    await load('large');
    await fill('large');
    await namespace.patchTenant('full', { spec: { storage: { size: '64Mi' } } });
    const claim = await waitFor(
      'its claim requests more',
      async () => {
        const found = await namespace.client.get(PersistentVolumeClaim, namespace.ref('full-0'));
        return found.spec?.resources?.requests?.['storage'] === '64Mi' ? found : undefined;
      },
      { withinMs: 30_000, everyMs: 100 },
    );
    expect(claim.status?.capacity).toEqual({ storage: '24Mi' });
    await namespace.waitForTenant(
      'full',
      'waits for the volume',
      (tenant) => conditionOf(tenant, 'Reconciling').reason === 'VolumeResizing',
    );

    // What a driver and its resizer do: the disk, the volume, the claim.
    disk.grow(64);
    const grown = { capacity: { storage: '64Mi' } };
    await namespace.kubectl.ok(['patch', 'pv', name, '-p', JSON.stringify({ spec: grown })]);
    const status = ['-n', namespace.name, '--subresource=status', '-p', JSON.stringify({ status: grown })];
    await namespace.kubectl.ok(['patch', 'pvc', 'full-0', ...status]);
    await expectRoom();
    const healed = await namespace.tenant('full');
    expect(healed.status).toMatchObject({ storage: { capacity: '64Mi' }, minimumStorageSize: '64Mi' });
    expect(conditionOf(healed, 'Reconciling')).toMatchObject({ status: 'False', reason: 'UpToDate' });
    expect(await namespace.exec('full-0', 'ls', `${SESSIONS}/large/files`)).toBe('blob\nrest\n');
  });
});
