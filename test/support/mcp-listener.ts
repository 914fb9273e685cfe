// An MCP server of a client over HTTP, which keeps what it is sent.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A request with all that it says. */
export interface McpRequest {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export class McpListener implements AsyncDisposable {
  readonly requests: McpRequest[] = [];
  readonly #tool: string;
  readonly #server = createServer((request, response) => void this.#take(request, response));

  private constructor(tool: string) {
    this.#tool = tool;
  }

  /** It has one tool, which answers `found`, and asks for a login, of which it takes any, at paths that end in `login`. */
  static async start(tool: string): Promise<McpListener> {
    const listener = new McpListener(tool);
    await once(listener.#server.listen(0, '127.0.0.1'), 'listening');
    return listener;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '', headers, method } = request;
    const body = await text(request);
    this.requests.push({ url, headers, body });
    if (url.startsWith('/.well-known/')) return this.#describe(url, response);
    if (url.endsWith('login') && headers.authorization === undefined) {
      const metadata = `${this.url}/.well-known/oauth-protected-resource${url}`;
      return void response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadata}"` }).end();
    }
    if (method !== 'POST') return void response.writeHead(405).end();
    const call = JSON.parse(body) as { id?: number; method: string; params?: { protocolVersion?: string } };
    if (call.id === undefined) return void response.writeHead(202).end();
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: call.params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'test', version: '1' },
      },
      'tools/list': {
        tools: [{ name: this.#tool, description: 'd', inputSchema: { type: 'object', properties: {} } }],
      },
      'tools/call': { content: [{ type: 'text', text: 'found' }] },
    };
    this.#json(response, { jsonrpc: '2.0', id: call.id, result: results[call.method] ?? {} });
  }

  /** It says that it gives out tokens itself. */
  #describe(path: string, response: ServerResponse): void {
    const resource = `${this.url}${path.replace('/.well-known/oauth-protected-resource', '')}`;
    this.#json(response, {
      resource,
      authorization_servers: [this.url],
      issuer: this.url,
      authorization_endpoint: `${this.url}/authorize`,
      token_endpoint: `${this.url}/token`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
    });
  }

  #json(response: ServerResponse, body: object): void {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }
}
