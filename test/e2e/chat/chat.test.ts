// What a tenant is for: an application reads the binding Secret and nothing else, and the real SDK chats with the real CLI.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Secret } from '../../../src/kube/builtins.ts';
import type { JournalEntry } from '../../model/server.ts';
import type { Rule } from '../../model/script.ts';
import { bindingFrom, chat, type Binding, type ChatOptions } from '../../support/chat.ts';
import { READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { portForward, type Forward } from '../../support/port-forward.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { toolPath } from '../../support/tools.ts';

jest.setTimeout(2 * READY_MS);

const API_KEY = 'key-of-this-tenant-alone';

describe.each(['cli', 'runtime'] as const)('an application that chats with a server of binary %s', (binary) => {
  let namespace: TestNamespace;
  let model: Forward;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    const registry = SERVER_IMAGE.slice(0, SERVER_IMAGE.lastIndexOf('/'));
    const manifest = await readFile(join(PROJECT, 'test/model/manifest.yaml'), 'utf8');
    await namespace.kubectl.ok(
      ['apply', '-n', namespace.name, '-f', '-'],
      manifest.replace('image: localhost/', `image: ${registry}/`),
    );
    await namespace.startOperator();
    await namespace.putSecret('provider', { 'api-key': API_KEY });
    await namespace.createTenant('acme', {
      server: { binary },
      model: {
        provider: {
          baseUrl: `http://test-model.${namespace.name}.svc:8080/v1`,
          model: 'test-model',
          headers: { 'X-Team': 'blue' },
          apiKeySecretRef: { name: 'provider' },
        },
      },
      network: { egress: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'test-model' } } }] },
    });
    await namespace.waitForReady('acme');
    await namespace.kubectl.ok(['rollout', 'status', '-n', namespace.name, 'deployment/test-model', '--timeout=60s']);
    model = await portForward(toolPath('kubectl'), namespace.name, 'test-model', 8080);
  });
  afterAll(async () => {
    await model[Symbol.asyncDispose]();
    await namespace.close();
  });

  const script = (rule: Partial<Rule>) =>
    fetch(`http://127.0.0.1:${model.port}/script`, { method: 'POST', body: JSON.stringify(rule) });
  const journal = async (match: string) => {
    const response = await fetch(`http://127.0.0.1:${model.port}/requests?match=${encodeURIComponent(match)}`);
    return ((await response.json()) as { requests: JournalEntry[] }).requests;
  };
  const binding = async (): Promise<Binding> => {
    const { data = {} } = await namespace.client.get(Secret, namespace.ref('acme-binding'));
    return bindingFrom(data);
  };
  /** As an application does, except that it is no pod: the host of the binding is reached through kubectl. */
  async function say(options: ChatOptions) {
    const found = await binding();
    const [service = ''] = found.host.split('.');
    await using forward = await portForward(toolPath('kubectl'), namespace.name, service, found.port);
    // Not without await: the forward would be gone before the chat begins.
    return await chat({ ...found, host: '127.0.0.1', port: forward.port }, options);
  }

  it('gets the answer of the tenant’s own provider, asked with its key and headers', async () => {
    const { answer } = await say({ prompt: 'What is a pod?' });
    expect(answer).toBe('Hello from the test model! You said: What is a pod?');
    const [request] = await journal('What is a pod?');
    expect(request).toMatchObject({
      model: 'test-model',
      headers: { authorization: `Bearer ${API_KEY}`, 'x-team': 'blue' },
    });
  });

  it('sees the answer grow while it is being written', async () => {
    await script({ match: 'count', steps: [{ text: 'one two three', delayMs: 50 }] });
    const deltas: string[] = [];
    const { answer } = await say({ prompt: 'count', onDelta: (text) => deltas.push(text) });
    expect(answer).toBe('one two three');
    expect(deltas.join('')).toBe(answer);
    expect(deltas.length).toBeGreaterThan(1);
  });

  it('has tools run in the server’s pod, where no key of the provider is to be found', async () => {
    const command = `id -u; grep -c '${API_KEY}' /proc/*/environ | grep -v ':0$' | wc -l`;
    const toolCall = { name: 'bash', arguments: { command, description: 'look around' } };
    await script({ match: 'look around', steps: [{ toolCall }, { text: 'done' }] });
    expect((await say({ prompt: 'look around' })).answer).toBe('done');
    const [result = ''] = (await journal('look around')).at(-1)?.toolResults ?? [];
    expect(result.split('\n').slice(0, 2)).toEqual(['10001', '0']);
  });

  it('goes on with its session after the server was replaced', async () => {
    const { sessionId } = await say({ prompt: 'Remember the number 42.' });
    await namespace.kubectl.ok(['delete', 'pod', '-n', namespace.name, '-l', 'copilot-operator.dev/tenant=acme']);
    await namespace.waitForReady('acme');
    await say({ prompt: 'Which number?', resume: sessionId });
    const [request] = await journal('Which number?');
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
  });

  it('is refused with another token', async () => {
    const found = await binding();
    const [service = ''] = found.host.split('.');
    await using forward = await portForward(toolPath('kubectl'), namespace.name, service, found.port);
    const stranger = { ...found, host: '127.0.0.1', port: forward.port, token: 'not-the-token' };
    await expect(chat(stranger, { prompt: 'Let me in' })).rejects.toThrow(/AUTHENTICATION_FAILED/);
    expect(await journal('Let me in')).toEqual([]);
  });
});
