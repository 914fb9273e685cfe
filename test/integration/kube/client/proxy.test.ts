import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { ConnectProxy } from '../../../support/connect-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';

let apiServer: ApiServer;
const environment = { ...process.env };

beforeAll(async () => {
  apiServer = await startApiServer();
}, 90_000);
afterAll(() => apiServer.stop());
afterEach(() => {
  process.env = { ...environment };
});

/**
 * A kubeconfig with a name for the API server: requests to 127.0.0.1 and localhost use no proxy of the environment. Only the proxy resolves
 * it, as only a company's proxy resolves the names outside.
 */
function kubeconfig(cluster: Record<string, unknown>): string {
  const path = apiServer.kubeconfig();
  const config = JSON.parse(readFileSync(path, 'utf8')) as { clusters: [{ cluster: Record<string, unknown> }] };
  Object.assign(config.clusters[0].cluster, cluster);
  writeFileSync(path, JSON.stringify(config));
  return path;
}

describe('a proxy to the API server', () => {
  it('of the kubeconfig is used for requests and watches, each with a tunnel of its own', async () => {
    await using proxy = await ConnectProxy.start();
    await using c = connect(kubeconfig({ 'proxy-url': proxy.url('operator:secret@') }));
    await c.client.create(ConfigMap, configMap('default', 'through-a-proxy'));
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const fieldSelector = 'metadata.name=through-a-proxy';
      for await (const { object } of c.client.watch(ConfigMap, {
        namespace: 'default',
        fieldSelector,
        signal: stop.signal,
      })) {
        if ('metadata' in object) seen.push((object as ConfigMap).metadata.name);
      }
    })();
    await waitFor('the watch has begun', () => seen.length > 0);
    expect(proxy.tunnels).toEqual(Array(2).fill(new URL(apiServer.url).host));
    expect(new Set(proxy.authorizations)).toEqual(
      new Set([`Basic ${Buffer.from('operator:secret').toString('base64')}`]),
    );
    stop.abort();
    await expect(watching).rejects.toThrow('cancelled by the caller');
    await c.transport.close();
    await waitFor('no tunnel is left', () => proxy.openConnections === 0);
  });

  it('of the environment is used, unless NO_PROXY names the server', async () => {
    await using proxy = await ConnectProxy.start();
    const server = apiServer.url.replace('127.0.0.1', 'api.example.internal');
    process.env['HTTPS_PROXY'] = proxy.url();
    // The proxy does not know the name either, which its answer shows: it was asked.
    proxy.refuseWith = 502;
    await using through = connect(kubeconfig({ server }));
    await expect(through.client.get(ConfigMap, { namespace: 'default', name: 'x' })).rejects.toThrow(/502/);
    expect(proxy.authorizations.length).toBeGreaterThan(0);
    const asked = proxy.authorizations.length;
    process.env['NO_PROXY'] = '.example.internal';
    await using past = connect(kubeconfig({ server }));
    await expect(past.client.get(ConfigMap, { namespace: 'default', name: 'x' })).rejects.toThrow(
      /ENOTFOUND|EAI_AGAIN/,
    );
    expect(proxy.authorizations).toHaveLength(asked);
  });

  it('that opens no tunnel is an error that says so, and a write was surely not executed', async () => {
    await using proxy = await ConnectProxy.start();
    proxy.refuseWith = 503;
    await using c = connect(kubeconfig({ 'proxy-url': proxy.url() }));
    const creation = c.client.create(ConfigMap, configMap('default', 'never'));
    await expect(creation).rejects.toMatchObject({
      name: 'TransportError',
      failure: 'network',
      notSent: true,
      message: expect.stringContaining('503'),
    });
  });
});
