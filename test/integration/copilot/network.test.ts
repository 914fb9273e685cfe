// How both real programs reach other hosts: which variables of proxies, certificate authorities and GitHub hosts they honour. What the
// operator sets in the pod (environment.ts) rests on this.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { deployment } from '../../../src/tenant/builders/deployment.ts';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { createModelServer } from '../../model/server.ts';
import { chat } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { ForwardProxy } from '../../support/forward-proxy.ts';
import { PrivateCA } from '../../support/private-ca.ts';
import { sampleTenant } from '../../support/tenants.ts';

jest.setTimeout(120_000);

const TOKEN = 'f3b1c0ffee';
const ANSWER = 'Hello from the test model! You said: hello';

/** A model that listens on the loopback with TLS, and answers for GitHub's API too: with 404. */
async function tlsModel(ca: PrivateCA): Promise<Server> {
  const model = createModelServer();
  const names = ['models.test', '*.models.test', 'localhost', 'api.github.com', 'api.example.ghe.com'];
  const server = createServer(ca.issue(...names.map((name) => `DNS:${name}`), 'IP:127.0.0.1'));
  server.on('request', (request, response) => model.emit('request', request, response));
  // A client that does not trust the certificate.
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

describe.each(['cli', 'runtime'] as const)('%s', (binary) => {
  let ca: PrivateCA;
  let other: PrivateCA;
  let tls: Server;
  let plain: ReturnType<typeof createModelServer>;
  let proxy: ForwardProxy;
  beforeAll(async () => {
    ca = new PrivateCA('company');
    other = new PrivateCA('public');
    tls = await tlsModel(ca);
    plain = createModelServer();
    await once(plain.listen(0, '127.0.0.1'), 'listening');
    // No other name of this test exists: what reaches the model went through the proxy.
    proxy = await ForwardProxy.start((_host, port) => portOf(port === 80 ? plain : tls));
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    for (const server of [tls, plain]) {
      server.closeAllConnections();
      server.close();
    }
    ca[Symbol.dispose]();
    other[Symbol.dispose]();
  });

  /** The answer of the model at `baseUrl`, or why there is none, with what went through the proxy. */
  async function ask(baseUrl: string, env: Record<string, string>, timeoutMs = 60_000) {
    proxy.journal.length = 0;
    await using server = await CopilotServer.start(binary, TOKEN, [], env);
    const answer = await answerOf(server, baseUrl, timeoutMs);
    return { answer, proxied: [...new Set(proxy.journal)] };
  }

  function answerOf({ host, port }: CopilotServer, baseUrl: string, timeoutMs = 60_000): Promise<string> {
    const provider = { type: 'openai', baseUrl, apiKey: 'unused' } as const;
    return chat({ host, port, token: TOKEN, model: 'test-model', provider }, { prompt: 'hello', timeoutMs }).then(
      ({ answer }) => answer,
      (error: unknown) => `failed: ${String(error)}`,
    );
  }

  /** The variables that the operator sets for a spec, with the path of the CA bundle replaced by that of a file of this test. */
  function variables(spec: CopilotTenantSpecInput): Record<string, string> {
    const facts = { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' };
    const container = deployment(sampleTenant(spec), 0, facts).spec?.template.spec?.containers[0];
    const names = /^(HTTPS?_PROXY|NO_PROXY|NODE_EXTRA_CA_CERTS|COPILOT_GH_HOST)$/i;
    const found = (container?.env ?? []).filter(({ name }) => names.test(name));
    return Object.fromEntries(
      found.map(({ name, value = '' }) => [name, name === 'NODE_EXTRA_CA_CERTS' ? ca.file : value]),
    );
  }

  const caBundle = { configMapKeyRef: { name: 'ca' } };
  const proxied = () => variables({ network: { caBundle, proxy: { httpProxy: proxy.url, httpsProxy: proxy.url } } });

  it('does not trust a model whose certificate is of a private authority', async () => {
    const { answer } = await ask(`https://localhost:${portOf(tls)}/v1`, {}, 5_000);
    expect(answer).toContain('failed: ');
  });

  it('trusts it with the CA bundle of the operator', async () => {
    const { answer } = await ask(`https://localhost:${portOf(tls)}/v1`, variables({ network: { caBundle } }));
    expect(answer).toBe(ANSWER);
  });

  it('goes on to trust the authorities of its image beside the bundle', async () => {
    const image = { SSL_CERT_FILE: ca.file };
    const { answer } = await ask(`https://localhost:${portOf(tls)}/v1`, { ...image, NODE_EXTRA_CA_CERTS: other.file });
    expect(answer).toBe(ANSWER);
  });

  it('reaches an https model through the proxy, whose certificate authority is in the bundle', async () => {
    const { answer, proxied: requests } = await ask('https://models.test/v1', proxied());
    expect(answer).toBe(ANSWER);
    expect(requests).toEqual(['CONNECT models.test:443']);
  });

  it('reaches an http model through the proxy', async () => {
    const { answer, proxied: requests } = await ask('http://models.test/v1', proxied());
    expect(answer).toBe(ANSWER);
    expect(requests).toEqual(['POST http://models.test/v1/chat/completions']);
  });

  it('connects directly to the loopback, where MCP servers listen', async () => {
    const { answer, proxied: requests } = await ask(`http://localhost:${portOf(plain)}/v1`, proxied());
    expect(answer).toBe(ANSWER);
    expect(requests).toEqual([]);
  });

  it('would use the proxy even for the loopback, were that not among the hosts without one', async () => {
    const { proxied: requests } = await ask(`http://127.0.0.1:${portOf(plain)}/v1`, { HTTP_PROXY: proxy.url }, 5_000);
    expect(requests).toHaveLength(1);
  });

  it('does not use the proxy for Services and for the hosts of noProxy, in all their forms', async () => {
    const noProxy = ['listed.test', '.with-dot.test', '127.9.0.0/16'];
    const direct = [
      'models.team.svc',
      'models.team.svc.cluster.local',
      'listed.test',
      'a.listed.test',
      'a.with-dot.test',
      '127.9.9.9:1',
    ];
    proxy.journal.length = 0;
    const env = variables({ network: { proxy: { httpProxy: proxy.url, noProxy } } });
    await using server = await CopilotServer.start(binary, TOKEN, [], env);
    const answers = await Promise.all(direct.map((host) => answerOf(server, `http://${host}/v1`, 4_000)));
    // Only the proxy would have answered for these names.
    expect(answers.filter((answer) => !answer.startsWith('failed: '))).toEqual([]);
    expect(await answerOf(server, 'http://other.test/v1')).toBe(ANSWER);
    expect([...new Set(proxy.journal)]).toEqual(['POST http://other.test/v1/chat/completions']);
  });

  it.each([
    ['github.com, by default', undefined, 'api.github.com'],
    ['the host of spec.server.githubHost', 'example.ghe.com', 'api.example.ghe.com'],
  ])('logs in at %s', async (_, githubHost, expected) => {
    proxy.journal.length = 0;
    const host = variables(githubHost === undefined ? {} : { server: { githubHost } });
    const env = { ...proxied(), ...host, COPILOT_GITHUB_TOKEN: 'gho_abcdefghijklmnopqrstuvwxyz0123456789' };
    await using server = await CopilotServer.start(binary, TOKEN, [], env);
    const binding = { host: server.host, port: server.port, token: TOKEN };
    // The model that answers for GitHub knows no users.
    await expect(chat(binding, { prompt: 'hello' })).rejects.toThrow(/Authentication failed|No GitHub OAuth token/);
    expect([...new Set(proxy.journal)]).toEqual([`CONNECT ${expected}:443`]);
  });
});
