/**
 * External metrics in the cluster, as the adapter of a Prometheus gives it them. They are registered with the API server for the whole cluster: while they are, and do not
 * answer, no namespace can be deleted.
 */
import type { TestNamespace } from './cluster.ts';
import { startNodePod } from './node-pod.ts';
import { PrivateCA } from './private-ca.ts';

/** One of `externalRules` of the Prometheus adapter's configuration. */
export interface ExternalRule {
  readonly seriesQuery: string;
  readonly resources: { readonly overrides: Readonly<Record<string, { readonly resource: string }>> };
  readonly metricsQuery: string;
}

const SUM = 'sum(<<.Series>>{<<.LabelMatchers>>}) by ';
const NAME = 'metrics-adapter';
const PORT = 6443;
const GROUP = 'external.metrics.k8s.io';
const OURS = { 'copilot-operator.dev/test': 'e2e' };

/** Which metrics a rule is of, as a regular expression, and which label of them is the namespace of who asks. */
export function readRule({ seriesQuery, resources, metricsQuery }: ExternalRule): {
  readonly series: string;
  readonly namespaceLabel: string;
} {
  const [, series] = /__name__=~"([^"]+)"/.exec(seriesQuery) ?? [];
  const [namespaceLabel] =
    Object.entries(resources.overrides).find(([, { resource }]) => resource === 'namespace') ?? [];
  if (series === undefined || namespaceLabel === undefined || !metricsQuery.startsWith(SUM))
    throw new Error(`the adapter of tests only makes sums of what is named by __name__=~: ${seriesQuery}`);
  // Prometheus' expressions are of the whole value.
  return { series: `^(${series})$`, namespaceLabel };
}

/** Serves what `rule` says of what is at `url`, until it is disposed of with the namespace. */
export async function startMetricsAdapter(namespace: TestNamespace, url: string, rule: ExternalRule): Promise<void> {
  const { name, kubectl } = namespace;
  using ca = new PrivateCA('metrics');
  const host = `${NAME}.${name}.svc`;
  const { cert, key } = ca.issue(`DNS:${host}`);
  await namespace.putSecret(NAME, { 'tls.crt': cert, 'tls.key': key });
  const args = [url, JSON.stringify(readRule(rule))];
  await startNodePod(namespace, { name: NAME, program: 'metrics-adapter.mjs', args, ports: [PORT], certificate: NAME });
  // What a run has left that was interrupted. Of the cluster's own adapter creation says that it exists.
  const labelled = Object.entries(OURS).map(([label, value]) => `${label}=${value}`);
  await kubectl.ok(['delete', 'apiservice', '-l', labelled.join(','), '--ignore-not-found']);
  const registered = registration(name, Buffer.from(ca.pem).toString('base64'));
  await kubectl.ok(['create', '-f', '-'], registered);
  const service = `apiservice/${registered.metadata.name}`;
  namespace.use({
    [Symbol.asyncDispose]: async () => void (await kubectl.ok(['delete', service, '--ignore-not-found'])),
  });
  await kubectl.ok(['wait', service, '--for=condition=Available', '--timeout=60s']);
}

function registration(namespace: string, caBundle: string) {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: `v1beta1.${GROUP}`, labels: OURS },
    spec: {
      group: GROUP,
      version: 'v1beta1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      service: { namespace, name: NAME, port: PORT },
      caBundle,
    },
  };
}
