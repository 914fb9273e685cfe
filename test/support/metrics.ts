import type { Metrics } from '../../src/kube/metrics.ts';

/** The value of a counter or gauge with these labels; undefined when there is no such series. */
export async function metricValue(
  metrics: Metrics,
  name: string,
  labels: Record<string, string>,
): Promise<number | undefined> {
  const metric = await metrics.registry.getSingleMetric(name)?.get();
  const matches = (of: Partial<Record<string, string | number>>): boolean =>
    Object.entries(labels).every(([label, value]) => of[label] === value);
  return metric?.values.find((value) => matches(value.labels))?.value;
}
