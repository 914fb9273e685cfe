// Servers that share one ReadWriteMany volume, a directory of the one node, each behind its guard.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { putSession } from '../../support/cleanup.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { SharedVolume } from '../../support/shared-volume.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const SOON = { withinMs: 60_000, everyMs: 200 };
/** The user of the servers. */
const USER = '10001:10001';

let namespace: TestNamespace;
let volume: SharedVolume;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  volume = await SharedVolume.create(namespace);
  // Nobody connects there: what is looked at is what the operator does by itself.
  await namespace.startOperator({ args: ['--gateway-address=127.0.0.1:4321'] });
  await namespace.createTenant('acme', {
    ...volume.spec,
    replicas: 2,
    server: { binary: 'runtime' },
  });
}, 4 * READY_MS);
afterAll(async () => {
  await namespace.close();
  await volume.delete();
});

const claim = () => namespace.get(PersistentVolumeClaim, 'acme-shared');
const isReady = (tenant: CopilotTenant) => conditionOf(tenant, 'Ready').status === 'True';
async function scaleTo(replicas: number): Promise<CopilotTenant> {
  await namespace.kubectl.ok(['scale', 'ct/acme', '-n', namespace.name, `--replicas=${replicas}`]);
  return namespace.waitForTenant(
    'acme',
    `has ${replicas} servers`,
    (tenant) => tenant.status?.replicas === replicas && (replicas === 0 || isReady(tenant)),
  );
}

/** A session of an earlier server on the volume. */
function put(sessionId: string): string {
  const path = putSession(volume.directory, sessionId);
  execFileSync('chown', ['-R', USER, path, join(volume.directory, '.session-operation-locks')]);
  return path;
}

describe('two servers on one volume', () => {
  it('are Ready behind their guards, and find the same sessions', async () => {
    const tenant = await namespace.waitForReady('acme');
    expect(tenant.status).toMatchObject({ serversReady: '2/2', volumeServer: expect.stringMatching(/^acme-[01]$/) });
    const [row] = (await namespace.kubectl.ok(['get', 'ct', 'acme', '-n', namespace.name, '--no-headers'])).split('\n');
    expect(row?.split(/\s+/).slice(0, 3)).toEqual(['acme', 'True', '2/2']);
    for (const server of ['acme-0', 'acme-1']) {
      const [pod] = await namespace.pods('acme', server);
      expect(pod?.spec?.initContainers).toMatchObject([{ name: 'guard', restartPolicy: 'Always' }]);
      expect(pod?.status?.initContainerStatuses).toMatchObject([{ name: 'guard', ready: true, restartCount: 0 }]);
      expect(pod?.spec?.volumes).toContainEqual({
        name: 'sessions',
        persistentVolumeClaim: { claimName: 'acme-shared' },
      });
    }
    await namespace.exec('acme-0', 'touch', `${SESSIONS}/marker`);
    expect(await namespace.exec('acme-1', 'ls', SESSIONS)).toContain('marker');
  });

  it('report a session once, and it is deleted through one of them', async () => {
    const path = put('alpha');
    await namespace.createSession('alpha', 'acme');
    await namespace.waitForPhase('alpha', 'Idle', 90_000);
    await namespace.waitForTenant('acme', 'counts one session', ({ status }) => status?.sessions?.total === 1);
    await namespace.kubectl.ok(['delete', 'csn/alpha', '-n', namespace.name, '--wait=false']);
    await waitFor(
      'the resource is gone',
      async () => (await namespace.get(CopilotSession, 'alpha')) === undefined,
      SOON,
    );
    expect(existsSync(path)).toBe(false);
    const reasons = (await namespace.events('alpha')).map(({ reason }) => reason);
    expect(reasons).not.toContain('SessionDataLeftBehind');
  });

  it('leave the volume as it is when they are scaled down, up, and to zero', async () => {
    const before = await claim();
    for (const replicas of [1, 0, 2]) {
      const { status } = await scaleTo(replicas);
      expect(status?.servers?.map(({ name }) => name)).toEqual(['acme-0', 'acme-1'].slice(0, replicas));
      const after = await claim();
      expect([after?.metadata.uid, after?.metadata.deletionTimestamp]).toEqual([before?.metadata.uid, undefined]);
    }
    const claims = (await namespace.list(PersistentVolumeClaim)).map(({ metadata }) => metadata.name);
    expect(claims).toEqual(['acme-shared']);
    expect(existsSync(join(volume.directory, 'marker'))).toBe(true);
  });

  it('are deleted with their volume when the policy says so', async () => {
    await namespace.patchTenant('acme', { spec: { storage: { reclaimPolicy: 'Delete' } } });
    await waitFor(
      'the tenant owns the claim',
      async () => ((await claim())?.metadata.ownerReferences ?? []).length === 1,
      SOON,
    );
    await namespace.deleteTenant('acme');
    await waitFor('the claim is gone', async () => (await claim()) === undefined, SOON);
    expect(await namespace.list(Deployment)).toEqual([]);
  });
});
