// Lost volumes: reported, never silently replaced by empty ones, and both remedies in the message work.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { expectRecovered, expectStalled, messageColumn } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

describe('a lost volume', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
  const claimOf = (tenant: string) => namespace.get(PersistentVolumeClaim, `${tenant}-0`);
  const suspend = (tenant: string, value: boolean) => namespace.patchTenant(tenant, { spec: { suspend: value } });

  /** A running tenant with a file that must not be lost. */
  async function withSomethingToLose(tenant: string): Promise<PersistentVolumeClaim> {
    await namespace.createTenant(tenant, { server: { binary: 'runtime' } });
    await namespace.waitForReady(tenant);
    await namespace.exec(`${tenant}-0`, 'sh', '-c', `echo precious > ${SESSIONS}/notes.txt`);
    return namespace.client.get(PersistentVolumeClaim, namespace.ref(`${tenant}-0`));
  }

  /** The claim is deleted: an event reported that it was terminating, and the conditions have the remedies. */
  async function expectGone(tenant: string, { metadata }: PersistentVolumeClaim): Promise<string> {
    const words = [
      `PersistentVolumeClaim ${tenant}-0 (UID ${metadata.uid})`,
      'was deleted',
      'Restore it with the same name and labels',
    ];
    const stalled = await namespace.waitForTenant(tenant, 'reports that the claim was deleted', (found) => {
      const { reason, message } = conditionOf(found, 'Stalled');
      return reason === 'DataLost' && words.every((word) => message.includes(word));
    });
    const { status, message } = conditionOf(stalled, 'Ready');
    expect([status, message]).toEqual(['False', conditionOf(stalled, 'Stalled').message]);
    expect(await messageColumn(namespace, tenant)).toBe(message);
    expect((await namespace.events(tenant)).map(({ type, reason }) => `${type} ${reason}`)).toContain(
      'Warning DataLost',
    );
    return message;
  }

  const notes = (tenant: string) =>
    namespace.exec(`${tenant}-0`, 'sh', '-c', `cat ${SESSIONS}/notes.txt 2>/dev/null || echo none`);

  it.concurrent('of a suspended tenant is reported, and an accepted loss starts with an empty one', async () => {
    const before = await withSomethingToLose('lost');
    await suspend('lost', true);
    await namespace.waitForTenant(
      'lost',
      'has stopped',
      (tenant) => conditionOf(tenant, 'Reconciling').reason === 'UpToDate' && tenant.status?.replicas === 0,
    );
    await kubectl('delete', 'pvc', 'lost-0', '--timeout=60s');
    await expectGone('lost', before);
    await suspend('lost', false);
    const message = await expectGone('lost', before);
    expect(await claimOf('lost')).toBeUndefined();
    expect(await namespace.pods('lost')).toEqual([]);

    const [, command = ''] = /(kubectl annotate .*)$/.exec(message) ?? [];
    const [program, ...args] = command.split(' ');
    expect(program).toBe('kubectl');
    await kubectl(...args);
    await expectRecovered(namespace, 'lost');
    expect((await claimOf('lost'))?.metadata.uid).not.toBe(before.metadata.uid);
    expect(await notes('lost')).toBe('none\n');
    await bystander.expectUntouched();
  });

  it.concurrent(
    'of a running server is reported before it is deleted, and has everything once it is restored',
    async () => {
      const before = await withSomethingToLose('going');
      const { metadata, spec } = before;
      await kubectl('delete', 'pvc', 'going-0', '--wait=false');
      await expectStalled(namespace, 'going', 'DataLost', [
        'PersistentVolumeClaim going-0 is being deleted',
        'The server is kept running',
        'set the reclaim policy of the PersistentVolume to Retain',
      ]);
      expect(await notes('going')).toBe('precious\n');

      const volume = spec?.volumeName ?? '';
      const setReclaimPolicy = (persistentVolumeReclaimPolicy: string) =>
        kubectl('patch', 'pv', volume, '-p', JSON.stringify({ spec: { persistentVolumeReclaimPolicy } }));
      await setReclaimPolicy('Retain');
      try {
        await suspend('going', true);
        await waitFor('the claim is gone', async () => (await claimOf('going')) === undefined, { withinMs: 60_000 });
        await expectGone('going', before);

        // A released volume is not bound until its claimRef is removed, and then to any claim: so only the UID of the previous claim
        // is removed.
        const former = ['uid', 'resourceVersion'].map((field) => ({ op: 'remove', path: `/spec/claimRef/${field}` }));
        await kubectl('patch', 'pv', volume, '--type=json', '-p', JSON.stringify(former));
        await namespace.kubectl.ok(['create', '-f', '-'], {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: metadata.name, namespace: namespace.name, labels: metadata.labels },
          spec,
        });
        await suspend('going', false);
        await expectRecovered(namespace, 'going');
        expect(await notes('going')).toBe('precious\n');
      } finally {
        await setReclaimPolicy('Delete');
      }
      await bystander.expectUntouched();
    },
  );
});
