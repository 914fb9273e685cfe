/** What all lives of a campaign share: an API server, the connections to it, and the watches of what it has. */
import { Agent } from 'node:https';
import { readFileSync } from 'node:fs';
import { Client } from '../../src/kube/client/client.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { loadConfig } from '../../src/kube/client/config.ts';
import { Transport, type TransportRequest } from '../../src/kube/client/transport.ts';
import type { KubeObject, Status } from '../../src/kube/types/types.ts';
import { apiRequestOf } from '../support/api-request.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { startTenantApi, type TenantApi } from '../support/tenant-api.ts';
import { FOLLOWED } from './garbage.ts';
import { answerOf, Mirror, type Answer } from './mirror.ts';

/** The heaps of API server and etcd are small, and collecting their garbage would be much of what a life costs. */
const GO = { GOGC: '400' };

/** Tells of every write that was answered, with an object or, of a deletion, with a Status. */
class NotingTransport extends Transport {
  noted: (resource: string, answer: Answer) => void = () => undefined;

  override async request<T>(request: TransportRequest): Promise<T> {
    const answer = await super.request<T>(request);
    const { metadata, details } = answer as Partial<KubeObject> & Partial<Status>;
    const { resource } = apiRequestOf(request.method, request.path);
    if (request.method === 'GET') return answer;
    if (details?.uid !== undefined) this.noted(resource, { gone: details.uid });
    else this.noted(resource, { version: Number(metadata?.resourceVersion) });
    return answer;
  }
}

export class Campaign {
  readonly client: Client;
  readonly mirror: Mirror;
  readonly #api: TenantApi;
  readonly #transport: Transport;
  readonly #agent: Agent;

  static async start(): Promise<Campaign> {
    const api = await startTenantApi({ env: GO });
    const credentials = loadConfig({ clock: systemClock, kubeconfig: api.kubeconfig });
    const transport = new NotingTransport({ credentials, clock: systemClock, random: Math.random });
    const client = new Client({ transport });
    const mirror = await Mirror.start(client, FOLLOWED);
    transport.noted = (resource, answer) => mirror.expect(resource, answer);
    return new Campaign(api, transport, client, mirror);
  }

  private constructor(api: TenantApi, transport: Transport, client: Client, mirror: Mirror) {
    this.#api = api;
    this.#transport = transport;
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(api.server.caFile) });
    this.client = client;
    this.mirror = mirror;
  }

  async stop(): Promise<void> {
    await this.mirror.stop();
    this.#agent.destroy();
    await this.#transport.close();
    await this.#api.stop();
  }

  /** A proxy before the API server, and a kubeconfig that leads to it. */
  async proxy(): Promise<{ proxy: FaultProxy; kubeconfig: string }> {
    const { server } = this.#api;
    const proxy = await FaultProxy.start(server, {
      agent: this.#agent,
      onWritten: ({ resource, query, answered = 0 }, answer) => {
        if (answered < 300 && !query.has('dryRun')) this.mirror.expect(resource, answerOf(answer));
      },
    });
    return { proxy, kubeconfig: server.kubeconfig({ server: proxy.url }) };
  }
}
