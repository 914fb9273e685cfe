import { describe, expect, it } from '@jest/globals';
import { ConfigMap, Deployment } from '../../../../src/kube/types/builtins.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { WorkQueue } from '../../../../src/kube/runtime/work-queue.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { metricValue } from '../../../support/metrics.ts';

describe('the metrics of the core', () => {
  it('have the names that dashboards for controller-runtime expect', async () => {
    const { registry } = new Metrics();
    const metrics = await registry.getMetricsAsJSON();
    expect(metrics.map(({ name }) => name).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'controller_runtime_active_workers',
      'controller_runtime_max_concurrent_reconciles',
      'controller_runtime_reconcile_errors_total',
      'controller_runtime_reconcile_panics_total',
      'controller_runtime_reconcile_time_seconds',
      'controller_runtime_reconcile_timeouts_total',
      'controller_runtime_reconcile_total',
      'controller_runtime_terminal_reconcile_errors_total',
      'event_recorder_events_total',
      'leader_election_master_status',
      'leader_election_slowpath_total',
      'reflector_lists_total',
      'reflector_watches_total',
      'rest_client_request_duration_seconds',
      'rest_client_request_retries_total',
      'rest_client_requests_total',
      'workqueue_adds_total',
      'workqueue_depth',
      'workqueue_longest_running_processor_seconds',
      'workqueue_queue_duration_seconds',
      'workqueue_retries_total',
      'workqueue_unfinished_work_seconds',
      'workqueue_work_duration_seconds',
    ]);
  });

  it('of a controller exist from the start, so that a rate includes the first error', async () => {
    const metrics = new Metrics();
    metrics.forController('tenants', 4);
    for (const name of ['reconcile_errors_total', 'terminal_reconcile_errors_total', 'reconcile_panics_total']) {
      expect(await metricValue(metrics, `controller_runtime_${name}`, { controller: 'tenants' })).toBe(0);
    }
    for (const result of ['success', 'error', 'requeue_after']) {
      const labels = { controller: 'tenants', result };
      expect(await metricValue(metrics, 'controller_runtime_reconcile_total', labels)).toBe(0);
    }
  });

  it('of a queue count waiting keys and keys in progress, and their times in seconds', async () => {
    const clock = new FakeClock();
    const metrics = new Metrics();
    const controller = metrics.forController('tenants', 2);
    const queue = new WorkQueue({ clock, metrics: controller.queue });
    controller.watchQueue(() => queue.inProgressMs());
    const value = (name: string) =>
      metricValue(metrics, `workqueue_${name}`, { name: 'tenants', controller: 'tenants' });
    for (const key of ['a', 'b', 'c', 'a']) queue.add(key);
    await clock.advance(500);
    await queue.get();
    await clock.advance(1_000);
    await queue.get();
    await clock.advance(2_000);
    expect(await value('adds_total')).toBe(3);
    expect(await value('depth')).toBe(1);
    expect(await value('unfinished_work_seconds')).toBe(5);
    expect(await value('longest_running_processor_seconds')).toBe(3);
    queue.done('a');
    queue.done('b');
    queue.addRateLimited('a');
    expect(await value('unfinished_work_seconds')).toBe(0);
    expect(await value('retries_total')).toBe(1);
    const text = await metrics.registry.getSingleMetricAsString('workqueue_queue_duration_seconds');
    expect(text).toContain('workqueue_queue_duration_seconds_sum{name="tenants",controller="tenants"} 2');
  });

  it('of a queue leave out how long a standby waited for the lease', async () => {
    const clock = new FakeClock();
    const metrics = new Metrics();
    const queue = new WorkQueue({ clock, metrics: metrics.forController('tenants', 1).queue });
    queue.add('a');
    await clock.advance(7_200_000);
    queue.start();
    await clock.advance(1_000);
    await queue.get();
    const text = await metrics.registry.getSingleMetricAsString('workqueue_queue_duration_seconds');
    expect(text).toContain('workqueue_queue_duration_seconds_sum{name="tenants",controller="tenants"} 1');
  });

  it('of reflectors count lists and how watches ended, by resource', async () => {
    const metrics = new Metrics();
    metrics.reflector.listed?.(Deployment);
    metrics.reflector.watchEnded?.(Deployment, 'WatchEnded');
    metrics.reflector.watchEnded?.(Deployment, 'Expired');
    metrics.reflector.watchEnded?.(ConfigMap, 'Expired');
    const deployments = { group: 'apps', resource: 'deployments' };
    expect(await metricValue(metrics, 'reflector_lists_total', deployments)).toBe(1);
    expect(await metricValue(metrics, 'reflector_watches_total', { ...deployments, reason: 'Expired' })).toBe(1);
    const configMaps = { group: '', resource: 'configmaps', reason: 'Expired' };
    expect(await metricValue(metrics, 'reflector_watches_total', configMaps)).toBe(1);
  });

  it('of the transport count responses by code, and requests without one', async () => {
    const metrics = new Metrics();
    const request = { method: 'GET', path: '/api/v1/pods', host: 'api:6443', stream: false };
    metrics.transport.request?.({ ...request, code: '200', durationMs: 20 });
    metrics.transport.request?.({ ...request, code: '<error>', durationMs: 5 });
    const count = (code: string) =>
      metricValue(metrics, 'rest_client_requests_total', { code, method: 'GET', host: 'api:6443' });
    expect([await count('200'), await count('<error>')]).toEqual([1, 1]);
    const decision = { retry: true, delayMs: 1_000, reason: 'ServerAsked' } as const;
    metrics.transport.retry?.({ ...request, decision, error: new StatusError(request, { code: 429 }) });
    metrics.transport.retry?.({ ...request, decision, error: new TransportError(request, 'network', 'reset') });
    const retried = (code: string) => metricValue(metrics, 'rest_client_request_retries_total', { code, verb: 'GET' });
    expect([await retried('429'), await retried('<error>')]).toEqual([1, 1]);
  });
});
