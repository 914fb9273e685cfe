/**
 * A gateway as a process with its own rights, the operator's reconciler that makes its tenants, a model, and real servers in place of
 * pods: only the kubelet is played.
 */
import { randomBytes } from 'node:crypto';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { SERVER_PORT } from '../../src/api/names.ts';
import { KeySecrets } from '../../src/commands/operator/key-secrets.ts';
import { PEER_KEYS, STAMP_KEYS } from '../../src/resources/key-secret.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { Pod, Secret } from '../../src/kube/types/builtins.ts';
import type { Binding } from './chat.ts';
import type { ServerBinary } from './copilot-binary.ts';
import { CopilotServer, freePort } from './copilot-server.ts';
import { GatewayProcess } from './gateway-process.ts';
import { GATEWAY_FACTS, GATEWAY_NAMESPACE, gatewayKubeconfig } from './gateway-rights.ts';
import { TestModel } from './model.ts';
import { ReconcilerWorld } from './reconciler-world.ts';
import { startTenantApi, type TenantApi } from './tenant-api.ts';

/** Where servers listen: test files that run beside each other have an address of the loopback each, because all servers have the same port. */
const HOST = `127.0.1.${process.env['JEST_WORKER_ID'] ?? '1'}`;

export class GatewayWorld implements AsyncDisposable {
  readonly api: TenantApi;
  readonly model: TestModel;
  readonly tenants: ReconcilerWorld & AsyncDisposable;
  /** Where clients of the gateway connect. */
  readonly address: { readonly host: string; readonly port: number };
  /** Of the gateway, for processes with its rights. */
  readonly kubeconfig: string;
  #gateway: GatewayProcess;
  /** Ends what the operator does beside its reconciles. */
  readonly #stop: () => Promise<void>;

  private constructor(
    parts: Pick<GatewayWorld, 'api' | 'model' | 'tenants' | 'address' | 'kubeconfig'>,
    gateway: GatewayProcess,
    stop: () => Promise<void>,
  ) {
    this.api = parts.api;
    this.model = parts.model;
    this.tenants = parts.tenants;
    this.address = parts.address;
    this.kubeconfig = parts.kubeconfig;
    this.#gateway = gateway;
    this.#stop = stop;
  }

  static async start(): Promise<GatewayWorld> {
    const api = await startTenantApi();
    const model = await TestModel.start();
    const tenants = await ReconcilerWorld.open(api.kubeconfig, undefined, { gateway: GATEWAY_FACTS });
    const address = { host: '127.0.0.1', port: await freePort() };
    const kubeconfig = await gatewayKubeconfig(api);
    const stop = new AbortController();
    const signing = signer(tenants).run(stop.signal);
    const gateway = await startGateway(kubeconfig, address.port);
    return new GatewayWorld({ api, model, tenants, address, kubeconfig }, gateway, async () => {
      stop.abort();
      await signing;
    });
  }

  get gateway(): GatewayProcess {
    return this.#gateway;
  }

  /** The gateway is killed, and another one serves at the same address. */
  async replaceGateway(): Promise<void> {
    await this.#gateway.kill();
    this.#gateway = await startGateway(this.kubeconfig, this.address.port);
  }

  /** Makes a tenant that asks the model. */
  async createTenant(name: string, spec: CopilotTenantSpecInput = {}): Promise<void> {
    const { provider, model = '' } = this.model.bind(this.address, '');
    const { baseUrl = '' } = provider ?? {};
    await this.tenants.createTenant(name, { model: { provider: { baseUrl, model } }, ...spec });
    await this.tenants.settle();
  }

  /** What a Secret has, as text. */
  async secret(name: string): Promise<Record<string, string>> {
    const { data = {} } = await this.tenants.client.get(Secret, this.tenants.ref(name));
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  async token(secret: string): Promise<string> {
    return (await this.secret(secret))['token'] ?? '';
  }

  /** What a client of the gateway needs, with this token. */
  binding(token: string): Binding {
    return this.model.bind(this.address, token);
  }

  /** Starts the server of a tenant on this machine, and its pod with that address. Only one at a time of a test file has the port of servers. */
  async startServer(tenant: string, binary: ServerBinary = 'runtime', host = HOST): Promise<CopilotServer> {
    const token = await this.token(`${tenant}-token`);
    const server = await CopilotServer.start(binary, token, [], {}, SERVER_PORT, { host });
    const pod = await this.tenants.startPod(tenant, 0);
    const status = { podIP: server.host, podIPs: [{ ip: server.host }] };
    await this.tenants.patch(Pod, pod.metadata.name, { status }, 'status');
    await this.tenants.settle();
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#gateway.kill();
    await this.tenants[Symbol.asyncDispose]();
    this.model[Symbol.dispose]();
    await this.api.stop();
  }
}

/** The operator's part of isolation: the key that signs whose a session is. */
function signer({ client }: ReconcilerWorld) {
  const log = { info: () => undefined, warn: () => undefined };
  const secrets = [STAMP_KEYS, PEER_KEYS];
  return new KeySecrets({ client, clock: systemClock, log, namespace: GATEWAY_NAMESPACE, randomBytes, secrets });
}

function startGateway(kubeconfig: string, port: number): Promise<GatewayProcess> {
  return GatewayProcess.start(kubeconfig, [`--listen-port=${port}`, '--drain-timeout=0s']);
}
