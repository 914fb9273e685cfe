// The replicas of the gateway, as the chart renders them: how many there are, how many may be evicted, and what Prometheus scrapes.
import { expect, it, jest } from '@jest/globals';
import { objectsOf, render, type Rendered } from '../../support/chart.ts';

// helm is started for each, on a machine that other tests keep busy.
jest.setTimeout(60_000);

type Labels = Readonly<Record<string, string>>;

const rendered = async (values: object = {}) => objectsOf(await render(values));

function named(objects: readonly Rendered[], kind: string, name = 'copilot-gateway'): Rendered | undefined {
  return objects.find((object) => object.kind === kind && object.metadata.name === name);
}

function matches(selector: unknown, labels: Labels | undefined): boolean {
  const { matchLabels } = selector as { readonly matchLabels: Labels };
  return Object.entries(matchLabels).every(([key, value]) => labels?.[key] === value);
}

/** Labels of the pods of a Deployment. */
function podLabels(deployment: Rendered | undefined): Labels | undefined {
  return (deployment?.spec?.['template'] as { metadata: { labels: Labels } } | undefined)?.metadata.labels;
}

it('are as many as gateway.replicas says, without an autoscaler', async () => {
  const objects = await rendered({ gateway: { replicas: 5 } });
  expect(named(objects, 'Deployment')?.spec?.['replicas']).toBe(5);
  expect(objects.map(({ kind }) => kind)).not.toContain('HorizontalPodAutoscaler');
});

it('are as many as the autoscaler says where there is one: an upgrade of the release does not set their number back', async () => {
  const autoscaling = { enabled: true, minReplicas: 3, maxReplicas: 7, targetCPUPercent: 55 };
  const objects = await rendered({ gateway: { replicas: 5, autoscaling } });
  const deployment = named(objects, 'Deployment');
  expect(deployment?.spec).not.toHaveProperty('replicas');
  expect(named(objects, 'HorizontalPodAutoscaler')?.spec).toMatchObject({
    scaleTargetRef: { apiVersion: deployment?.apiVersion, kind: 'Deployment', name: deployment?.metadata.name },
    minReplicas: 3,
    maxReplicas: 7,
    metrics: [{ resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 55 } } }],
  });
  // The share is one of what is requested.
  const containers = [{ resources: { requests: { cpu: expect.any(String) } } }];
  expect(deployment?.spec).toMatchObject({ template: { spec: { containers } } });
});

it('are as many as further metrics say, too', async () => {
  const metrics = [{ type: 'Pods', pods: { metric: { name: 'copilot_gateway_clients' } } }];
  const objects = await rendered({ gateway: { autoscaling: { enabled: true, metrics } } });
  const cpu = expect.objectContaining({ type: 'Resource' });
  expect(named(objects, 'HorizontalPodAutoscaler')?.spec?.['metrics']).toEqual([cpu, ...metrics]);
});

it('are evicted one at a time, and none of them counts as one of the operator', async () => {
  const objects = await rendered();
  const budgets = objects.filter(({ kind }) => kind === 'PodDisruptionBudget');
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  for (const { metadata, spec } of budgets) {
    const covered = deployments.filter((deployment) => matches(spec?.['selector'], podLabels(deployment)));
    expect(covered.map((deployment) => deployment.metadata.name)).toEqual([metadata.name]);
  }
  expect(named(budgets, 'PodDisruptionBudget')?.spec?.['maxUnavailable']).toBe(1);
  const off = await rendered({ podDisruptionBudget: { enabled: false } });
  expect(off.map(({ kind }) => kind)).not.toContain('PodDisruptionBudget');
});

it('are scraped once: each ServiceMonitor selects the Service of its metrics, and no other', async () => {
  const tls = { secretName: 'certificate' };
  const objects = await rendered({ metrics: { serviceMonitor: { enabled: true } }, gateway: { tls } });
  const services = objects.filter(({ kind }) => kind === 'Service');
  const selectedBy = (name: string) => {
    const monitor = named(objects, 'ServiceMonitor', name);
    const found = services.filter(({ metadata }) => matches(monitor?.spec?.['selector'], metadata.labels));
    const { endpoints } = (monitor?.spec ?? {}) as { endpoints: { port: string }[] };
    const port = endpoints[0]?.port ?? '';
    const ports = found.map(({ spec }) => (spec as { ports: { name: string }[] }).ports.map((each) => each.name));
    return {
      services: found.map(({ metadata }) => metadata.name),
      hasPort: ports.every((names) => names.includes(port)),
    };
  };
  for (const name of ['copilot-gateway', 'copilot-operator']) {
    expect(selectedBy(name)).toEqual({ services: [`${name}-metrics`], hasPort: true });
  }
  expect(services.length).toBeGreaterThan(2);
});
