/** Operators of a tenant that sleeps while nobody uses it, on a real API server. The pods, and what the gateway says, are played. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { Deployment, PersistentVolumeClaim, type Pod } from '../../src/kube/types/builtins.ts';
import { findCondition } from '../../src/kube/write/conditions.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import type { GatewayDrains } from '../../src/tenant/gateway-drains.ts';
import { Wakes } from '../../src/tenant/wakes.ts';
import { DrainPort } from './drain-port.ts';
import { GATEWAY_FACTS } from './gateway-rights.ts';
import { ReconcilerWorld } from './reconciler-world.ts';
import { startTenantApi, type TenantApi } from './tenant-api.ts';

const AFTER_IDLE_MS = 60_000;

/** An API server and a gateway, which outlive the operators. */
export class SleepWorld implements AsyncDisposable {
  /** For how long nobody has used the tenant, as the gateway says; undefined: it has not said it to this operator. */
  idleMs: number | undefined;
  readonly #api: TenantApi;
  readonly #port: DrainPort;
  readonly #directory = mkdtempSync(join(tmpdir(), 'copilot-operator-sleep-'));

  static async start(): Promise<SleepWorld> {
    return new SleepWorld(await startTenantApi(), await DrainPort.start());
  }

  private constructor(api: TenantApi, port: DrainPort) {
    this.#api = api;
    this.#port = port;
    writeFileSync(this.#tokenFile, 'token');
  }

  get #tokenFile(): string {
    return join(this.#directory, 'token');
  }

  /** In the namespace of another one it is the next process, which begins so much later. */
  async operator(former?: SleepOperator, laterMs = 0): Promise<SleepOperator & AsyncDisposable> {
    const drains = this.#port.drains(this.#tokenFile);
    this.#port.lines = [];
    const clock = { monotonic: (): number => world.clock.monotonic() };
    const wakes = new Wakes({ clock, max: 8, waking: () => [] });
    const clients = { get: () => 0, idleMs: () => this.idleMs, onChange: () => undefined };
    const flags = { gateway: GATEWAY_FACTS, drains, clients, wakes };
    const world = await ReconcilerWorld.open(this.#api.kubeconfig, former?.world.namespace, flags);
    if (former !== undefined) world.clock.jumpWallClock(former.world.clock.now() + laterMs - world.clock.now());
    const operator = new SleepOperator(this, this.#port, { world, drains, wakes });
    return Object.assign(operator, { [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#port[Symbol.asyncDispose]();
    await this.#api.stop();
    rmSync(this.#directory, { recursive: true });
  }
}

/** One process of the operator, and its tenant acme. */
export class SleepOperator {
  readonly world: ReconcilerWorld & AsyncDisposable;
  readonly wakes: Wakes;
  readonly #drains: GatewayDrains;
  readonly #gateway: Pick<SleepWorld, 'idleMs'>;
  readonly #port: DrainPort;

  constructor(
    gateway: Pick<SleepWorld, 'idleMs'>,
    port: DrainPort,
    { world, drains, wakes }: { world: SleepOperator['world']; drains: GatewayDrains; wakes: Wakes },
  ) {
    [this.#gateway, this.#port, this.world, this.#drains, this.wakes] = [gateway, port, world, drains, wakes];
  }

  /** Tenant acme, which was just used. Returns its pod. */
  async used(spec: CopilotTenantSpecInput = {}): Promise<Pod> {
    this.#gateway.idleMs = 0;
    await this.created(spec);
    return this.runs();
  }

  /** Tenant acme, whose server does not run yet. */
  async created(spec: CopilotTenantSpecInput = {}): Promise<void> {
    const { world } = this;
    await world.createTenant('acme', { access: 'Gateway', hibernation: { afterIdle: '1m' }, ...spec });
    await world.settle();
    await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  }

  /** Nobody uses it for as long as it takes to put it to sleep. */
  async unused(): Promise<void> {
    this.#gateway.idleMs = 2 * AFTER_IDLE_MS;
    await this.world.advance(AFTER_IDLE_MS);
    await this.reconciled();
  }

  /** The kubelet starts its server, which answers. */
  async runs(): Promise<Pod> {
    const pod = await this.world.startPod('acme', 0);
    await this.world.settle();
    await this.answers();
    return pod;
  }

  /** The server answers this process. */
  async answers(): Promise<void> {
    const { world } = this;
    world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
    await this.reconciled();
  }

  /** The kubelet has stopped its server. */
  async stopped(pod: Pod): Promise<void> {
    const { world } = this;
    await world.removePod(pod);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
  }

  async reconciled(): Promise<void> {
    await this.world.reconcile('acme');
    await this.world.settle();
  }

  /** A process that has just begun has filled its caches. */
  async filled(): Promise<void> {
    await this.world.fill();
    await this.world.settle();
  }

  /** The gateway says how far the drain with this epoch is. */
  async says(epoch: number, turns = 0): Promise<void> {
    const server = `${this.world.namespace}/acme-0`;
    this.#port.lines = [{ server, epoch, turns, drained: turns === 0 }];
    await this.#drains.poll(new AbortController().signal);
    await this.world.settle();
  }

  /** A client waits at the gateway, which knows the tenant in this state. */
  async asked(epoch: number): Promise<void> {
    this.wakes.ask([{ namespace: this.world.namespace, name: 'acme', epoch }]);
    await this.world.settle();
  }

  async status(): Promise<CopilotTenant['status']> {
    return (await this.world.tenant('acme')).status;
  }

  /** The condition, the phase, and how many pods the server is to have. */
  async state(): Promise<string> {
    const { conditions, hibernation } = (await this.status()) ?? {};
    const { status, reason } = findCondition(conditions, 'Hibernated') ?? {};
    const replicas = (await this.world.get(Deployment, 'acme-0'))?.spec?.replicas;
    return `${status} ${reason} ${hibernation?.phase} ${replicas}`;
  }

  /** The drain of the server. */
  async drain() {
    return (await this.status())?.servers?.[0]?.drain;
  }
}
