// What a tenant is for: an application reads the binding Secret and nothing else, and the real SDK chats with the real CLI.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { chat, type ChatOptions } from '../../support/chat.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, reach, say as sayTo } from '../../support/model-in-cluster.ts';

jest.setTimeout(2 * READY_MS);

const API_KEY = 'key-of-this-tenant-alone';

describe.each(['cli', 'runtime'] as const)('an application that chats with a server of binary %s', (binary) => {
  let namespace: TestNamespace;
  let model: ModelInCluster;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.putSecret('provider', { 'api-key': API_KEY });
    const { model: answering, network } = askingTestModel(namespace.name);
    const provider = { ...answering.provider, headers: { 'X-Team': 'blue' }, apiKeySecretRef: { name: 'provider' } };
    await namespace.createTenant('acme', { server: { binary }, model: { provider }, network });
    model = await ModelInCluster.start(namespace);
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  const say = (options: ChatOptions) => sayTo(namespace, 'acme', options);

  it('gets the answer of the tenant’s own provider, asked with its key and headers', async () => {
    const { answer } = await say({ prompt: 'What is a pod?' });
    expect(answer).toBe('Hello from the test model! You said: What is a pod?');
    const [request] = await model.journal('What is a pod?');
    expect(request).toMatchObject({
      model: 'test-model',
      headers: { authorization: `Bearer ${API_KEY}`, 'x-team': 'blue' },
    });
  });

  it('sees the answer grow while it is being written', async () => {
    await model.script({ match: 'count', steps: [{ text: 'one two three', delayMs: 50 }] });
    const deltas: string[] = [];
    const { answer } = await say({ prompt: 'count', onDelta: (text) => deltas.push(text) });
    expect(answer).toBe('one two three');
    expect(deltas.join('')).toBe(answer);
    expect(deltas.length).toBeGreaterThan(1);
  });

  it('has tools run in the server’s pod, where no key of the provider is to be found', async () => {
    const command = `id -u; grep -c '${API_KEY}' /proc/*/environ | grep -v ':0$' | wc -l`;
    const toolCall = { name: 'bash', arguments: { command, description: 'look around' } };
    await model.script({ match: 'look around', steps: [{ toolCall }, { text: 'done' }] });
    expect((await say({ prompt: 'look around' })).answer).toBe('done');
    const [result = ''] = (await model.journal('look around')).at(-1)?.toolResults ?? [];
    expect(result.split('\n').slice(0, 2)).toEqual(['10001', '0']);
  });

  it('continues its session after the server was replaced', async () => {
    const { sessionId } = await say({ prompt: 'Remember the number 42.' });
    await namespace.kubectl.ok(['delete', 'pod', '-n', namespace.name, '-l', 'copilot-operator.dev/tenant=acme']);
    await namespace.waitForReady('acme');
    await say({ prompt: 'Which number?', resume: sessionId });
    const [request] = await model.journal('Which number?');
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
  });

  it('is refused with another token', async () => {
    await using binding = await reach(namespace, 'acme');
    const stranger = { ...binding, token: 'not-the-token' };
    await expect(chat(stranger, { prompt: 'Let me in' })).rejects.toThrow(/AUTHENTICATION_FAILED/);
    expect(await model.journal('Let me in')).toEqual([]);
  });
});
