import type { Metrics } from '../../src/kube/runtime/metrics.ts';
import { waitFor } from './wait.ts';

/** 500 sessions at once take a machine that runs other tests beside it more than 10 s. */
const IDLE_MS = 60_000;

/** The value of a counter or gauge with these labels; undefined if there is no such series. */
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

/** The sum over all series of a counter or gauge, which must exist. */
export async function metricSum(metrics: Metrics, name: string): Promise<number> {
  const found = await metrics.registry.getSingleMetric(name)?.get();
  if (found === undefined) throw new Error(`there is no metric ${name}`);
  return found.values.reduce((sum, { value }) => sum + value, 0);
}

/** Waits until the controllers with these metrics are idle, after at least this many reconciles. */
export async function waitForIdle(metrics: Metrics, reconciles = 0): Promise<void> {
  await waitFor(
    'the controller has nothing to do',
    async () => {
      const busy = await Promise.all(
        ['workqueue_depth', 'controller_runtime_active_workers'].map((name) => metricSum(metrics, name)),
      );
      return busy.every((count) => count === 0) && (await reconcilesOf(metrics)) >= reconciles;
    },
    { withinMs: IDLE_MS },
  );
}

/** How many reconciles have ended. */
export function reconcilesOf(metrics: Metrics): Promise<number> {
  return metricSum(metrics, 'controller_runtime_reconcile_total');
}
