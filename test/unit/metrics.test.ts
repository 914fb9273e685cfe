import { beforeEach, describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import type { ObjectMeta } from '../../src/kube/types.ts';
import { ProductMetrics, tenantState, TENANT_STATES } from '../../src/metrics.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import { sampleTenant } from '../support/tenants.ts';

type Told = readonly [type: string, status: 'True' | 'False', reason: string];

function tenant(conditions: readonly Told[], spec: CopilotTenantSpecInput = {}, metadata: Partial<ObjectMeta> = {}) {
  return sampleTenant(spec, metadata, {
    conditions: conditions.map(([type, status, reason]) => ({
      type,
      status,
      reason,
      message: '',
      lastTransitionTime: '2026-01-02T03:04:05Z',
    })),
  });
}

const ready = tenant([['Ready', 'True', 'ServersReady']]);

describe('the state of a tenant', () => {
  it.each<[string, CopilotTenant]>([
    ['Progressing', sampleTenant()],
    ['Progressing', tenant([['Ready', 'False', 'ServersStarting']])],
    ['Ready', ready],
    ['Unhealthy', tenant([['Ready', 'False', 'ServersUnhealthy']])],
    ['Suspended', tenant([['Ready', 'False', 'Suspended']], { suspend: true })],
    ['Suspended', tenant([['Ready', 'False', 'ScaledToZero']], { replicas: 0 })],
    ['Stalled', tenant([['Stalled', 'True', 'QuotaExceeded']])],
    ['Stalled', tenant([['Stalled', 'True', 'InvalidSpec']], { suspend: true })],
    ['Deleting', tenant([['Ready', 'True', 'ServersReady']], {}, { deletionTimestamp: '2026-01-02T03:04:05Z' })],
  ])('is %s', (state, of) => {
    expect(tenantState(of)).toBe(state);
  });
});

describe('the metrics of the product', () => {
  let registry: Registry;
  let product: ProductMetrics;
  beforeEach(() => {
    registry = new Registry();
    product = new ProductMetrics(registry);
  });

  /** Series and their values, those of buckets aside. */
  async function series(metric: string): Promise<Record<string, number>> {
    const text = await registry.getSingleMetricAsString(metric);
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.includes('_bucket'));
    return Object.fromEntries(lines.map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]));
  }

  function count(tenants: readonly CopilotTenant[], servers: readonly (readonly [string, number])[] = []): void {
    product.count({
      tenants: { list: () => [...tenants] },
      sessions: { list: () => [] },
      servers: () => servers,
      surveyed: () => ({ active: 1, loaded: 2, unloaded: 3 }),
    });
  }

  it('count tenants by state, states without any too', async () => {
    count([ready, ready, sampleTenant()]);
    expect(await series('copilot_tenants')).toEqual({
      ...Object.fromEntries(TENANT_STATES.map((state) => [`copilot_tenants{state="${state}"}`, 0])),
      'copilot_tenants{state="Ready"}': 2,
      'copilot_tenants{state="Progressing"}': 1,
    });
  });

  it('count servers by what the pings say', async () => {
    count([], [['Healthy', 3]]);
    expect(await series('copilot_servers')).toMatchObject({
      'copilot_servers{state="Healthy"}': 3,
      'copilot_servers{state="Timeout"}': 0,
    });
  });

  it('count the sessions of all servers together', async () => {
    count([]);
    expect(await series('copilot_sessions_on_servers')).toEqual({
      'copilot_sessions_on_servers{state="active"}': 1,
      'copilot_sessions_on_servers{state="loaded"}': 2,
      'copilot_sessions_on_servers{state="unloaded"}': 3,
    });
  });

  it('count what cleanups did, and nothing of a dry run', async () => {
    const run = { time: '2026-01-02T03:04:05Z', job: 'a', deleted: 2, freedBytes: 100 };
    product.cleanedUp({ ...run, result: 'Failed' });
    product.cleanedUp({ ...run, result: 'Succeeded', dryRun: true });
    expect(await series('copilot_cleanup_runs_total')).toEqual({
      'copilot_cleanup_runs_total{result="Failed"}': 1,
      'copilot_cleanup_runs_total{result="Succeeded"}': 1,
    });
    expect(await series('copilot_cleanup_deleted_sessions_total')).toMatchObject({
      copilot_cleanup_deleted_sessions_total: 2,
    });
    expect(await series('copilot_cleanup_freed_bytes_total')).toMatchObject({ copilot_cleanup_freed_bytes_total: 100 });
  });

  it('measure pings that were answered, and how long tenants took to become Ready', async () => {
    product.pinged('Healthy', 20);
    product.pinged('Timeout', 5000);
    product.becameReady(4000);
    // Its clock is behind that of the API server.
    product.becameReady(-500);
    expect(await series('copilot_server_ping_seconds')).toMatchObject({
      copilot_server_ping_seconds_count: 1,
      copilot_server_ping_seconds_sum: 0.02,
    });
    expect(await series('copilot_tenant_ready_seconds')).toMatchObject({
      copilot_tenant_ready_seconds_count: 2,
      copilot_tenant_ready_seconds_sum: 4,
    });
  });
});
