/** Real servers that share a directory, each behind a real guard, with a model and the gateway in front of them. */
import { approveAll, type CopilotClient, type SessionConfig } from '@github/copilot-sdk';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStore } from '../../src/gateway/locks/memory-store.ts';
import type { PodFate } from '../../src/gateway/model.ts';
import type { FenceMeans } from '../../src/gateway/relay/fence/fence.ts';
import { grantKeyPem, grantSigner, type GrantSigner } from '../../src/resources/session-grant.ts';
import { withClient, type Binding } from './chat.ts';
import type { ServerBinary } from './copilot-binary.ts';
import { CopilotServer } from './copilot-server.ts';
import { BINDING_TOKEN, GatewayInProcess } from './gateway.ts';
import { GuardProcess } from './guard-process.ts';
import { TestModel } from './model.ts';
import { TENANT } from './static-fleet.ts';

const TOKEN = 'f3b1c0ffee';
const GONE: PodFate = { reason: 'Deleted', isGone: true, message: 'it does not exist any more' };

/** A server behind its guard. */
export interface GuardedPod {
  readonly cli: CopilotServer;
  readonly guard: GuardProcess;
  readonly podUID: string;
}

export class SharedBench implements AsyncDisposable {
  readonly pods: readonly GuardedPod[];
  readonly model: TestModel;
  readonly gateway: GatewayInProcess;
  readonly binding: Binding;
  readonly store: MemoryStore;
  readonly signer: GrantSigner;
  /** The connection token of the servers. */
  readonly token = TOKEN;
  readonly #disk: string;
  readonly #fates: Map<string, PodFate>;
  #drains = 0;

  private constructor(
    pods: readonly GuardedPod[],
    model: TestModel,
    gateway: GatewayInProcess,
    disk: string,
    fates: Map<string, PodFate>,
    { store, signer }: { readonly store: MemoryStore; readonly signer: GrantSigner },
  ) {
    this.pods = pods;
    this.model = model;
    this.gateway = gateway;
    this.binding = model.bind(gateway, BINDING_TOKEN);
    this.store = store;
    this.signer = signer;
    this.#disk = disk;
    this.#fates = fates;
  }

  static async start(replicas: number, binary: ServerBinary): Promise<SharedBench> {
    const disk = mkdtempSync(join(tmpdir(), 'copilot-operator-shared-'));
    const sessions = join(disk, 'sessions');
    mkdirSync(sessions);
    const pem = grantKeyPem(generateKeyPairSync('ed25519'));
    const keyFile = join(disk, 'keys.pem');
    writeFileSync(keyFile, pem.publicKey);
    const model = await TestModel.start();
    const pods: GuardedPod[] = [];
    for (let index = 0; index < replicas; index += 1) {
      const place = { host: '127.0.0.1', sessions };
      const cli = await CopilotServer.start(binary, TOKEN, [], {}, undefined, place);
      const podUID = `pod-of-${index}`;
      const server = `${TENANT.namespace}/${TENANT.name}-${index}`;
      const tenant = `${TENANT.namespace}/${TENANT.name}`;
      pods.push({ cli, guard: await GuardProcess.start({ tenant, server, podUID, cli, sessions, keyFile }), podUID });
    }
    const store = new MemoryStore();
    const signer = grantSigner(pem.privateKey);
    const fates = new Map<string, PodFate>();
    const runs: PodFate = { reason: 'Running', isGone: false, message: 'it may still run' };
    const shared: FenceMeans = {
      store,
      signers: () => [signer],
      fates: { fateOf: (_namespace, uid) => Promise.resolve(fates.get(uid) ?? runs) },
      holder: 'the gateway of the test',
    };
    const gateway = await GatewayInProcess.start({ token: TOKEN, shared, relayLimits: { awayMs: 5000 } });
    gateway.fleet.serve(pods.map(({ guard: { host, port } }) => ({ host, port })));
    gateway.fleet.change({ topology: 'SharedStorage', pods: pods.map(({ podUID }) => podUID) });
    return new SharedBench(pods, model, gateway, disk, fates, { store, signer });
  }

  /** What sessions are made with: the test model, and every permission given. */
  config(changes: Partial<SessionConfig> = {}): SessionConfig {
    const { provider } = this.binding;
    return { onPermissionRequest: approveAll, model: 'test-model', ...(provider && { provider }), ...changes };
  }

  client<T>(use: (client: CopilotClient) => Promise<T>): Promise<T> {
    return withClient(this.binding, use);
  }

  /** The server that the record of the session names. */
  async placeOf(session: string): Promise<number> {
    const record = await this.store.read({ tenant: 'uid-of-acme', session });
    return this.pods.findIndex(({ podUID }) => podUID === record?.place.podUID);
  }

  /** The server is drained, and none follows. */
  drain(index: number): void {
    const { podUID } = this.#pod(index);
    const server = `${TENANT.namespace}/${TENANT.name}-${index}`;
    this.gateway.fleet.change({
      drains: [{ server, epoch: (this.#drains += 1), podUID, timeoutMs: 60_000, comesBack: false }],
    });
  }

  /** Kills all of a pod, and says that it is gone. */
  async remove(index: number): Promise<void> {
    const { cli, guard, podUID } = this.#pod(index);
    await Promise.all([guard.kill(), cli.kill()]);
    this.#fates.set(podUID, GONE);
    const { servers = [], pods = [] } = this.gateway.fleet.find(TENANT) ?? {};
    this.gateway.fleet.change({
      servers: servers.filter((server) => server.podUID !== podUID),
      pods: pods.filter((uid) => uid !== podUID),
    });
  }

  /** What is wrong with the journal: each event names the one before it, so a second writer would fork it. */
  problemsOf(session: string): string[] {
    const path = join(this.#disk, 'sessions', session, 'events.jsonl');
    if (!existsSync(path)) return [`session ${session} has no journal`];
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
    let last: string | null = null;
    return lines.flatMap((line, index) => {
      const { id, parentId, type } = JSON.parse(line) as { id: string; parentId: string | null; type: string };
      const problem = parentId === last ? [] : [`event ${index} (${type}) follows ${parentId}, and not ${last}`];
      last = id;
      return problem;
    });
  }

  #pod(index: number): GuardedPod {
    const pod = this.pods[index];
    if (pod === undefined) throw new Error(`there is no server ${index}`);
    return pod;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    for (const { cli, guard } of this.pods) {
      await guard[Symbol.asyncDispose]();
      await cli[Symbol.asyncDispose]();
    }
    this.model[Symbol.dispose]();
    rmSync(this.#disk, { recursive: true, force: true });
  }
}
