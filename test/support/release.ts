/** The operator as people install it: by Helm, two replicas of its image, in the namespace of a test. */
import { Lease, Pod } from '../../src/kube/types/builtins.ts';
import { LEASE_NAME } from '../../src/commands/operator/permissions.ts';
import { recordsSince, type AuditMark, type AuditRecord } from './audit.ts';
import { CHART, helm, objectsOf, REQUIRED_VALUES, type Rendered } from './chart.ts';
import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

export interface ReleaseOptions {
  /** A path; default: the chart of the checkout. */
  chart?: string;
  values?: object;
}

/** On a busy machine. */
const ROLLOUT = ['--wait', '--timeout=3m'];

export class Release {
  /** Also the first part of what it makes outside of its namespace, so that it meets no other release. */
  readonly name: string;
  /** What Helm printed, the chart's notes included. */
  readonly notes: string;
  readonly #namespace: TestNamespace;

  private constructor(namespace: TestNamespace, notes: string) {
    this.#namespace = namespace;
    this.name = namespace.name;
    this.notes = notes;
  }

  /** Installs it for the tenants of its own namespace; resolves when both replicas are Ready. */
  static async install(namespace: TestNamespace, options: ReleaseOptions = {}): Promise<Release> {
    return new Release(namespace, await helmRelease('install', namespace, options));
  }

  async upgrade(options: ReleaseOptions = {}): Promise<void> {
    await helmRelease('upgrade', this.#namespace, options);
  }

  /** Takes away what was installed, here and outside of the namespace; the namespace may be deleted afterwards. */
  async uninstall(): Promise<void> {
    await helm(['uninstall', this.name, '--namespace', this.name, '--ignore-not-found', '--wait', '--timeout=2m']);
  }

  /** Name of the objects of the release. */
  get fullname(): string {
    return `${this.name}-copilot-operator`;
  }

  /** The replicas that are not on their way out. */
  async pods(): Promise<Pod[]> {
    const pods = await this.#namespace.list(Pod, 'app.kubernetes.io/name=copilot-operator');
    return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Which process holds the lease, as `<pod>_<word of its own>`; empty for none. */
  async holder(): Promise<string> {
    return (await this.#namespace.get(Lease, LEASE_NAME))?.spec?.holderIdentity ?? '';
  }

  /** Name of the pod that holds the lease. */
  async leader(): Promise<string> {
    // A leader that could not give the lease back is followed after 15 s and at most two tries of 4.4 s.
    return waitFor(
      'a replica leads',
      async () => {
        const [holder, pods] = await Promise.all([this.holder(), this.pods()]);
        return pods.find(({ metadata }) => holder.startsWith(`${metadata.name}_`))?.metadata.name;
      },
      { withinMs: 40_000, everyMs: 100 },
    );
  }

  /** What a replica answers on one of its ports. */
  get(pod: string, port: number, path: string): Promise<string> {
    return this.#namespace.kubectl.ok([
      'get',
      '--raw',
      `/api/v1/namespaces/${this.name}/pods/${pod}:${port}/proxy${path}`,
    ]);
  }

  /** A value that a replica publishes; the labels as they are printed. Undefined while it has none. */
  async metric(pod: string, series: string): Promise<number | undefined> {
    const lines = (await this.get(pod, 8080, '/metrics')).split('\n');
    const value = lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1);
    return value === undefined ? undefined : Number(value);
  }

  /** What its replicas asked of the API server since the mark: no other pod of the namespace has an account's token. */
  requestsSince(mark: AuditMark): AuditRecord[] {
    const accounts = `system:serviceaccount:${this.name}:`;
    return recordsSince(mark, accounts).filter(({ user }) => user.startsWith(accounts));
  }

  /** The objects as they were installed. */
  async manifest(): Promise<Rendered[]> {
    return objectsOf(await helm(['get', 'manifest', this.name, '--namespace', this.name]));
  }
}

// The CRDs are the whole cluster's, and another release may hold them: that a release installs, upgrades and keeps them
// is shown on an API server of its own (test/integration/install/upgrade.test.ts).
function helmRelease(
  verb: string,
  { name }: TestNamespace,
  { chart = CHART, values }: ReleaseOptions,
): Promise<string> {
  const all = { ...REQUIRED_VALUES, watchNamespaces: [name], crds: { install: false }, ...values };
  return helm([verb, name, chart, '--namespace', name, ...ROLLOUT], all);
}
