/**
 * The real cluster, as the end-to-end tests use it. Every test file has a namespace of its own, with Pod Security
 * "restricted" enforced, and the real operator as a process that looks after that namespace alone: with the chart's
 * own RBAC, so that a missing or an unused right shows, and restarted or starved without disturbing anybody.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SessionPhase } from '../../src/api/session-conditions.ts';
import type { CopilotSessionSpecInput } from '../../src/api/session.ts';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { Deployment, Pod, Secret } from '../../src/kube/types/builtins.ts';
import type { Client } from '../../src/kube/client/client.ts';
import { findCondition } from '../../src/kube/write/conditions.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { CopilotSession } from '../../src/resources/session.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import { CHART, helm, objectsOf, type Rendered, REQUIRED_VALUES } from './chart.ts';
import { connect } from './kube.ts';
import { startOperator, type OperatorOptions, type OperatorProcess } from './operator.ts';
import { PROJECT } from './tenant-api.ts';
import { kubectlWith, type Kubectl } from './tools.ts';
import { waitFor } from './wait.ts';

/** The CLI server's image, as `make images` builds it. */
export const SERVER_IMAGE = REQUIRED_VALUES.serverImage;
/** Its command `cleanup` runs in tenants' namespaces, also when the operator itself runs from source. */
export const OPERATOR_IMAGE = `${REQUIRED_VALUES.image.repository}:${REQUIRED_VALUES.image.tag}`;
/** Longest wait for a server to become ready, in ms: a cold CLI on a busy machine takes up to 20 s. */
export const READY_MS = 90_000;
/** Where a server has its sessions: its volume. */
export const SESSIONS = '/home/copilot/.copilot/session-state';

/**
 * What servers of tests ask for, with the default's memory. With the default of 100m the tests that run beside each other fill
 * a node of two CPUs, and those that come last are not scheduled.
 */
const LITTLE_CPU = { requests: { cpu: '10m', memory: '512Mi' }, limits: { memory: '4Gi' } };

export class TestNamespace {
  readonly name: string;
  readonly client: Client;
  readonly kubectl: Kubectl;
  readonly #close: () => Promise<void>;
  readonly #dir: string;
  readonly #operators: OperatorProcess[] = [];
  /** What goes with the namespace. */
  readonly #belongings = new AsyncDisposableStack();

  private constructor(name: string, client: Client, close: () => Promise<void>) {
    this.name = name;
    this.client = client;
    this.#close = close;
    this.#dir = mkdtempSync(join(tmpdir(), 'e2e-'));
    this.kubectl = kubectlWith(adminKubeconfig());
  }

  /** A fresh namespace with the CRDs in the cluster and the operator's account and roles in place, and the gateway's if wanted. */
  static async open({ gateway = false }: { gateway?: boolean } = {}): Promise<TestNamespace> {
    const { client, ...connection } = connect(adminKubeconfig());
    const name = `e2e-${randomBytes(4).toString('hex')}`;
    const namespace = new TestNamespace(name, client, async () => connection[Symbol.asyncDispose]());
    const { kubectl } = namespace;
    await kubectl.ok(['apply', '--server-side', '--force-conflicts', '-f', join(PROJECT, 'crds')]);
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted', 'copilot-operator.dev/test': 'e2e' };
    await kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    const objects = await namespace.#accountAndRoles(gateway);
    await kubectl.ok(['apply', '--namespace', name, '-f', '-'], listOf(objects));
    // What belongs to no namespace does not go with this one.
    const beside = objects.filter(({ kind }) => kind.startsWith('Cluster'));
    namespace.use({
      [Symbol.asyncDispose]: async () => {
        if (beside.length > 0) await kubectl.ok(['delete', '--ignore-not-found', '-f', '-'], listOf(beside));
      },
    });
    return namespace;
  }

  /** Has `resource` disposed of with the namespace, or before it if the caller does so. */
  use<T extends AsyncDisposable>(resource: T): T {
    return this.#belongings.use(resource);
  }

  /** Starts the operator; it is stopped with the namespace, if not before. */
  async startOperator(options: OperatorOptions = {}): Promise<OperatorProcess> {
    const operator = await startOperator(await this.operatorKubeconfig(), {
      namespace: this.name,
      serverImage: SERVER_IMAGE,
      operatorImage: OPERATOR_IMAGE,
      ...options,
    });
    this.#operators.push(operator);
    return operator;
  }

  /** A kubeconfig with which one is the operator's service account, or another one of the namespace. */
  async operatorKubeconfig(account = 'copilot-operator'): Promise<string> {
    const view = JSON.parse(
      await this.kubectl.ok(['config', 'view', '--raw', '--flatten', '--minify', '-o', 'json']),
    ) as {
      contexts: { context: { namespace?: string } }[];
      users: { name: string; user: unknown }[];
    };
    const token = await this.kubectl.ok(['create', 'token', account, '-n', this.name, '--duration', '2h']);
    for (const { context } of view.contexts) context.namespace = this.name;
    for (const entry of view.users) entry.user = { token: token.trim() };
    const path = join(this.#dir, `${account}-${randomBytes(4).toString('hex')}.json`);
    writeFileSync(path, JSON.stringify(view), { mode: 0o600 });
    return path;
  }

  /** Makes a tenant, whose servers ask for little CPU unless `spec` says how much. */
  async createTenant(name: string, spec: CopilotTenantSpecInput = {}): Promise<CopilotTenant> {
    const manifest = {
      apiVersion: 'copilot-operator.dev/v1alpha1',
      kind: 'CopilotTenant',
      metadata: { name, namespace: this.name },
      spec: { ...spec, server: { resources: LITTLE_CPU, ...spec.server } },
    };
    return this.client.create(CopilotTenant, manifest as CopilotTenant);
  }

  /** Changes a tenant's spec by a merge patch, as `kubectl patch` does. */
  async patchTenant(name: string, patch: { spec?: unknown; metadata?: unknown }): Promise<CopilotTenant> {
    const contentType = 'application/merge-patch+json';
    return this.client.patch(CopilotTenant, this.ref(name), patch, { contentType });
  }

  tenant(name: string): Promise<CopilotTenant> {
    return this.client.get(CopilotTenant, this.ref(name));
  }

  /** Waits until the tenant is as `condition` says; the failure shows its conditions. */
  async waitForTenant(
    name: string,
    what: string,
    condition: (tenant: CopilotTenant) => boolean,
    withinMs = READY_MS,
  ): Promise<CopilotTenant> {
    let last: CopilotTenant | undefined;
    try {
      return await waitFor(
        what,
        async () => {
          last = await this.tenant(name);
          return last.status?.observedGeneration === last.metadata.generation && condition(last) ? last : undefined;
        },
        { withinMs, everyMs: 100 },
      );
    } catch (error) {
      const conditions = last?.status?.conditions ?? [];
      // First what explains the rest: the closing line of a run shows the beginning only.
      const found = conditions.map(({ type, status, message }) => `${type}=${status}: ${message}`).join(' ');
      throw new Error(
        `tenant ${name}: ${what}: not within ${withinMs} ms; ${found} ${JSON.stringify(last?.status, null, 1)}`,
        { cause: error },
      );
    }
  }

  /** Waits until the tenant is Ready, and no server of it is about to be replaced. */
  waitForReady(name: string): Promise<CopilotTenant> {
    return this.waitForTenant(
      name,
      'is Ready, and replaces no server',
      (tenant) =>
        conditionOf(tenant, 'Ready').status === 'True' &&
        !['Draining', 'ServersUpdating'].includes(conditionOf(tenant, 'Reconciling').reason),
    );
  }

  /** Waits until the tenant is Ready and its servers have told their sessions: then nothing more is written. */
  waitForIdle(name: string): Promise<CopilotTenant> {
    return this.waitForTenant(
      name,
      'is Ready and tells its sessions',
      (tenant) => conditionOf(tenant, 'Ready').status === 'True' && tenant.status?.sessions !== undefined,
    );
  }

  /** Waits until the tenant tells that `reason` needs somebody to act. */
  waitForStalled(name: string, reason: string, withinMs = READY_MS): Promise<CopilotTenant> {
    return this.waitForTenant(
      name,
      `is Stalled for ${reason}`,
      (tenant) => conditionOf(tenant, 'Stalled').status === 'True' && conditionOf(tenant, 'Stalled').reason === reason,
      withinMs,
    );
  }

  /** Makes a session of a tenant. */
  async createSession(
    name: string,
    tenant: string,
    spec: Omit<CopilotSessionSpecInput, 'tenantRef'> = {},
  ): Promise<CopilotSession> {
    const manifest = {
      apiVersion: 'copilot-operator.dev/v1alpha1',
      kind: 'CopilotSession',
      metadata: { name, namespace: this.name },
      spec: { tenantRef: { name: tenant }, ...spec },
    };
    return this.client.create(CopilotSession, manifest as CopilotSession);
  }

  /** Waits until the session is as `condition` says; the failure shows its status. */
  async waitForSession(
    name: string,
    what: string,
    condition: (session: CopilotSession) => boolean,
    withinMs = 60_000,
  ): Promise<CopilotSession> {
    let last: CopilotSession | undefined;
    const look = async () => {
      last = await this.client.get(CopilotSession, this.ref(name));
      return last.status?.observedGeneration === last.metadata.generation && condition(last) ? last : undefined;
    };
    try {
      return await waitFor(what, look, { withinMs, everyMs: 100 });
    } catch (error) {
      throw new Error(`session ${name}: ${what}: not within ${withinMs} ms; ${JSON.stringify(last?.status, null, 1)}`, {
        cause: error,
      });
    }
  }

  waitForPhase(name: string, phase: SessionPhase, withinMs?: number): Promise<CopilotSession> {
    return this.waitForSession(name, `is ${phase}`, ({ status }) => status?.phase === phase, withinMs);
  }

  /** Deletes a tenant and waits until it and everything that it owns are gone. */
  async deleteTenant(name: string): Promise<void> {
    await this.kubectl.ok(['delete', 'ct', name, '-n', this.name, '--ignore-not-found', '--cascade=foreground']);
    await waitFor(`the pods of tenant ${name} are gone`, async () => (await this.pods(name)).length === 0, {
      withinMs: 60_000,
      everyMs: 200,
    });
  }

  get<T extends KubeObject>(type: ResourceType<T>, name: string): Promise<T | undefined> {
    return ignoreNotFound(this.client.get(type, this.ref(name)));
  }

  async list<T extends KubeObject>(type: ResourceType<T>, labelSelector?: string): Promise<T[]> {
    const { items } = await this.client.list(type, { namespace: this.name, labelSelector });
    return items;
  }

  /** Pods of a tenant, or of one server of it. */
  pods(tenant: string, server?: string): Promise<Pod[]> {
    const ofServer = server === undefined ? '' : `,copilot-operator.dev/server=${server}`;
    return this.list(Pod, `copilot-operator.dev/tenant=${tenant}${ofServer}`);
  }

  async deployment(name: string): Promise<Deployment> {
    return this.client.get(Deployment, this.ref(name));
  }

  /** Values of a Secret as text. */
  async secret(name: string): Promise<Record<string, string>> {
    const { data = {} } = await this.client.get(Secret, this.ref(name));
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  /** Makes a Secret, or gives it other values. */
  async putSecret(name: string, values: Record<string, string>): Promise<void> {
    const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: this.name }, stringData: values };
    await this.kubectl.ok(['replace', '--force', '--save-config=false', '-f', '-'], manifest);
  }

  /** Runs a command in the server's container. */
  exec(server: string, ...command: string[]): Promise<string> {
    return this.kubectl.ok(['exec', '-n', this.name, `deploy/${server}`, '-c', 'server', '--', ...command]);
  }

  /** Reasons and messages of the events of a tenant, or of another object, oldest first. */
  async events(
    name: string,
    kind: 'CopilotTenant' | 'CopilotSession' = 'CopilotTenant',
  ): Promise<{ type: string; reason: string; message: string; count: number }[]> {
    const ofTenant = `involvedObject.kind=${kind},involvedObject.name=${name}`;
    const order = '--sort-by=.metadata.creationTimestamp';
    const args = ['get', 'events', '-n', this.name, '-o', 'json', order, '--field-selector', ofTenant];
    const found = await this.kubectl.ok(args);
    return (JSON.parse(found) as { items: { type: string; reason: string; message: string; count: number }[] }).items;
  }

  ref(name: string): { namespace: string; name: string } {
    return { namespace: this.name, name };
  }

  /** Ends the operators, which must have run without complaint, and deletes the namespace. */
  async close(): Promise<void> {
    const running = new Set(this.#operators);
    try {
      await this.#belongings.disposeAsync();
      await this.kubectl.ok(['delete', 'csn', '--all', '-n', this.name, '--timeout=90s']);
      await Promise.all((await this.list(CopilotTenant)).map(({ metadata }) => this.deleteTenant(metadata.name)));
      for (const operator of this.#operators) {
        running.delete(operator);
        await operator.stop();
      }
    } finally {
      // After a failure above, which is thrown: a process that is left would keep the test run from ending.
      await Promise.allSettled([...running].map((operator) => operator.stop()));
      await this.kubectl.ok(['delete', 'namespace', this.name, '--ignore-not-found', '--timeout=90s']);
      await this.#close();
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  async #accountAndRoles(gateway: boolean): Promise<Rendered[]> {
    const folders = ['templates', ...(gateway ? ['templates/gateway'] : [])];
    const paths = folders.flatMap((folder) => [`${folder}/serviceaccount.yaml`, `${folder}/rbac.yaml`]);
    const templates = paths.flatMap((path) => ['--show-only', path]);
    const values = {
      ...REQUIRED_VALUES,
      watchNamespaces: [this.name],
      rbac: { aggregate: false, sessionsClusterWide: false },
      gateway: { enabled: gateway },
    };
    const rendered = await helm(
      ['template', 'copilot-operator', CHART, '--namespace', this.name, ...templates],
      values,
    );
    return objectsOf(rendered);
  }
}

const listOf = (items: readonly Rendered[]) => ({ apiVersion: 'v1', kind: 'List', items });

/** The condition of a tenant or a session; it must be there. */
export function conditionOf(object: CopilotTenant | CopilotSession, type: string) {
  const condition = findCondition(object.status?.conditions, type);
  if (condition === undefined) throw new Error(`${object.kind} ${object.metadata.name} has no condition ${type} yet`);
  return condition;
}

/** Path of the kubeconfig that the tests have all rights by. */
export function adminKubeconfig(): string {
  const path = process.env['KUBECONFIG'] ?? join(PROJECT, '.cluster/kubeconfig');
  if (path.includes(':')) throw new Error(`KUBECONFIG names several files (${path}): the tests take one`);
  return path;
}
