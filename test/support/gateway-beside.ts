/** A gateway and an operator that know each other, both from source beside the cluster, in the namespace of a test. */
import { approveAll, type CopilotClient, type SessionConfig } from '@github/copilot-sdk';
import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Secret } from '../../src/kube/types/builtins.ts';
import { INTERNAL_AUDIENCE } from '../../src/resources/gateway-internal.ts';
import { OPERATOR_AUDIENCE } from '../../src/resources/operator-internal.ts';
import { bindingFrom, withClient } from './chat.ts';
import type { TestNamespace } from './cluster.ts';
import { freePort } from './copilot-server.ts';
import { GatewayProcess } from './gateway-process.ts';
import { waitFor } from './wait.ts';

const SERVICE = 'gateway-of-test';

/** What a test does with the operator. */
export interface OperatorBeside {
  /** No operator runs until it is started again. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Both go with the namespace, which was opened with a gateway. There must be a pod in the cluster already. */
export async function startGatewayBeside(
  namespace: TestNamespace,
  operatorArgs: string[] = [],
  gatewayArgs: string[] = [],
): Promise<OperatorBeside> {
  const [port, internal, wakes] = [await freePort(), await freePort(), await freePort()];
  const address = await addressOfTests();
  await namespace.kubectl.ok(['create', '-f', '-'], endpoints(namespace.name, address));
  const args = [
    // Who leads is found by the Lease.
    '--leader-elect=true',
    `--wake-bind-address=127.0.0.1:${wakes}`,
    `--gateway-address=127.0.0.1:${port}`,
    `--gateway-internal=${SERVICE}:${internal}`,
    `--gateway-token-file=${await tokenFile(namespace, 'copilot-operator', INTERNAL_AUDIENCE)}`,
    ...operatorArgs,
  ];
  let operator = await namespace.startOperator({ args });
  const gateway = await GatewayProcess.start(
    await namespace.operatorKubeconfig('copilot-gateway'),
    [
      `--listen-port=${port}`,
      `--internal-port=${internal}`,
      `--watch-namespaces=${namespace.name}`,
      '--operator-lease=copilot-operator',
      `--operator-token-file=${await tokenFile(namespace, 'copilot-gateway', OPERATOR_AUDIENCE)}`,
      '--drain-timeout=1s',
      ...gatewayArgs,
    ],
    namespace.name,
  );
  namespace.use({ [Symbol.asyncDispose]: () => gateway.kill() });
  return {
    stop: () => operator.stop(),
    start: async () => void (operator = await namespace.startOperator({ args })),
  };
}

/** What is done with a client of the gateway, and with what it makes sessions. */
export type Use = (client: CopilotClient, config: SessionConfig) => Promise<void>;

/** Runs `use` with a client of the gateway, and what it makes sessions with. */
export async function converse(namespace: TestNamespace, tenant: string, use: Use): Promise<void> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref(`${tenant}-binding`));
  const binding = bindingFrom(data);
  const config: SessionConfig = { onPermissionRequest: approveAll, model: binding.model ?? 'test-model' };
  await withClient(binding, (client) =>
    use(client, { ...config, ...(binding.provider && { provider: binding.provider }) }),
  );
}

async function tokenFile(namespace: TestNamespace, account: string, audience: string): Promise<string> {
  const file = await namespace.operatorKubeconfig();
  const create = ['create', 'token', account, '-n', namespace.name, `--audience=${audience}`];
  writeFileSync(file, await namespace.kubectl.ok(create));
  return file;
}

/** Where pods reach what runs beside the cluster, and where a replica of the gateway is for the operator: the API server takes no address of the loopback. */
export const addressOfTests = (): Promise<string> =>
  waitFor('this machine has an address beside the loopback', ownAddress);

function ownAddress(): string | undefined {
  const found = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return found.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

function endpoints(namespace: string, address: string): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${SERVICE}-1`, namespace, labels: { 'kubernetes.io/service-name': SERVICE } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: 'internal', port: 4323, protocol: 'TCP' }],
  };
}
