// The whole core, as a tiny operator that keeps a copy of every parent, with faults everywhere around it.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { ConfigMap, CoreEvent, Namespace, Secret, ServiceAccount } from '../../../src/kube/types/builtins.ts';
import { isNotFound } from '../../../src/kube/types/errors.ts';
import { defineResource } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { startApiServer, type ApiServer, type Identity } from '../../support/apiserver.ts';
import { newCopier, PARENT, type CopierOptions } from '../../support/copier.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { connect } from '../../support/kube.ts';
import { waitFor } from '../../support/wait.ts';

let apiServer: ApiServer;
/** Users of the cluster: directly to the API server. */
let users: ReturnType<typeof connect>;

beforeAll(async () => {
  apiServer = await startApiServer();
  users = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await users.transport.close();
  await apiServer.stop();
});

const PARENTS = 10;
/** About what kube-apiserver needs to start here. */
const STARTS_WITHIN_MS = 4_000;
let worlds = 0;

/** A namespace with parents and a running copier, with a proxy of its own to the API server. */
async function world(options: Partial<CopierOptions> & { as?: Identity } = {}) {
  const namespace = `world-${worlds++}`;
  await users.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const proxy = await FaultProxy.start(apiServer);
  const { as: identity, ...rest } = options;
  const kubeconfig = apiServer.kubeconfig({ server: proxy.url, ...(identity && { identity }) });
  const copier = newCopier({ kubeconfig, namespace, log: pino({ level: 'silent' }), ...rest });
  const stop = new AbortController();
  const ended = copier.run(stop.signal);

  const parentNames = new Set<string>();
  const write = async (name: string, word: string): Promise<void> => {
    const metadata = { namespace, name, labels: PARENT };
    const parent: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { word } };
    await users.client.apply(ConfigMap, parent, { fieldManager: 'user', force: true });
    parentNames.add(name);
  };
  const copies = async (): Promise<Record<string, string | undefined>> => {
    const { items } = await users.client.list(ConfigMap, { namespace, labelSelector: 'role=copy' });
    return Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, data?.['word']]));
  };
  const allCopied = async (): Promise<boolean> => {
    const { items } = await users.client.list(ConfigMap, { namespace, labelSelector: 'role=parent' });
    const expected = Object.fromEntries(items.map(({ metadata, data }) => [`${metadata.name}-copy`, data?.['word']]));
    expect(await copies()).toEqual(expected);
    return items.length === parentNames.size;
  };
  const deleteByHand = async (name: string): Promise<void> => {
    const { uid = '' } = (await users.client.get(ConfigMap, { namespace, name })).metadata;
    await users.client.delete(ConfigMap, { namespace, name }, { uid });
  };
  await Promise.all(Array.from({ length: PARENTS }, (_, i) => write(`p${i}`, 'first')));
  await waitFor('every parent has its copy', allCopied);
  return {
    namespace,
    proxy,
    copier,
    ended,
    write,
    copies,
    allCopied,
    deleteByHand,
    /** Everything users can do: parents are created and changed, a copy is deleted, another one changed. */
    useCluster: async (word: string): Promise<void> => {
      await Promise.all([write('p0', word), write('p1', word), write(`new-${word}`, word)]);
      await deleteByHand('p2-copy');
      const ref = { namespace, name: 'p3-copy' };
      const contentType = 'application/merge-patch+json';
      await users.client.patch(ConfigMap, ref, { data: { word: 'drifted' } }, { contentType });
    },
    /** Stops it and checks that nothing is left. */
    stop: async (): Promise<void> => {
      stop.abort();
      expect(await ended).toEqual({ reason: 'stopped' });
      await waitFor('no connection is left over', () => proxy.openConnections === 0);
      expect(proxy.openWatches()).toEqual([]);
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      stop.abort();
      await ended;
      await proxy.stop();
    },
  };
}

/** No request reaches the API server while nothing happens. */
async function expectQuiet(proxy: FaultProxy): Promise<void> {
  let last = proxy.journal.length;
  let since = performance.now();
  await waitFor(
    'no request for a second',
    () => {
      if (proxy.journal.length !== last) [last, since] = [proxy.journal.length, performance.now()];
      return performance.now() - since > 1_000;
    },
    { withinMs: 10_000 },
  );
}

describe('a tiny operator', () => {
  it('creates copies, one request each, with events, and is quiet after that', async () => {
    await using w = await world();
    await expectQuiet(w.proxy);
    expect(w.proxy.requests({ verb: 'create', resource: 'configmaps' })).toHaveLength(PARENTS);
    expect(w.proxy.requests({ verb: 'patch' })).toEqual([]);
    expect(w.proxy.openWatches()).toHaveLength(2);
    const { items } = await users.client.list(CoreEvent, { namespace: w.namespace });
    expect(new Map(items.map(({ involvedObject, message }) => [involvedObject.name, message]))).toEqual(
      new Map(Array.from({ length: PARENTS }, (_, i) => [`p${i}`, `created p${i}-copy`])),
    );
    await w.stop();
  });

  it('writes nothing when it is restarted', async () => {
    await using w = await world();
    await w.stop();
    const proxy = await FaultProxy.start(apiServer);
    const kubeconfig = apiServer.kubeconfig({ server: proxy.url });
    const again = newCopier({ kubeconfig, namespace: w.namespace, log: pino({ level: 'silent' }) });
    const stop = new AbortController();
    const ended = again.run(stop.signal);
    await waitFor('every parent was reconciled', () => again.reconciles.size === PARENTS);
    await expectQuiet(proxy);
    expect(proxy.journal.filter(({ method }) => method !== 'GET')).toEqual([]);
    stop.abort();
    await ended;
    await proxy.stop();
  });

  it('repairs what was changed and deleted by hand, and follows its parents', async () => {
    await using w = await world();
    await w.useCluster('second');
    await waitFor('all is copied', w.allCopied);
    await w.stop();
  });

  it('answers probes and shows its metrics', async () => {
    await using w = await world();
    const { health = 0, metrics = 0 } = w.copier.manager.ports;
    const get = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    for (const path of ['/healthz', '/livez', '/readyz', '/readyz/caches']) {
      expect((await get(health, path)).status).toBe(200);
    }
    expect(await (await get(health, '/readyz?verbose')).text()).toBe('[+]caches ok\nreadyz check passed\n');
    const text = await (await get(metrics, '/metrics')).text();
    for (const line of [
      /^controller_runtime_reconcile_total\{controller="copier",result="success"\} [1-9]/m,
      /^controller_runtime_max_concurrent_reconciles\{controller="copier"\} 4$/m,
      /^workqueue_adds_total\{name="copier",controller="copier"\} [1-9]/m,
      /^workqueue_unfinished_work_seconds\{name="copier",controller="copier"\} 0$/m,
      /^rest_client_requests_total\{code="201",method="POST",host="[^"]+"\} [1-9]/m,
    ]) {
      expect(text).toMatch(line);
    }
    await w.stop();
  });

  it('finishes the reconcile in progress when it is stopped', async () => {
    let begun: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (begun = resolve));
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    await using w = await world({
      beforeWrite: async (name) => {
        if (name !== 'slow') return;
        begun();
        await gate;
      },
    });
    await w.write('slow', 'first');
    await waiting;
    const stopped = w.stop();
    goOn();
    await stopped;
    expect(await w.copies()).toMatchObject({ 'slow-copy': 'first' });
  });
});

/**
 * A fault while users change objects. `bound` is how many requests recovery may take, including the 14 of the work itself: it leaves
 * room for an outdated cache now and then, but not for a loop.
 */
interface Trouble {
  what: string;
  begin: (w: Awaited<ReturnType<typeof world>>) => void | Promise<void>;
  bound: number;
  withinMs?: number;
}

const copies = { resource: 'configmaps' } as const;
const troubles: Trouble[] = [
  { what: 'nothing at all', begin: () => undefined, bound: 20 },
  { what: 'every watch is reset', begin: ({ proxy }) => void proxy.breakWatches({}, 'reset'), bound: 26 },
  { what: 'every watch ends inside a line', begin: ({ proxy }) => void proxy.breakWatches({}, 'halfLine'), bound: 26 },
  {
    what: 'every watch receives a line that is not JSON',
    begin: ({ proxy }) => void proxy.breakWatches({}, 'garbage'),
    bound: 26,
  },
  {
    what: 'every watch gets an ERROR event: 410 Expired',
    begin: ({ proxy }) => void proxy.breakWatches({}, { error: { code: 410, reason: 'Expired' } }),
    bound: 26,
  },
  {
    what: 'every watch gets an ERROR event: 500, and so do the next two',
    begin: ({ proxy }) => {
      proxy.inject({ verb: 'watch' }, { kind: 'respond', status: 500 }, { times: 4 });
      proxy.breakWatches({}, { error: { code: 500, reason: 'InternalError' } });
    },
    bound: 26,
  },
  {
    what: 'watches are refused with 429 and Retry-After',
    begin: ({ proxy }) => {
      proxy.inject({ verb: 'watch' }, { kind: 'respond', status: 429, retryAfterSeconds: 1 }, { times: 2 });
      proxy.breakWatches({}, 'end');
    },
    bound: 26,
  },
  {
    what: 'writes fail with 500',
    begin: ({ proxy }) => {
      proxy.inject({ ...copies, verb: 'create' }, { kind: 'respond', status: 500 }, { times: 3 });
      proxy.inject({ ...copies, verb: 'patch' }, { kind: 'respond', status: 500 }, { times: 3 });
    },
    bound: 34,
  },
  {
    what: 'writes are refused with 429 and Retry-After',
    begin: ({ proxy }) => {
      proxy.inject({ ...copies, verb: 'create' }, { kind: 'respond', status: 429, retryAfterSeconds: 1 }, { times: 3 });
      proxy.inject({ ...copies, verb: 'patch' }, { kind: 'respond', status: 429, retryAfterSeconds: 1 }, { times: 3 });
    },
    bound: 34,
  },
  {
    what: 'writes are executed but their responses are lost',
    begin: ({ proxy }) => {
      proxy.inject({ ...copies, verb: 'create' }, { kind: 'loseResponse' }, { times: 2 });
      proxy.inject({ ...copies, verb: 'patch' }, { kind: 'loseResponse' }, { times: 4 });
    },
    bound: 36,
  },
  {
    what: 'connections break before requests arrive',
    begin: ({ proxy }) => proxy.inject((request) => request.verb !== 'watch', { kind: 'reset' }, { times: 10 }),
    bound: 36,
  },
  {
    what: 'another client writes just before each of our writes (409)',
    begin: (w) => {
      let n = 0;
      const touch = () =>
        users.client.patch(
          ConfigMap,
          { namespace: w.namespace, name: 'p0-copy' },
          { data: { touched: String(n++) } },
          { contentType: 'application/merge-patch+json' },
        );
      w.proxy.inject({ ...copies, verb: 'patch', name: 'p0-copy' }, { kind: 'first', do: touch }, { times: 2 });
    },
    bound: 34,
  },
];

describe('the operator misses nothing and sends few requests when', () => {
  it.each(troubles)(
    '$what',
    async ({ begin, bound, withinMs = 20_000, what }) => {
      await using w = await world();
      await expectQuiet(w.proxy);
      const before = w.proxy.journal.length;
      await begin(w);
      await w.useCluster('second');
      await waitFor('all is copied', what.includes('409') ? () => copiedButFor(w) : w.allCopied, { withinMs });
      await expectQuiet(w.proxy);
      expect(w.proxy.pendingFaults).toBe(0);
      expect(w.proxy.journal.length - before).toBeLessThanOrEqual(bound);
      expect(w.proxy.openWatches()).toHaveLength(2);
      await w.stop();
    },
    60_000,
  );

  it('the API server is killed and restarted', async () => {
    await using w = await world();
    await expectQuiet(w.proxy);
    const before = w.proxy.journal.length;
    await apiServer.kill();
    await waitFor('it is noticed', () => w.proxy.openWatches().length === 0);
    await apiServer.start();
    await w.useCluster('second');
    await waitFor('all is copied', w.allCopied, { withinMs: 40_000 });
    await waitFor('both watches are open again', () => w.proxy.openWatches().length === 2, { withinMs: 40_000 });
    await expectQuiet(w.proxy);
    expect(w.proxy.journal.length - before).toBeLessThanOrEqual(80);
    await w.stop();
  }, 120_000);

  it('the API server is down for 20 s: five seconds after its return it has reconciled what changed', async () => {
    await using w = await world();
    await expectQuiet(w.proxy);
    await apiServer.kill();
    await waitFor('it is noticed', () => w.proxy.openWatches().length === 0);
    // Not a wait for something to happen: how long the outage lasts is what is tested.
    await sleep(20_000 - STARTS_WITHIN_MS);
    await apiServer.start();
    const returnedAt = performance.now();
    await w.useCluster('second');
    const changedAt = performance.now();
    await waitFor('all is copied', w.allCopied, { withinMs: 30_000 });
    const since = (at: number | undefined, from: number): number => Math.round((at ?? Infinity) - from);
    const watches = w.proxy.requests({ verb: 'watch' }).filter(({ at, open }) => at > returnedAt - 1_000 && open);
    const write = w.proxy.journal.find(({ at, method }) => at > returnedAt && method !== 'GET');
    process.stdout.write(
      `watches ${watches.map(({ at }) => since(at, returnedAt)).join(', ')} ms after the return of the API server, ` +
        `users' last change ${since(changedAt, returnedAt)} ms, first write ${since(write?.at, returnedAt)} ms\n`,
    );
    expect(watches).toHaveLength(2);
    // On an idle machine it is 3 s at most, which a unit test shows with a clock of its own: test/unit/kube/cache/outage.test.ts.
    for (const { at } of watches) expect(since(at, returnedAt)).toBeLessThan(5_000);
    expect(since(write?.at, Math.max(changedAt, ...watches.map(({ at }) => at)))).toBeLessThan(5_000);
    await w.stop();
  }, 120_000);

  it('its token is rotated and the old one revoked', async () => {
    const tokenOf = await serviceAccount('rotates');
    const [first, second] = [await tokenOf('first'), await tokenOf('second')];
    const tokenFile = join(dirname(apiServer.caFile), 'copier-token');
    writeFileSync(tokenFile, first.token);
    await using w = await world({ as: { tokenFile } });
    writeFileSync(tokenFile, second.token);
    await first.revoke();
    const before = w.proxy.journal.length;
    // The API server caches a valid token for ten seconds, and that of a watch for as long as it lasts.
    let n = 0;
    await waitFor(
      'the old token was refused',
      async () => {
        await w.write('p0', `word-${n++}`);
        return w.proxy.journal.some(({ status }) => status === 401);
      },
      { withinMs: 30_000, everyMs: 1_000 },
    );
    w.proxy.breakWatches({}, 'end');
    await w.useCluster('second');
    await waitFor('all is copied', w.allCopied, { withinMs: 20_000 });
    await expectQuiet(w.proxy);
    expect(w.proxy.journal.length - before).toBeLessThanOrEqual(40 + 3 * n);
    await w.stop();
  }, 90_000);
});

/** As `allCopied`, for a copy that another client writes, too. */
async function copiedButFor(w: Awaited<ReturnType<typeof world>>): Promise<boolean> {
  const { items } = await users.client.list(ConfigMap, { namespace: w.namespace, labelSelector: 'role=parent' });
  const found = await w.copies();
  return items.every(({ metadata, data }) => found[`${metadata.name}-copy`] === data?.['word']);
}

/** A service account with all permissions; returns tokens that can be revoked one by one. */
async function serviceAccount(name: string) {
  const namespace = 'default';
  const ClusterRoleBinding = defineResource<KubeObject & { roleRef: object; subjects: object[] }>({
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    plural: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    namespaced: false,
  });
  await users.client.create(ServiceAccount, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { namespace, name },
  });
  await users.client.create(ClusterRoleBinding, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', namespace, name }],
  });
  return async (secretName: string) => {
    const metadata = { namespace, name: secretName };
    const secret = await users.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata });
    const { uid = '' } = secret.metadata;
    const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: secretName, uid };
    const { status } = await users.transport.request<{ status: { token: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { boundObjectRef } },
    });
    // A token that is bound to a Secret is invalid without it.
    const revoke = async (): Promise<void> => {
      await users.client.delete(Secret, metadata, { uid }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    };
    return { token: status.token, revoke };
  };
}
