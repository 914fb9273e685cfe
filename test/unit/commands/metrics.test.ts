import { beforeEach, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { registered, registeredByGateway } from '../../../scripts/metrics.ts';
import { ConditionType } from '../../../src/api/conditions.ts';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import type { ObjectMeta } from '../../../src/kube/types/types.ts';
import { ProductMetrics, tenantState, TENANT_STATES } from '../../../src/commands/operator/metrics.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { sampleTenant } from '../../support/tenants.ts';

/** A metric of ours or of the core in a text, with the labels that it is selected by. */
const METRIC =
  /\b(?:copilot|controller_runtime|event_recorder|leader_election|rest_client|workqueue)_[a-z]\w*(?:\{[^}`]*\})?/g;

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
      fleet: () => ({ rollouts: { Pending: 4, Running: 2, Stuck: 1 }, restartsWaiting: 5 }),
      wakes: () => ({ waiting: 6, waking: 7 }),
      locks: () => ({ held: 9, oldestSeconds: 10 }),
      silentReplicas: () => 8,
    });
  }

  it('count tenants by state, including states without any', async () => {
    count([ready, ready, sampleTenant()]);
    expect(await series('copilot_tenants')).toEqual({
      ...Object.fromEntries(TENANT_STATES.map((state) => [`copilot_tenants{state="${state}"}`, 0])),
      'copilot_tenants{state="Ready"}': 2,
      'copilot_tenants{state="Progressing"}': 1,
    });
  });

  it('count tenants by each condition, a missing one as Unknown', async () => {
    count([tenant([['StoragePressure', 'True', 'VolumeFull']]), ready]);
    const counted = await series('copilot_tenant_conditions');
    expect(Object.keys(counted)).toHaveLength(3 * Object.keys(ConditionType).length);
    expect(counted).toMatchObject({
      'copilot_tenant_conditions{condition="StoragePressure",status="True"}': 1,
      'copilot_tenant_conditions{condition="StoragePressure",status="False"}': 0,
      'copilot_tenant_conditions{condition="StoragePressure",status="Unknown"}': 1,
      'copilot_tenant_conditions{condition="Ready",status="True"}': 1,
      'copilot_tenant_conditions{condition="CleanupHealthy",status="Unknown"}': 2,
    });
  });

  it('count servers by health', async () => {
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

  it('count the servers that wait for the roll-out, or for their restart', async () => {
    count([]);
    expect(await series('copilot_rollouts')).toEqual({
      'copilot_rollouts{state="Pending"}': 4,
      'copilot_rollouts{state="Running"}': 2,
      'copilot_rollouts{state="Stuck"}': 1,
    });
    expect(await series('copilot_server_restarts_waiting')).toEqual({ copilot_server_restarts_waiting: 5 });
  });

  it('tell how many turns of shared sessions users hold, and for how long the oldest one', async () => {
    count([]);
    expect(await series('copilot_session_lock_held')).toEqual({ copilot_session_lock_held: 9 });
    expect(await series('copilot_session_lock_oldest_seconds')).toEqual({ copilot_session_lock_oldest_seconds: 10 });
  });

  it('count the replicas of the gateway that do not answer', async () => {
    count([]);
    expect(await series('copilot_silent_gateway_replicas')).toEqual({ copilot_silent_gateway_replicas: 8 });
  });

  it('count the results of cleanups, but not of dry runs', async () => {
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

  it('measure answered pings, and the time until tenants are Ready', async () => {
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

describe('a metric that the documentation names', () => {
  const docs = join(import.meta.dirname, '../../../docs');
  const named = readdirSync(docs, { recursive: true, encoding: 'utf8' })
    // Those of the runbooks are looked at as expressions: test/unit/docs/runbooks.test.ts.
    .filter((file) => file.endsWith('.md') && !file.startsWith('runbooks/'))
    .flatMap((file) => [...readFileSync(join(docs, file), 'utf8').matchAll(METRIC)].map((match) => [match[0], file]));

  it('is found in the documentation', () => {
    expect(named).toContainEqual(['copilot_gateway_failovers_total{result="Failed"}', 'gateway.md']);
  });

  it('exists, and has a series of each label value that is named, so that an alert on it can fire', async () => {
    const served = `${await registered().metrics()}${await registeredByGateway().metrics()}`;
    const missing = named.filter(([text = '']) => {
      const [name = '', selector = ''] = text.split('{');
      const series = served.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
      const labels = [...selector.matchAll(/\w+="[^"]*"/g)].map(([label]) => label);
      // One without a series before something happens is known by its type alone.
      const isServed = series.length > 0 || served.includes(`# TYPE ${name} `);
      return !isServed || labels.some((label) => !series.some((line) => line.includes(label)));
    });
    expect(missing).toEqual([]);
  });
});
