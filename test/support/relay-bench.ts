/** A real server, a model and the gateway in front of it, for tests of the relay with real SDKs. */
import { approveAll, defineTool, type CopilotClient, type SessionConfig } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import type { Step } from '../model/script.ts';
import { withClient, type Binding } from './chat.ts';
import type { ServerBinary } from './copilot-binary.ts';
import { CopilotServer } from './copilot-server.ts';
import { Histories } from './histories.ts';
import { JoinedGateways } from './joined-gateways.ts';
import { TestModel } from './model.ts';
import { BINDING_TOKEN, GatewayInProcess, bindingTokenFor, type GatewayInProcessOptions } from './gateway.ts';
import { waitFor } from './wait.ts';

/** `AtHome`: clients connect to the replica of the gateway that has the connection to the server. `Forwarded`: to another one. */
export type Way = 'AtHome' | 'Forwarded';

export const WAYS: readonly (readonly [ServerBinary, Way])[] = [
  ['cli', 'AtHome'],
  ['runtime', 'AtHome'],
  ['cli', 'Forwarded'],
  ['runtime', 'Forwarded'],
];

const TOKEN = 'f3b1c0ffee';

export class RelayBench implements AsyncDisposable {
  readonly server: CopilotServer;
  /** All servers of the tenant, `server` first. */
  readonly servers: readonly CopilotServer[];
  readonly model: TestModel;
  /** What clients connect to. */
  readonly gateway: GatewayInProcess;
  readonly #all: AsyncDisposable;
  /** The server's own connection token. */
  readonly token = TOKEN;
  /** What clients of the gateway need. */
  readonly binding: Binding;
  readonly #histories = new Histories((id) => this.servers.map((server) => server.journalOf(id)).join(''));

  private constructor(
    server: CopilotServer,
    others: readonly CopilotServer[],
    model: TestModel,
    gateway: GatewayInProcess,
    all: AsyncDisposable = gateway,
  ) {
    this.server = server;
    this.servers = [server, ...others];
    this.model = model;
    this.gateway = gateway;
    this.#all = all;
    this.binding = model.bind(gateway, BINDING_TOKEN);
  }

  /** `env`: further variables of the server, which may depend on the model. */
  static async start(
    binary: ServerBinary,
    relayLimits: Partial<RelayLimits> = {},
    options: GatewayInProcessOptions = {},
    env: (model: TestModel) => Promise<Record<string, string>> = async () => ({}),
  ): Promise<RelayBench> {
    const model = await TestModel.start();
    const server = await CopilotServer.start(binary, TOKEN, [], await env(model));
    const { host, port } = server;
    const gateway = await GatewayInProcess.start({ ...options, server: { host, port }, token: TOKEN, relayLimits });
    return new RelayBench(server, [], model, gateway);
  }

  /** The same with as many servers of the tenant. */
  static async startSeveral(
    replicas: number,
    binary: ServerBinary,
    relayLimits: Partial<RelayLimits> = {},
    options: GatewayInProcessOptions = {},
  ): Promise<RelayBench> {
    const { server, model, gateway } = await RelayBench.start(binary, relayLimits, options);
    const others: CopilotServer[] = [];
    while (others.length < replicas - 1) others.push(await CopilotServer.start(binary, TOKEN));
    gateway.fleet.serve([server, ...others].map(({ host, port }) => ({ host, port })));
    return new RelayBench(server, others, model, gateway);
  }

  /** The same, with clients at a replica of the gateway whose home is another one. */
  static async startForwarded(binary: ServerBinary, options: GatewayInProcessOptions = {}): Promise<RelayBench> {
    const model = await TestModel.start();
    const server = await CopilotServer.start(binary, TOKEN);
    const { host, port } = server;
    const all = await JoinedGateways.start(['holder', 'home'], 'home', {
      ...options,
      server: { host, port },
      token: TOKEN,
    });
    return new RelayBench(server, [], model, all.gateway('holder'), all);
  }

  static startBy(way: Way, binary: ServerBinary, options: GatewayInProcessOptions = {}): Promise<RelayBench> {
    return way === 'AtHome' ? RelayBench.start(binary, {}, options) : RelayBench.startForwarded(binary, options);
  }

  /** What sessions are made with: the test model, and every permission given. */
  config(changes: Partial<SessionConfig> = {}): SessionConfig {
    const { provider } = this.binding;
    return { onPermissionRequest: approveAll, model: 'test-model', ...(provider && { provider }), ...changes };
  }

  /** Runs `use` with a client of the gateway. */
  client<T>(use: (client: CopilotClient) => Promise<T>): Promise<T> {
    return this.clientAt(this.binding, use);
  }

  /** Runs `use` with a client of the gateway that acts for a user. */
  clientOf<T>(user: string, use: (client: CopilotClient) => Promise<T>): Promise<T> {
    return this.clientAt({ ...this.binding, token: bindingTokenFor(user) }, use);
  }

  /** Runs `use` with a client of something else before the server. What clients say and are told has to agree with the journals at the end. */
  clientAt<T>(binding: Binding, use: (client: CopilotClient) => Promise<T>): Promise<T> {
    return withClient(binding, (client) => this.#histories.watch(client, use));
  }

  /** Something of this session is lost, and its clients are told so: it is not compared with its journal. */
  mayLose(sessionId: string): void {
    this.#histories.mayLose(sessionId);
  }

  /** Clients that are connected. */
  clients(): Promise<number> {
    return this.gateway.metric('copilot_gateway_clients');
  }

  /** Clients whose connection was closed because they did not read, by default because each alone had too much. */
  cut(reason = 'SlowClient'): Promise<number> {
    return this.gateway.metric('copilot_gateway_closed_connections_total', { reason });
  }

  /** A word that only the prompt of this answer has. */
  async answer(...steps: Step[]): Promise<string> {
    const word = randomUUID();
    await this.model.say({ match: word, steps });
    return word;
  }

  /** Waits until the model is asked `count` times about `word`. */
  async asked(word: string, count = 1): Promise<void> {
    const isAsked = async () => (await this.model.requests(word)).length >= count;
    await waitFor(`the model is asked ${count} times`, isAsked, { withinMs: 30_000, everyMs: 50 });
  }

  /** What tools answered to the model about `word`, all together. */
  async toolResults(word: string): Promise<string> {
    return (await this.model.requests(word)).flatMap(({ toolResults = [] }) => toolResults).join();
  }

  /** @throws Error if a client was told something else than the journals have */
  async [Symbol.asyncDispose](): Promise<void> {
    // While the servers have their disks.
    const problems = await this.#histories.problems();
    await this.#all[Symbol.asyncDispose]();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    this.model[Symbol.dispose]();
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }
}

/** The step in which the model calls a tool. */
export function toolCall(name: string, args: Record<string, unknown>): Step {
  return { toolCall: { name, arguments: args } };
}

/** A tool of a client. */
export function clientTool(name: string, handler: (q: string) => Promise<string> | string) {
  return defineTool(name, {
    description: `the tool ${name}`,
    parameters: { type: 'object', properties: { q: { type: 'string' } } },
    handler: async ({ q }: { q: string }) => handler(q),
  });
}

/** Calls a method that the SDK has no function for. */
export function request(client: CopilotClient, method: string, params: object): Promise<unknown> {
  const { connection } = client as unknown as {
    connection: { sendRequest: (method: string, params: object) => Promise<unknown> };
  };
  return connection.sendRequest(method, params);
}
