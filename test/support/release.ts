/** The operator as users install it: by Helm, with two replicas of its image, in the namespace of a test. */
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
  /** Also the prefix of its objects outside of its namespace, so that they don't conflict with another release. */
  readonly name: string;
  /** The output of Helm, including the chart's notes. */
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

  /** Uninstalls it, here and outside of the namespace, which may be deleted afterwards. */
  async uninstall(): Promise<void> {
    await helm(['uninstall', this.name, '--namespace', this.name, '--ignore-not-found', '--wait', '--timeout=2m']);
  }

  /** Name of the objects of the release. */
  get fullname(): string {
    return `${this.name}-copilot-operator`;
  }

  /** Name of the gateway's Deployment and Service. */
  get gatewayName(): string {
    return `${this.name}-copilot-gateway`;
  }

  /** The replicas that are not terminating. */
  async pods(): Promise<Pod[]> {
    const pods = await this.#namespace.list(Pod, 'app.kubernetes.io/name=copilot-operator');
    return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** The holder of the lease, as `<pod>_<suffix>`; empty for none. */
  async holder(): Promise<string> {
    return (await this.#namespace.get(Lease, LEASE_NAME))?.spec?.holderIdentity ?? '';
  }

  /** Name of the pod that holds the lease. */
  async leader(): Promise<string> {
    // A leader that could not release the lease is replaced after 15 s and at most two attempts of 4.4 s.
    return waitFor(
      'a replica leads',
      async () => {
        const [holder, pods] = await Promise.all([this.holder(), this.pods()]);
        return pods.find(({ metadata }) => holder.startsWith(`${metadata.name}_`))?.metadata.name;
      },
      { withinMs: 40_000, everyMs: 100 },
    );
  }

  /** The answer of a replica on one of its ports. */
  get(pod: string, port: number, path: string): Promise<string> {
    return this.#namespace.kubectl.ok([
      'get',
      '--raw',
      `/api/v1/namespaces/${this.name}/pods/${pod}:${port}/proxy${path}`,
    ]);
  }

  /** A metric of a replica; the labels as they are printed. Undefined while it has none. */
  async metric(pod: string, series: string): Promise<number | undefined> {
    const lines = (await this.get(pod, 8080, '/metrics')).split('\n');
    const value = lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1);
    return value === undefined ? undefined : Number(value);
  }

  /** The requests of the operator's replicas since the mark. */
  requestsSince(mark: AuditMark): AuditRecord[] {
    const account = `system:serviceaccount:${this.name}:${this.fullname}`;
    return recordsSince(mark, account).filter(({ user }) => user === account);
  }

  /** The objects as they were installed. */
  async manifest(): Promise<Rendered[]> {
    return objectsOf(await helm(['get', 'manifest', this.name, '--namespace', this.name]));
  }
}

/** Values with which a release asks for little of the node: that of the tests is small, and several releases and tenants run on it. */
export const LITTLE = { gateway: { resources: { requests: { cpu: '10m', memory: '64Mi' } } } };

// The CRDs belong to the whole cluster, and another release may own them: that a release installs, upgrades and keeps them is tested
// on a separate API server (test/integration/install/upgrade.test.ts).
function helmRelease(
  verb: string,
  { name }: TestNamespace,
  { chart = CHART, values }: ReleaseOptions,
): Promise<string> {
  const all = {
    ...REQUIRED_VALUES,
    watchNamespaces: [name],
    crds: { install: false },
    ...(chart === CHART && LITTLE),
    ...values,
  };
  return helm([verb, name, chart, '--namespace', name, ...ROLLOUT], all);
}
