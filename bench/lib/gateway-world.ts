// A gateway as it ships, before a real API server that knows one tenant with one server. The operator's reconciler made the tenant; the
// kubelet is played, so that the server may be any process of this machine.
import { randomBytes } from 'node:crypto';
import { SERVER_PORT } from '../../src/api/names.ts';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { Pod, Secret } from '../../src/kube/types/builtins.ts';
import { publicGrantKeys } from '../../src/resources/grant-keys.ts';
import { GRANT_KEYS, keysIn, newKeySecret, PEER_KEYS } from '../../src/resources/key-secret.ts';
import { freePort } from '../../test/support/copilot-server.ts';
import { GATEWAY_FACTS, GATEWAY_NAMESPACE, gatewayKubeconfig } from '../../test/support/gateway-rights.ts';
import { ReconcilerWorld } from '../../test/support/reconciler-world.ts';
import { scrape } from '../../test/support/scrape.ts';
import { startTenantApi } from '../../test/support/tenant-api.ts';
import { startShipped, type ShippedProcess, type Variant } from './shipped.ts';

/** Where clients connect, and with which token. */
export interface Door {
  readonly host: string;
  readonly port: number;
  readonly token: string;
}

export interface GatewayProcess extends ShippedProcess {
  /** The token has the tenant's binding credential. */
  readonly door: Door;
}

/** One of several that know each other, as the chart starts them: they speak TLS by the key of their Secret. */
export interface Replica extends GatewayProcess {
  /** Value of a gauge at its /metrics. */
  gauge(name: string): Promise<number>;
}

export interface GatewayWorld extends AsyncDisposable {
  /** The tenant's server: nobody listens there yet. */
  readonly server: Door;
  /** What gateways reach the API server with. */
  readonly kubeconfig: string;
  /** The token of clients. */
  readonly token: string;
  /** The server as guards and records of sessions name it. */
  readonly place: {
    readonly tenant: string;
    readonly tenantUID: string;
    readonly server: string;
    readonly podUID: string;
  };
  /** What guards verify grants with, as PEM. */
  readonly grantKeys: string;
  /** Starts a gateway, with further flags; resolves when it is ready. */
  startGateway(variant?: Variant, flags?: readonly string[]): Promise<GatewayProcess>;
  /** Starts a replica of it; resolves when it is ready. It may not know the others yet. */
  startReplica(variant?: Variant): Promise<Replica>;
}

const TENANT = 'acme';
const LIMITS = ['--max-connections-per-tenant=20000', '--drain-timeout=0s'];

/** `host`: the address of the tenant's server, whose port is that of all servers. `spec`: of the tenant. */
export async function openGatewayWorld(host: string, spec: CopilotTenantSpecInput = {}): Promise<GatewayWorld> {
  await using stack = new AsyncDisposableStack();
  const api = await startTenantApi();
  stack.defer(() => api.stop());
  const grants = newKeySecret(GRANT_KEYS, GATEWAY_NAMESPACE, randomBytes);
  const all = keysIn(GRANT_KEYS, grants);
  const facts = { gateway: GATEWAY_FACTS, grantKeys: { all } };
  const world = stack.use(await ReconcilerWorld.open(api.kubeconfig, undefined, facts));
  const { metadata } = await world.createTenant(TENANT, spec);
  await world.settle();
  const pod = await world.startPod(TENANT, 0);
  await world.patch(Pod, pod.metadata.name, { status: { podIP: host, podIPs: [{ ip: host }] } }, 'status');
  await world.settle();
  const tokenOf = async (secret: string): Promise<string> => {
    const { data } = await world.client.get(Secret, world.ref(secret));
    return Buffer.from(data?.['token'] ?? '', 'base64').toString();
  };
  const kubeconfig = await gatewayKubeconfig(api);
  await world.client.create(Secret, newKeySecret(PEER_KEYS, GATEWAY_NAMESPACE, randomBytes));
  await world.client.create(Secret, grants);
  const server = { host, port: SERVER_PORT, token: await tokenOf(`${TENANT}-token`) };
  const token = await tokenOf(`${TENANT}-binding`);
  const kept = stack.move();
  const startGateway = async (variant?: Variant, flags: readonly string[] = []): Promise<GatewayProcess> => {
    const [port, health] = [await freePort(), await freePort()];
    const args = [
      `--kubeconfig=${kubeconfig}`,
      `--listen-port=${port}`,
      `--health-port=${health}`,
      ...LIMITS,
      ...flags,
    ];
    const env = { POD_NAMESPACE: GATEWAY_NAMESPACE, ...variant?.env };
    const started = startShipped('gateway', args, health, { ...variant, env });
    await started.ready();
    return { ...started, door: { host: '127.0.0.1', port, token } };
  };
  return {
    server,
    kubeconfig,
    token,
    place: {
      tenant: `${world.namespace}/${TENANT}`,
      tenantUID: metadata.uid ?? '',
      server: `${world.namespace}/${TENANT}-0`,
      podUID: pod.metadata.uid ?? '',
    },
    grantKeys: publicGrantKeys(all) ?? '',
    startGateway,
    startReplica: async (variant) => {
      const [peers, metrics] = [await freePort(), await freePort()];
      const started = await startGateway(variant, [`--peer-port=${peers}`, `--metrics-port=${metrics}`]);
      return { ...started, gauge: async (name) => (await scrape(metrics)).value(name) };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
