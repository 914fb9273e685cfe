// GitHub and its models as a server sees them behind a proxy: whose token is whose is not asked. The test model answers prompts.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ForwardProxy } from './forward-proxy.ts';
import type { TestModel } from './model.ts';
import { PrivateCA } from './private-ca.ts';

const API = 'api.github.com';
const MODELS = 'models.github.test';

/** As GitHub describes a model. */
const LISTED_MODEL = {
  id: 'large',
  name: 'large',
  object: 'model',
  vendor: 'test',
  version: '1',
  model_picker_enabled: true,
  capabilities: {
    family: 'large',
    type: 'chat',
    object: 'model_capabilities',
    limits: { max_prompt_tokens: 100_000, max_output_tokens: 10_000, max_context_window_tokens: 128_000 },
    supports: { tool_calls: true, streaming: true },
  },
  policy: { state: 'enabled' },
};

/** A user of GitHub Copilot, and where its models are. */
const USER = {
  login: 'bot',
  copilot_plan: 'business',
  chat_enabled: true,
  is_mcp_enabled: true,
  endpoints: { api: `https://${MODELS}` },
};

export class TestGitHub implements AsyncDisposable {
  /** `METHOD path` of each request, with the token that it had. */
  readonly requests: { readonly what: string; readonly token: string | undefined }[] = [];
  readonly #ca = new PrivateCA('github');
  readonly #server: Server;
  readonly #model: TestModel;
  #proxy!: ForwardProxy;

  private constructor(model: TestModel) {
    this.#model = model;
    const { cert, key } = this.#ca.issue(`DNS:${API}`, `DNS:${MODELS}`);
    this.#server = createServer({ cert, key }, (request, response) => this.#answer(request, response));
  }

  static async start(model: TestModel): Promise<TestGitHub> {
    const github = new TestGitHub(model);
    await once(github.#server.listen(0, '127.0.0.1'), 'listening');
    const { port } = github.#server.address() as AddressInfo;
    github.#proxy = await ForwardProxy.start((host) => (host === API || host === MODELS ? port : undefined));
    return github;
  }

  /** The variables with which a server finds it. */
  get env(): Record<string, string> {
    const { url } = this.#proxy;
    const here = '127.0.0.1';
    return { HTTPS_PROXY: url, https_proxy: url, NO_PROXY: here, no_proxy: here, NODE_EXTRA_CA_CERTS: this.#ca.file };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    this.#ca[Symbol.dispose]();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', `https://${API}`);
    const token = request.headers.authorization?.replace(/^bearer /i, '');
    this.requests.push({ what: `${request.method} ${pathname}`, token });
    if (pathname.endsWith('/chat/completions')) return this.#model.answer(request, response);
    const found: Record<string, object> = {
      '/copilot_internal/user': USER,
      '/models': { object: 'list', data: [LISTED_MODEL] },
    };
    const body = found[pathname];
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? {}));
  }
}
