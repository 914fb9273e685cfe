/** The test model as a server of this process, for tests that start real Copilot servers themselves. */
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Rule } from '../model/script.ts';
import { createModelServer, type JournalEntry } from '../model/server.ts';
import type { Binding } from './chat.ts';

export class TestModel implements Disposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<TestModel> {
    const server = createModelServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TestModel(server);
  }

  /** What a client needs to chat by this model at a server. */
  bind(server: { readonly host: string; readonly port: number }, token: string): Binding {
    const provider = { type: 'openai', baseUrl: `${this.#url}/v1`, apiKey: 'unused' } as const;
    return { host: server.host, port: server.port, token, model: 'test-model', provider };
  }

  /** The requests whose prompt contains `match`, oldest first. */
  async requests(match: string): Promise<readonly JournalEntry[]> {
    const response = await fetch(`${this.#url}/requests?match=${encodeURIComponent(match)}`);
    return ((await response.json()) as { requests: JournalEntry[] }).requests;
  }

  /** Answers a request that came to another server. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    this.#server.emit('request', request, response);
  }

  /** Has it answer by this rule. */
  async say(rule: Omit<Rule, 'repeat'>): Promise<void> {
    const { ok, status } = await fetch(`${this.#url}/script`, { method: 'POST', body: JSON.stringify(rule) });
    if (!ok) throw new Error(`the test model refused the rule: HTTP ${status}`);
  }

  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
}
