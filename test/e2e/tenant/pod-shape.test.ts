// The pod of a server on a real kubelet: who reaps, what fills its volumes, that it never runs beside itself, and a volume that
// cannot be written.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Pod } from '../../../src/kube/types/builtins.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { serverPid } from '../../support/processes.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(5 * READY_MS);

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
});
afterAll(() => namespace.close());

const sh = (server: string, script: string) => namespace.exec(server, 'sh', '-c', script);
/** Processes that have ended and that nobody has reaped. */
const zombies = async (server: string) => Number(await sh(server, 'grep -ls "^State:.Z" /proc/[0-9]*/status | wc -l'));
const theOnlyPod = async (tenant: string): Promise<Pod> => {
  const [pod, ...others] = await namespace.pods(tenant);
  expect(others).toEqual([]);
  if (pod === undefined) throw new Error(`tenant ${tenant} has no pod`);
  return pod;
};
const eventsOf = async (tenant: string) =>
  (await namespace.events(tenant)).map((event) => `${event.reason}: ${event.message}`);

describe.each(['cli', 'runtime'] as const)('the processes of a server (%s)', (binary) => {
  const tenant = `reaped-${binary}`;
  const server = `${tenant}-0`;

  beforeAll(async () => {
    await namespace.createTenant(tenant, { server: { binary } });
    await namespace.waitForReady(tenant);
  });
  afterAll(() => namespace.deleteTenant(tenant));

  it('leave no zombie of 2,000 orphans', async () => {
    await sh(server, 'i=0; while [ $i -lt 2000 ]; do (setsid true &); i=$((i+1)); done');
    await waitFor('all are reaped', async () => (await zombies(server)) === 0, { withinMs: 30_000, everyMs: 500 });
    expect((await namespace.tenant(tenant)).status?.readyReplicas).toBe(1);
  });

  it('do not outlive a crash of the server in its next container', async () => {
    await sh(server, 'setsid sleep 86399 >/dev/null 2>&1 &');
    const pod = await theOnlyPod(tenant);
    process.kill(serverPid(pod), 'SIGKILL');
    await waitFor(
      'its container was restarted',
      async () => (await theOnlyPod(tenant)).status?.containerStatuses?.[0]?.restartCount === 1,
      { withinMs: 60_000, everyMs: 200 },
    );
    await namespace.waitForReady(tenant);
    const left = await sh(server, 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null; echo; done');
    expect(left).not.toMatch(/^sleep 86399/m);
  });

  it('end within seconds of SIGTERM', async () => {
    const pod = await theOnlyPod(tenant);
    const begun = Date.now();
    await namespace.kubectl.ok(['delete', 'pod', pod.metadata.name, '-n', namespace.name, '--wait']);
    // The grace period is 15 s.
    expect(Date.now() - begun).toBeLessThan(12_000);
    await namespace.waitForReady(tenant);
  });
});

describe('the volumes of a server', () => {
  afterAll(() => namespace.deleteTenant('full'));

  it('have the sizes of the spec; a server that exceeds one is evicted, reported with the field, and its pod is deleted', async () => {
    const size = { size: '16Mi' };
    await namespace.createTenant('full', { server: { binary: 'runtime', home: size, tmp: size, workspace: size } });
    await namespace.waitForReady('full');
    for (const [volume, directory] of [
      ['tmp', '/tmp'],
      ['workspace', '/home/copilot/.cache/npm'],
      ['home', '/home/copilot/.copilot/logs'],
    ] as const) {
      const { metadata } = await theOnlyPod('full');
      await sh('full-0', `mkdir -p ${directory} && head -c 20000000 /dev/zero >${directory}/x`);
      // The kubelet measures volumes once in a minute or two.
      await waitFor(
        `the eviction for ${volume} is reported`,
        async () => {
          const events = await eventsOf('full');
          return events.some(
            (event) => event.startsWith('ServerEvicted') && event.includes(`Raise spec.server.${volume}.size`),
          );
        },
        { withinMs: 200_000, everyMs: 1000 },
      );
      await waitFor('the evicted pod is gone', async () => (await namespace.get(Pod, metadata.name)) === undefined, {
        withinMs: 30_000,
        everyMs: 500,
      });
      await namespace.waitForReady('full');
    }
    expect(await eventsOf('full')).not.toContainEqual(expect.stringContaining('exited with code 0'));
  }, 800_000);

  it('take what package managers cache beside an empty workspace, in which git works', async () => {
    const variables = 'echo $npm_config_cache $PIP_CACHE_DIR $GOCACHE $GOMODCACHE';
    const cache = '/home/copilot/.cache';
    expect((await sh('full-0', variables)).trim().split(' ')).toEqual(
      ['npm', 'pip', 'go-build', 'go-mod'].map((name) => `${cache}/${name}`),
    );
    const device = (path: string) => sh('full-0', `df --output=target,source ${path} | tail -1`);
    expect(await device(cache)).toContain(cache);
    expect(await sh('full-0', 'ls -A /workspace')).toBe('');
    expect(await sh('full-0', 'cd /workspace && git init -q . && git status --short && echo ok')).toBe('ok\n');
  });
});

describe('a second pod of a server', () => {
  it.each([
    ['kubectl scale', () => ['scale', 'deploy/single-0', '--replicas=2']],
    ['the deletion of its pod', (pod: Pod) => ['delete', 'pod', pod.metadata.name, '--wait=false']],
  ])('is not scheduled beside the first, after %s, and nobody has to act', async (_, command) => {
    await namespace.createTenant('single', { server: { binary: 'runtime' } });
    await namespace.waitForReady('single');
    const first = await theOnlyPod('single');
    const seen = new Set<string>();
    const together: string[][] = [];
    const ended = new AbortController();
    const watching = watchPods('single', ended.signal, (pods) => {
      for (const { metadata } of pods) seen.add(metadata.name);
      const placed = pods.filter(({ spec }) => spec?.nodeName !== undefined).map(({ metadata }) => metadata.name);
      if (placed.length > 1) together.push(placed);
    });
    await namespace.kubectl.ok([...command(first), '-n', namespace.name]);
    await waitFor('there was a second pod', () => seen.size > 1, { withinMs: 30_000, everyMs: 50 });
    await waitFor(
      'there is one pod, which serves',
      async () => {
        const [pod, ...others] = await namespace.pods('single');
        return others.length === 0 && pod?.spec?.nodeName !== undefined && pod.metadata.deletionTimestamp === undefined;
      },
      { withinMs: 60_000, everyMs: 200 },
    );
    await namespace.waitForReady('single');
    ended.abort();
    await watching;
    expect(together).toEqual([]);
    expect(await eventsOf('single')).not.toContainEqual(expect.stringContaining('Unschedulable'));
    await namespace.deleteTenant('single');
  });

  /** Calls `fn` with the tenant's pods that exist and have not ended, after each change, until `signal`. */
  async function watchPods(tenant: string, signal: AbortSignal, fn: (pods: readonly Pod[]) => void): Promise<void> {
    const pods = new Map<string, Pod>();
    const labelSelector = `copilot-operator.dev/tenant=${tenant}`;
    try {
      for await (const { type, object } of namespace.client.watch(Pod, {
        namespace: namespace.name,
        labelSelector,
        signal,
      })) {
        if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') continue;
        const hasEnded = ['Failed', 'Succeeded'].includes(object.status?.phase ?? '');
        if (type === 'DELETED' || hasEnded) pods.delete(object.metadata.name);
        else pods.set(object.metadata.name, object);
        fn([...pods.values()]);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
});

describe('a volume that belongs to root', () => {
  it('is reported although the server answers, and Ready once it can be written', async () => {
    const name = `e2e-root-${randomBytes(3).toString('hex')}`;
    using disk = new SmallDisk(name, { mode: '0755' });
    await namespace.kubectl.ok(['create', '-f', '-'], disk.manifest);
    try {
      await namespace.createTenant('rooted', {
        server: { binary: 'runtime' },
        storage: { storageClassName: name, size: '16Mi' },
      });
      const tenant = await namespace.waitForStalled('rooted', 'VolumeNotWritable');
      expect(conditionOf(tenant, 'Ready')).toMatchObject({ status: 'False', reason: 'VolumeNotWritable' });
      expect(conditionOf(tenant, 'Healthy')).toMatchObject({ status: 'True' });
      expect(conditionOf(tenant, 'Stalled').message).toContain('Server rooted-0 cannot write to its volume (EACCES)');
      expect(await sh('rooted-0', 'ls -A /home/copilot/.copilot/session-state')).toBe('');
      expect(await eventsOf('rooted')).not.toContainEqual(expect.stringContaining('ServersReady'));
      disk.chmod('0777');
      await namespace.waitForReady('rooted');
      expect((await theOnlyPod('rooted')).status?.containerStatuses?.[0]?.restartCount).toBe(0);
      await namespace.deleteTenant('rooted');
    } finally {
      await namespace.kubectl.ok(['delete', 'pv', name, '--wait=false']);
    }
  });
});
