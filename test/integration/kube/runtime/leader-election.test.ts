// Two processes and one lease, on a real API server: what the unit tests of leader election can't show.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigMap, Lease, Namespace } from '../../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { LEASE, PARENT } from '../../../support/copier.ts';
import { FaultProxy, type ProxiedRequest } from '../../../support/fault-proxy.ts';
import { connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';

let apiServer: ApiServer;
let users: ReturnType<typeof connect>;

beforeAll(async () => {
  apiServer = await startApiServer();
  users = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await users.transport.close();
  await apiServer.stop();
});

const program = join(import.meta.dirname, '../../../support/copier-process.ts');

/** A copier in a process of its own, with a proxy of its own to the API server. */
async function startProcess(namespace: string, identity: string, env: Record<string, string> = {}) {
  const proxy = await FaultProxy.start(apiServer);
  const KUBECONFIG = apiServer.kubeconfig({ server: proxy.url });
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, NODE_OPTIONS: '', KUBECONFIG, NAMESPACE: namespace, IDENTITY: identity, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const records: Record<string, unknown>[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) records.push(JSON.parse(line) as Record<string, unknown>);
  });
  const exited = once(child, 'exit').then(([code, signal]: unknown[]) => ({ code, signal }));
  return {
    proxy,
    records,
    exited,
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
    /** All writes except those of the lease. */
    writes: (): ProxiedRequest[] =>
      proxy.journal.filter(({ method, resource }) => method !== 'GET' && resource !== 'leases'),
    leaseWrites: (): ProxiedRequest[] =>
      proxy.journal.filter(({ method, resource }) => method !== 'GET' && resource === 'leases'),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      child.kill('SIGKILL');
      await exited;
      await proxy.stop();
    },
  };
}

let worlds = 0;

/** A namespace whose parent changes all the time, so that the leader always has something to write. */
async function busyWorld() {
  const namespace = `leadership-${worlds++}`;
  await users.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const ended = new AbortController();
  let n = 0;
  const change = async (): Promise<void> => {
    const metadata = { namespace, name: 'parent', labels: PARENT };
    const parent: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { word: String(n++) } };
    await users.client.apply(ConfigMap, parent, { fieldManager: 'user', force: true });
  };
  const busy = (async () => {
    while (!ended.signal.aborted) {
      await change();
      await sleep(50);
    }
  })();
  const holder = async (): Promise<string> => {
    const lease = await users.client.get(Lease, { namespace, name: LEASE });
    return lease.spec?.holderIdentity ?? '';
  };
  return {
    namespace,
    holder,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      ended.abort();
      await busy;
    },
  };
}

describe('the leader', () => {
  it('that is paused for 20 s, without another candidate, writes nothing before it has checked the lease again, then continues', async () => {
    await using w = await busyWorld();
    await using a = await startProcess(w.namespace, 'a');
    await waitFor('a writes', () => a.writes().length > 3, { withinMs: 20_000 });
    a.signal('SIGSTOP');
    await sleep(20_000);
    const before = a.proxy.journal.length;
    a.signal('SIGCONT');
    await waitFor(
      'a writes again',
      () => a.proxy.journal.slice(before).some((request) => a.writes().includes(request)),
      {
        withinMs: 20_000,
      },
    );
    const since = a.proxy.journal.slice(before);
    const renewed = since.findIndex(({ resource, verb }) => resource === 'leases' && verb === 'update');
    const written = since.findIndex((seen) => a.writes().includes(seen));
    expect(renewed).toBeGreaterThanOrEqual(0);
    expect(renewed).toBeLessThan(written);
    a.signal('SIGTERM');
    expect(await a.exited).toEqual({ code: 0, signal: null });
  }, 90_000);

  it('that is paused for 20 s is replaced, writes nothing any more, and exits with an error', async () => {
    await using w = await busyWorld();
    await using a = await startProcess(w.namespace, 'a');
    await waitFor('a writes', () => a.writes().length > 3, { withinMs: 20_000 });
    await using b = await startProcess(w.namespace, 'b');
    await waitFor('b is on standby, its caches warm', () => b.proxy.openWatches().length === 2, { withinMs: 20_000 });
    a.signal('SIGSTOP');
    await sleep(20_000);
    await waitFor('b writes', () => b.writes().length > 3, { withinMs: 5_000 });
    expect(await w.holder()).toBe('b');
    const writesOfA = a.writes().length;
    a.signal('SIGCONT');
    expect(await a.exited).toEqual({ code: 1, signal: null });
    expect(a.writes()).toHaveLength(writesOfA);
    expect(a.records.at(-1)).toMatchObject({ msg: 'ended', reason: 'leadership lost' });
    // They never wrote at the same time: the last write of a is before the first of b.
    expect(Math.max(...a.writes().map(({ at }) => at))).toBeLessThan(Math.min(...b.writes().map(({ at }) => at)));
    b.signal('SIGTERM');
    expect(await b.exited).toEqual({ code: 0, signal: null });
  }, 90_000);

  it('that is stopped hands over at once: its last write, then the release of the lease, then the other process', async () => {
    await using w = await busyWorld();
    await using a = await startProcess(w.namespace, 'a');
    await waitFor('a writes', () => a.writes().length > 3, { withinMs: 20_000 });
    await using b = await startProcess(w.namespace, 'b');
    await waitFor('b is on standby', () => b.proxy.openWatches().length === 2, { withinMs: 20_000 });
    a.signal('SIGTERM');
    expect(await a.exited).toEqual({ code: 0, signal: null });
    // The next attempt of the other is at most 4.4 s away.
    await waitFor('b writes', () => b.writes().length > 0, { withinMs: 8_000 });
    const released = a.leaseWrites().at(-1);
    expect(a.writes().every(({ n }) => n < (released?.n ?? 0))).toBe(true);
    const lease = await users.client.get(Lease, { namespace: w.namespace, name: LEASE });
    expect(lease.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(lease.spec?.renewTime).toMatch(/\.\d{6}Z$/);
    await waitFor('no connection of a is left', () => a.proxy.openConnections === 0);
    b.signal('SIGTERM');
    await b.exited;
  }, 60_000);

  it('that can no longer reach the API server writes nothing any more, and exits with an error', async () => {
    await using w = await busyWorld();
    await using a = await startProcess(w.namespace, 'a');
    await waitFor('a writes', () => a.writes().length > 3, { withinMs: 20_000 });
    const lastRenewal = performance.now();
    a.proxy.inject({ resource: 'leases' }, { kind: 'reset' }, { times: 1_000 });
    expect(await a.exited).toEqual({ code: 1, signal: null });
    const tookMs = performance.now() - lastRenewal;
    expect(tookMs).toBeLessThan(20_000);
    // Ten seconds after the last renewal that succeeded the gate is closed, though everything but the lease still works.
    const renewedAt = a.leaseWrites().findLast(({ status = 0 }) => status === 200 || status === 201)?.at ?? 0;
    expect(Math.max(...a.writes().map(({ at }) => at)) - renewedAt).toBeLessThan(10_500);
  }, 60_000);
});

describe('a process', () => {
  it.each([
    ['an unhandled rejection', { CRASH: 'rejection' }, 'unhandled rejection'],
    ['an uncaught exception', { CRASH: 'string' }, 'uncaught exception'],
  ])(
    'ends on %s, and says so as one log record',
    async (_, env, msg) => {
      await using w = await busyWorld();
      await using a = await startProcess(w.namespace, 'a', env);
      expect(await a.exited).toEqual({ code: 1, signal: null });
      expect(a.records.at(-1)).toMatchObject({ level: 60, msg, err: { stack: expect.any(String) } });
    },
    30_000,
  );
});
