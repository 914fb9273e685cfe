import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { ConfigMap } from '../../../src/kube/types/builtins.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { configMap, connect } from '../../support/kube.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched } from './watched.ts';

jest.setTimeout(120_000);

let apiServer: ApiServer;

beforeAll(async () => {
  apiServer = await startApiServer();
});
afterAll(() => apiServer.stop());

it('an API server that is killed and restarted: the watch is resumed, nothing is missed, requests are few', async () => {
  await using w = await Watched.start(apiServer, { clock: systemClock });
  for (let round = 1; round <= 2; round++) {
    await apiServer.kill();
    await waitFor('the watch has ended', () => w.ends.length >= round);
    expect(w.informer.healthy().ok).toBe(true);
    await apiServer.start();
    await w.client.apply(ConfigMap, configMap(w.namespace, 'changed', { round: `${round}` }), { fieldManager: 'test' });
    await w.expectNothingMissed(60_000);
  }
  await w.changeEverything();
  await w.expectNothingMissed();
  // The back-off without jitter: 0.8, 1.6, 3.2, 6.4 ... s; the server is down for about 4 s each time.
  expect(w.proxy.journal.length).toBeLessThan(15);
});

it('requests fail at once while it is down, and succeed again with the same pool', async () => {
  await using c = connect(apiServer.kubeconfig());
  await c.client.create(ConfigMap, configMap('default', 'before'));
  await apiServer.kill();
  const error: unknown = await c.client.create(ConfigMap, configMap('default', 'while')).catch((e: unknown) => e);
  expect(error).toMatchObject({ name: 'TransportError', failure: 'network' });
  await apiServer.start();
  await c.client.create(ConfigMap, configMap('default', 'after'));
});
