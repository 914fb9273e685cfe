/** The test model as a pod of a test's namespace, and applications that chat with its tenants by the real SDK. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { Secret } from '../../src/kube/types/builtins.ts';
import type { Rule } from '../model/script.ts';
import type { JournalEntry } from '../model/server.ts';
import { bindingFrom, chat, type Binding, type ChatOptions, type ChatResult } from './chat.ts';
import { SERVER_IMAGE, type TestNamespace } from './cluster.ts';
import { portForward, type Forward } from './port-forward.ts';
import { PROJECT } from './tenant-api.ts';
import { toolPath } from './tools.ts';

export class ModelInCluster implements AsyncDisposable {
  readonly #forward: Forward;

  private constructor(forward: Forward) {
    this.#forward = forward;
  }

  /** Resolves once it answers; it goes with the namespace. */
  static async start(namespace: TestNamespace): Promise<ModelInCluster> {
    const { name, kubectl } = namespace;
    const registry = SERVER_IMAGE.slice(0, SERVER_IMAGE.lastIndexOf('/'));
    const manifest = await readFile(join(PROJECT, 'test/model/manifest.yaml'), 'utf8');
    await kubectl.ok(['apply', '-n', name, '-f', '-'], manifest.replace('image: localhost/', `image: ${registry}/`));
    await kubectl.ok(['rollout', 'status', '-n', name, 'deployment/test-model', '--timeout=60s']);
    return namespace.use(new ModelInCluster(await portForward(toolPath('kubectl'), name, 'service/test-model', 8080)));
  }

  /** Says how prompts that match are answered. */
  async script(rule: Partial<Rule>): Promise<void> {
    const response = await fetch(this.#url('/script'), { method: 'POST', body: JSON.stringify(rule) });
    if (!response.ok) throw new Error(`the test model refused the rule: ${await response.text()}`);
  }

  /** Requests whose last prompt has `match` in it, oldest first. */
  async journal(match: string): Promise<JournalEntry[]> {
    const response = await fetch(this.#url(`/requests?match=${encodeURIComponent(match)}`));
    return ((await response.json()) as { requests: JournalEntry[] }).requests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forward[Symbol.asyncDispose]();
  }

  #url(path: string): string {
    return `http://127.0.0.1:${this.#forward.port}${path}`;
  }
}

/** The part of a tenant's spec that has the test model of its namespace answer. */
export function askingTestModel(namespace: string) {
  return {
    model: { provider: { baseUrl: `http://test-model.${namespace}.svc:8080/v1`, model: 'test-model' } },
    network: { egress: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'test-model' } } }] },
  } satisfies CopilotTenantSpecInput;
}

/**
 * What an application knows of a tenant, with the way to its server. It is no pod, so the host of the binding is reached
 * through kubectl, until disposed.
 */
export async function reach(
  namespace: TestNamespace,
  tenant: string,
  server?: string,
): Promise<Binding & AsyncDisposable> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref(`${tenant}-binding`));
  const binding = bindingFrom(data);
  const [service = ''] = binding.host.split('.');
  const forward = await portForward(toolPath('kubectl'), namespace.name, `service/${server ?? service}`, binding.port);
  return { ...binding, host: '127.0.0.1', port: forward.port, [Symbol.asyncDispose]: forward[Symbol.asyncDispose] };
}

/** Says one thing to a tenant as an application does, and waits for the whole answer. */
export async function say(namespace: TestNamespace, tenant: string, options: ChatOptions): Promise<ChatResult> {
  await using binding = await reach(namespace, tenant);
  // Not without await: the way to the server would be gone before the chat begins.
  return await chat(binding, options);
}
