import { join } from 'node:path';
import { startApiServer, type ApiServer } from './apiserver.ts';
import { FaultProxy } from './fault-proxy.ts';
import { kubectlWith, type Kubectl } from './tools.ts';
import { waitFor } from './wait.ts';

export const PROJECT = join(import.meta.dirname, '../..');

/** An API server of its own that knows both kinds, and kubectl for it. */
export interface TenantApi {
  readonly server: ApiServer;
  readonly kubeconfig: string;
  readonly kubectl: Kubectl;
  /** A proxy before it, which breaks what a test tells it to; it stops with it. */
  proxy(): Promise<FaultProxy>;
  stop(): Promise<void>;
}

export async function startTenantApi(options: Parameters<typeof startApiServer>[0] = {}): Promise<TenantApi> {
  const server = await startApiServer(options);
  try {
    const kubeconfig = server.kubeconfig();
    const kubectl = kubectlWith(kubeconfig);
    await kubectl.ok(['apply', '--server-side', '-f', join(PROJECT, 'crds')]);
    await waitFor('both kinds are served', async () => (await kubectl.try(['get', 'ct,csn'])).code === 0);
    const proxies: FaultProxy[] = [];
    return {
      server,
      kubeconfig,
      kubectl,
      proxy: async () => {
        const proxy = await FaultProxy.start(server);
        proxies.push(proxy);
        return proxy;
      },
      stop: async () => {
        for (const proxy of proxies) await proxy.stop();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** A manifest of a tenant, as a user would write it. */
export const tenantManifest = (name: string, spec?: unknown) => ({
  apiVersion: 'copilot-operator.dev/v1alpha1',
  kind: 'CopilotTenant',
  metadata: { name, namespace: 'default' },
  ...(spec !== undefined && { spec }),
});
