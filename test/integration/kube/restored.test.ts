// etcd restored from an older backup while the operator runs, as an administrator does it: API servers stopped, data replaced, started.
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import pino from 'pino';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { ConfigMap, CoreEvent } from '../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { newCopier, PARENT } from '../../support/copier.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { configMap, connect } from '../../support/kube.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched } from './watched.ts';

jest.setTimeout(120_000);

let apiServer: ApiServer;
beforeEach(async () => {
  apiServer = await startApiServer();
});
afterEach(() => apiServer.stop());

/** Creates or changes a parent, as a user. */
async function write(name: string, word: string): Promise<void> {
  await using users = connect(apiServer.kubeconfig());
  const parent = { ...configMap('default', name, { word }), metadata: { namespace: 'default', name, labels: PARENT } };
  await users.client.apply(ConfigMap, parent, { fieldManager: 'user', force: true });
}

/** The words of the copies that exist, by name. */
async function copies(): Promise<Record<string, string | undefined>> {
  await using users = connect(apiServer.kubeconfig());
  const { items } = await users.client.list(ConfigMap, { namespace: 'default', labelSelector: 'role=copy' });
  return Object.fromEntries(items.map(({ metadata, data }) => [metadata.name, data?.['word']]));
}

/** How many events about the parents exist. They are written beside the copies and may come after them. */
async function events(): Promise<number> {
  await using users = connect(apiServer.kubeconfig());
  const { items } = await users.client.list(CoreEvent, { namespace: 'default' });
  return items.filter(({ reason }) => reason === 'Copied').length;
}

describe('an etcd that is restored from an older backup', () => {
  it('ends the operator before it writes anything, and the next one starts from the cluster', async () => {
    const proxy = await FaultProxy.start(apiServer);
    const kubeconfig = apiServer.kubeconfig({ server: proxy.url });
    const start = () => newCopier({ kubeconfig, namespace: 'default', log: pino({ level: 'silent' }) });
    const [stop, stopNext] = [new AbortController(), new AbortController()];
    await write('kept', 'first');
    const backup = await apiServer.backUp();
    const first = start();
    const ended = first.run(stop.signal);
    for (const word of ['second', 'third', 'fourth']) await write('kept', word);
    await write('of-later', 'first');
    await waitFor('all is copied', async () => {
      expect(await copies()).toEqual({ 'kept-copy': 'fourth', 'of-later-copy': 'first' });
      return true;
    });
    // One that waits while the API server is away is written afterwards, whatever the operator notices.
    await waitFor('both events are written', async () => (await events()) === 2);

    await apiServer.kill();
    await waitFor('it is noticed', () => proxy.openWatches().length === 0);
    await apiServer.restore(backup);
    const before = proxy.journal.length;
    await apiServer.start();
    const returnedAt = performance.now();
    // What it knows of has a parent that is no more, and a copy that is to be created again.
    await write('new', 'first');
    expect(await ended).toMatchObject({ reason: 'restored', error: { name: 'RestoredError' } });
    process.stdout.write(
      `noticed ${Math.round(performance.now() - returnedAt)} ms after the return of the API server\n`,
    );
    expect(performance.now() - returnedAt).toBeLessThan(10_000);
    expect(proxy.journal.slice(before).filter(({ method }) => method !== 'GET')).toEqual([]);

    const next = start();
    const nextEnded = next.run(stopNext.signal);
    await waitFor('all is copied', async () => {
      expect(await copies()).toEqual({ 'kept-copy': 'first', 'new-copy': 'first' });
      return true;
    });
    stopNext.abort();
    expect(await nextEnded).toEqual({ reason: 'stopped' });
    await proxy.stop();
  });

  it('is noticed by a single informer as well, which then equals the API server', async () => {
    const restores: Error[] = [];
    await using w = await Watched.start(apiServer, {
      clock: systemClock,
      informer: { onRestored: (error) => void restores.push(error) },
    });
    const backup = await apiServer.backUp();
    await w.expectNothingMissed();
    await w.changeEverything();
    await w.expectNothingMissed();
    await apiServer.kill();
    await apiServer.restore(backup);
    await apiServer.start();
    await w.expectNothingMissed(60_000);
    expect(restores).toHaveLength(1);
    expect(w.informer.store.get(`${w.namespace}/created`)).toBeUndefined();
    await w.changeEverything();
    await w.expectNothingMissed();
  });
});

it('an API server that lags behind is not taken for a restored one', async () => {
  const restores: Error[] = [];
  await using w = await Watched.start(apiServer, { informer: { onRestored: (error) => void restores.push(error) } });
  // What kube-apiserver 1.36 answers while its cache is behind the version that is asked for.
  const late = { kind: 'respond', status: 504, reason: 'Timeout', message: 'Too large resource version' } as const;
  w.proxy.inject({ verb: 'list' }, late, { times: 2 });
  w.proxy.breakWatches({ verb: 'watch' }, 'reset');
  await w.changeEverything();
  await w.expectNothingMissed();
  expect(restores).toEqual([]);
  expect(w.proxy.journal.filter(({ status }) => status === 504)).toHaveLength(2);
});
