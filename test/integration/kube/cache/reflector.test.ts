import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import type { Fault, WatchFault } from '../../../support/fault-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';
import { ConfigMap, Namespace } from '../../../../src/kube/types/builtins.ts';
import { Watched } from '../watched.ts';

jest.setTimeout(60_000);

let apiServer: ApiServer;

beforeAll(async () => {
  apiServer = await startApiServer();
});
afterAll(() => apiServer.stop());

const watches = { verb: 'watch' } as const;
const lists = { verb: 'list' } as const;
const streamed = (request: { query: URLSearchParams }): boolean => request.query.has('sendInitialEvents');
const resumed = (request: { query: URLSearchParams }): boolean =>
  request.query.has('watch') && !request.query.has('sendInitialEvents');
const refused = { kind: 'respond', status: 422, reason: 'Invalid', message: 'sendInitialEvents is forbidden' } as const;

describe('the first list', () => {
  it('is one streaming request that continues as the watch', async () => {
    await using w = await Watched.start(apiServer);
    await w.expectNothingMissed();
    await w.changeEverything();
    await w.expectNothingMissed();
    expect(w.proxy.journal).toHaveLength(1);
    const query = Object.fromEntries(w.proxy.journal[0]?.query ?? []);
    expect(query).toMatchObject({ allowWatchBookmarks: 'true', resourceVersionMatch: 'NotOlderThan' });
    expect(Number(query['timeoutSeconds'])).toBeGreaterThanOrEqual(300);
  });

  it('stores objects without the fields that only the server reads', async () => {
    await using w = await Watched.start(apiServer);
    await w.client.apply(ConfigMap, configMap(w.namespace, 'applied', { a: '1' }), { fieldManager: 'test' });
    const applied = await waitFor('it is in the cache', () => w.informer.store.get(`${w.namespace}/applied`));
    expect(applied.metadata).not.toHaveProperty('managedFields');
    expect(w.informer.store.get(`${w.namespace}/kept`)?.metadata).not.toHaveProperty('managedFields');
  });

  it('is read in pages if the server does not stream it', async () => {
    const before = (proxy: Watched['proxy']): void => proxy.inject(streamed, refused);
    await using w = await Watched.start(apiServer, { more: 600, before });
    await w.expectNothingMissed();
    await w.changeEverything();
    await w.expectNothingMissed();
    expect(w.proxy.journal.map(({ verb }) => verb)).toEqual(['watch', 'list', 'list', 'watch']);
    expect(w.reasons).toEqual(['StreamedListRefused']);
  });

  it('starts again when a page has expired', async () => {
    await using w = await Watched.start(apiServer, {
      more: 600,
      before: (proxy) => {
        proxy.inject(streamed, refused);
        proxy.inject((r) => r.query.has('continue'), { kind: 'respond', status: 410, reason: 'Expired' });
      },
    });
    await w.expectNothingMissed();
    expect(w.proxy.requests(lists)).toHaveLength(3);
  });

  it.each<[string, Fault]>([
    ['a connection that breaks after two objects', { kind: 'breakWatch', afterLines: 2, how: 'reset' }],
    ['half a line after two objects', { kind: 'breakWatch', afterLines: 2, how: 'halfLine' }],
    ['an end before the end of the list', { kind: 'breakWatch', afterLines: 2, how: 'end' }],
    ['an ERROR event', { kind: 'breakWatch', afterLines: 1, how: { error: { code: 500, reason: 'InternalError' } } }],
    ['a 500', { kind: 'respond', status: 500, reason: 'InternalError' }],
    ['a 410', { kind: 'respond', status: 410, reason: 'Expired' }],
    ['a 429', { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 1 }],
    ['a reset connection', { kind: 'reset' }],
  ])('recovers from %s, and the cache is empty until it is complete', async (_, fault) => {
    await using w = await Watched.start(apiServer, { before: (proxy) => proxy.inject(watches, fault), started: false });
    await waitFor('the list has failed', () => w.ends.length === 1);
    expect(w.informer.hasSynced()).toBe(false);
    expect(w.informer.store.size).toBe(0);
    await w.expectNothingMissed();
    expect(w.informer.hasSynced()).toBe(true);
    expect(w.proxy.journal).toHaveLength(2);
  });
});

describe('an open watch', () => {
  it.each<[string, string, WatchFault]>([
    ['is reset', 'resumes', 'reset'],
    ['is ended by the server', 'resumes', 'end'],
    ['ends inside a line', 'resumes', 'halfLine'],
    ['sends a line that is not JSON', 'lists again', 'garbage'],
    ['sends ERROR 410', 'lists again', { error: { code: 410, reason: 'Expired' } }],
    ['sends ERROR 500', 'resumes', { error: { code: 500, reason: 'InternalError' } }],
    ['sends ERROR 429', 'resumes', { error: { code: 429, reason: 'TooManyRequests' } }],
  ])('that %s: it %s, and nothing is missed', async (_, expected, how) => {
    await using w = await Watched.start(apiServer);
    expect(w.proxy.breakWatches(watches, how)).toBe(1);
    // The clock does not move, so all of this happens during the back-off, without a watch.
    await w.changeEverything();
    expect(w.informer.store.get(`${w.namespace}/created`)).toBeUndefined();
    await w.expectNothingMissed();
    expect(w.proxy.requests(watches)).toHaveLength(2);
    expect(w.proxy.journal.filter(streamed)).toHaveLength(expected === 'resumes' ? 1 : 2);
    expect(w.received).toEqual(expect.arrayContaining(['delete deleted', 'delete recreated', 'add recreated']));
  });

  it.each<[string, Fault]>([
    ['500', { kind: 'respond', status: 500, reason: 'InternalError' }],
    ['503', { kind: 'respond', status: 503, reason: 'ServiceUnavailable' }],
    ['403', { kind: 'respond', status: 403, reason: 'Forbidden' }],
    ['410', { kind: 'respond', status: 410, reason: 'Expired' }],
    ['404', { kind: 'respond', status: 404, reason: 'NotFound' }],
    ['401 once', { kind: 'respond', status: 401, reason: 'Unauthorized' }],
    ['a reset', { kind: 'reset' }],
  ])('that cannot be resumed (%s): nothing is missed', async (_, fault) => {
    await using w = await Watched.start(apiServer);
    w.proxy.inject(resumed, fault);
    w.proxy.breakWatches(watches, 'reset');
    await w.changeEverything();
    await w.expectNothingMissed();
    expect(w.proxy.requests(watches)).toHaveLength(3);
  });

  it('that is refused with Retry-After is not requested before that time', async () => {
    await using w = await Watched.start(apiServer);
    w.proxy.inject(resumed, { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 3 });
    w.proxy.breakWatches(watches, 'reset');
    await w.changeEverything();
    await w.passTime(800);
    await waitFor('the watch was refused', () => w.passTime(0).then(() => w.ends.length === 2));
    await w.passTime(2900);
    expect(w.proxy.requests(watches)).toHaveLength(2);
    await w.passTime(100);
    await w.expectNothingMissed();
    expect(w.proxy.requests(watches)).toHaveLength(3);
  });

  it('whose list expires again and again while it is streamed is complete in the end', async () => {
    await using w = await Watched.start(apiServer);
    w.proxy.inject(
      streamed,
      { kind: 'breakWatch', afterLines: 1, how: { error: { code: 410, reason: 'Expired' } } },
      { times: 2 },
    );
    w.proxy.breakWatches(watches, { error: { code: 410, reason: 'Expired' } });
    await w.changeEverything();
    await w.expectNothingMissed();
    expect(w.proxy.requests(watches)).toHaveLength(4);
  });

  it('that always ends with an ERROR is requested less and less often', async () => {
    await using w = await Watched.start(apiServer);
    const error = { code: 500, reason: 'InternalError' };
    w.proxy.inject(watches, { kind: 'breakWatch', afterLines: 0, how: { error } }, { times: 3 });
    w.proxy.breakWatches(watches, { error });
    await waitFor('all faults have happened', () => w.passTime(100).then(() => w.ends.length === 4));
    await w.changeEverything();
    await w.expectNothingMissed();
    const gaps = w.ends.slice(1).map(({ at }, i) => at - (w.ends[i]?.at ?? 0));
    expect(gaps).toEqual([800, 1600, 3200]);
    expect(w.proxy.requests(watches)).toHaveLength(5);
  });

  it('that is silent for ten minutes is cut after three and resumed', async () => {
    await using w = await Watched.start(apiServer);
    w.proxy.breakWatches(watches, 'silence');
    await w.changeEverything();
    const cut = 180_000;
    for (let passed = 0; passed < cut; passed += 10_000) await w.passTime(10_000);
    expect(w.ends).toEqual([{ reason: 'Silent', at: cut }]);
    await w.expectNothingMissed();
    expect(w.proxy.journal.map(({ verb, query }) => [verb, query.has('sendInitialEvents')])).toEqual([
      ['watch', true],
      ['watch', false],
    ]);
    // Bookmarks of the real server don't follow our fast clock, nor does its answer to a request: here they are events that keep a watch.
    for (let passed = cut; passed < 600_000; passed += 100_000) {
      await w.passTime(100_000);
      await w.client.apply(ConfigMap, configMap(w.namespace, 'changed', { at: `${passed}` }), { fieldManager: 'test' });
      await w.expectNothingMissed();
    }
    expect(w.ends).toHaveLength(1);
    expect(w.proxy.journal).toHaveLength(2);
    expect(w.informer.healthy().ok).toBe(true);
  });
});

describe('/livez', () => {
  it('fails after 15 minutes without progress, and recovers', async () => {
    await using w = await Watched.start(apiServer);
    w.proxy.inject(() => true, { kind: 'silence' }, { times: 1000 });
    w.proxy.breakWatches(watches, 'silence');
    for (let passed = 0; passed < 890; passed += 10) await w.passTime(10_000);
    expect(w.informer.healthy()).toEqual({ ok: true, message: 'configmaps: last progress 890 s ago' });
    await w.passTime(20_000);
    expect(w.informer.healthy()).toEqual({
      ok: false,
      message: 'configmaps: no list, event or bookmark for 910 s (limit 900 s)',
    });
    w.proxy.clearFaults();
    await w.changeEverything();
    await waitFor('it is healthy again', () => w.passTime(10_000).then(() => w.informer.healthy().ok));
    await w.expectNothingMissed();
    expect(w.proxy.journal.length).toBeLessThan(40);
  });
});

describe('stopping', () => {
  it.each<[string, (proxy: Watched['proxy']) => void]>([
    ['before the first list', (proxy) => proxy.inject(watches, { kind: 'silence' })],
    ['during the first list', (proxy) => proxy.inject(watches, { kind: 'breakWatch', afterLines: 2, how: 'silence' })],
    [
      'before a page',
      (proxy) => {
        proxy.inject(streamed, refused);
        proxy.inject(lists, { kind: 'silence' });
      },
    ],
    ['during the back-off', (proxy) => proxy.inject(watches, { kind: 'respond', status: 500 })],
  ])('%s leaves nothing behind', async (where, before) => {
    const clock = new FakeClock();
    await using w = await Watched.start(apiServer, { clock, before, started: false });
    const inBackOff = where === 'during the back-off';
    await waitFor('it is there', () => {
      const last = w.proxy.journal.at(-1);
      return w.proxy.pendingFaults === 0 && last?.open === !inBackOff && (!inBackOff || w.ends.length === 1);
    });
    await w.stop();
    expect(clock.pendingTimers).toBe(0);
    await waitFor('no watch is left open', () => w.proxy.openWatches().length === 0);
  });

  it('ends an open watch, and no event is received after it', async () => {
    const clock = new FakeClock();
    await using w = await Watched.start(apiServer, { clock });
    await w.stop();
    expect(clock.pendingTimers).toBe(0);
    await waitFor('no watch is left open', () => w.proxy.openWatches().length === 0);
    expect(w.proxy.journal).toHaveLength(1);
  });
});

describe('several namespaces', () => {
  it('share one store: a relist of one does not change the others', async () => {
    const namespaces = ['first', 'second'];
    await using c = connect(apiServer.kubeconfig());
    for (const name of namespaces) {
      await c.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      await c.client.create(ConfigMap, configMap(name, 'a'));
    }
    await using w = await Watched.start(apiServer, { informer: { namespaces } });
    expect([...w.informer.store.keys()].sort()).toEqual(['first/a', 'second/a']);

    w.proxy.breakWatches({ verb: 'watch', namespace: 'first' }, { error: { code: 410, reason: 'Expired' } });
    await c.client.create(ConfigMap, configMap('first', 'b'));
    await waitFor('the new list is complete', () => w.passTime(400).then(() => w.informer.store.size === 3));
    expect(w.received).toEqual(['add a', 'add a', 'add b']);
    expect(w.proxy.requests({ namespace: 'second' })).toHaveLength(1);
  });

  it('have synced only when each of them has', async () => {
    const namespaces = ['slow', 'fast'];
    const silent: Fault = { kind: 'respond', status: 500 };
    const before = (proxy: Watched['proxy']): void => proxy.inject({ verb: 'watch', namespace: 'slow' }, silent);
    await using w = await Watched.start(apiServer, { informer: { namespaces }, before, started: false });
    await waitFor('one has failed, the other is open', () => w.ends.length === 1 && w.proxy.openWatches().length === 1);
    expect(w.informer.hasSynced()).toBe(false);
    const synced = w.informer.waitForSync(AbortSignal.timeout(10_000));
    await w.passTime(800);
    await synced;
    expect(w.informer.hasSynced()).toBe(true);
  });
});
