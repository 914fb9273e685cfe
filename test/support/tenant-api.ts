import { join } from 'node:path';
import { startApiServer, type ApiServer } from './apiserver.ts';
import { kubectlWith, type Kubectl } from './tools.ts';
import { waitFor } from './wait.ts';

export const PROJECT = join(import.meta.dirname, '../..');

/** An API server of its own that knows both kinds, and kubectl for it. */
export interface TenantApi {
  readonly server: ApiServer;
  readonly kubeconfig: string;
  readonly kubectl: Kubectl;
  stop(): Promise<void>;
}

export async function startTenantApi(options: Parameters<typeof startApiServer>[0] = {}): Promise<TenantApi> {
  const server = await startApiServer(options);
  try {
    const kubeconfig = server.kubeconfig();
    const kubectl = kubectlWith(kubeconfig);
    await kubectl.ok(['apply', '--server-side', '-f', join(PROJECT, 'crds')]);
    await waitFor('both kinds are served', async () => (await kubectl.try(['get', 'ct,csn'])).code === 0);
    return { server, kubeconfig, kubectl, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** A manifest of a tenant, as somebody would write it. */
export const tenantManifest = (name: string, spec?: unknown) => ({
  apiVersion: 'copilot-operator.dev/v1alpha1',
  kind: 'CopilotTenant',
  metadata: { name, namespace: 'default' },
  ...(spec !== undefined && { spec }),
});
