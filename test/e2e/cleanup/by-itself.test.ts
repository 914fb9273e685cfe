// Sessions that are deleted on schedule, with no run started by hand; the operator's metrics count the results.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Secret } from '../../../src/kube/types/builtins.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { tenantThatCleans } from '../../support/cleanup-by-hand.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { freePort } from '../../support/copilot-server.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { scrape } from '../../support/scrape.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
let metricsPort: number;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  metricsPort = await freePort();
  await namespace.startOperator({ args: [`--metrics-bind-address=127.0.0.1:${metricsPort}`] });
  await ModelInCluster.start(namespace);
});
afterAll(() => namespace.close());

const onVolume = async (tenant: string) => (await namespace.exec(`${tenant}-0`, 'ls', '-A', SESSIONS)).split('\n');

describe('on schedule', () => {
  it.concurrent('a cleanup runs on its schedule, is reported, and is counted', async () => {
    await tenantThatCleans(namespace, 'punctual', { cleanupSchedule: '* * * * *' });
    for (const sessionId of ['long-ago', 'of-today']) await say(namespace, 'punctual', { prompt: 'Hello', sessionId });
    const aged = Math.floor(Date.now() / 1000) * 1000;
    await namespace.exec('punctual-0', 'touch', '-d', '2 days ago', `${SESSIONS}/long-ago/events.jsonl`);
    // The next minute may have begun while the modification time was changed, so a run may start too early for it.
    const { status } = await namespace.waitForTenant(
      'punctual',
      'reports a run that found the session old',
      (tenant) =>
        Date.parse(tenant.status?.lastCleanup?.time ?? '') >= aged && tenant.status?.lastCleanup?.deleted === 1,
      150_000,
    );
    expect(status?.lastCleanup).toMatchObject({ result: 'Succeeded', kept: 1, failuresInARow: 0 });
    expect(status?.lastCleanup?.job).toMatch(/^punctual-cleanup-\d+$/);
    expect(await onVolume('punctual')).not.toContain('long-ago');
    expect(await onVolume('punctual')).toContain('of-today');

    const metrics = await scrape(metricsPort);
    expect(metrics.value('copilot_cleanup_runs_total', { result: 'Succeeded' })).toBeGreaterThan(0);
    expect(metrics.value('copilot_cleanup_runs_total', { result: 'Failed' })).toBe(0);
    expect(metrics.value('copilot_cleanup_deleted_sessions_total')).toBe(1);
    expect(metrics.value('copilot_cleanup_freed_bytes_total')).toBeGreaterThan(1000);
    expect(metrics.naming(namespace.name, 'punctual', 'long-ago', 'of-today')).toEqual([]);
  });

  it.concurrent(
    'an expired session is deleted: an Ephemeral one with its resource, a Persistent one only its data',
    async () => {
      await namespace.createTenant('timed', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
      await namespace.waitForReady('timed');
      await namespace.createSession('fleeting', 'timed', { lifecycle: 'Ephemeral', ttl: '1m' });
      await namespace.createSession('lasting', 'timed', { ttl: '1m' });
      await namespace.createSession('unused', 'timed');
      for (const sessionId of ['fleeting', 'lasting']) {
        await say(namespace, 'timed', { prompt: 'Hello', sessionId });
        const idle = await namespace.waitForPhase(sessionId, 'Idle');
        expect(Date.parse(idle.status?.expiresAt ?? '')).toBeLessThan(Date.now() + 60_000);
      }
      const before = await scrape(metricsPort);
      expect(before.by('copilot_sessions', 'phase')).toMatchObject({ Idle: 2, Pending: 1, Expired: 0, Lost: 0 });
      expect(before.value('copilot_session_size_bytes_count')).toBe(2);
      const expired = await namespace.waitForPhase('lasting', 'Expired', 210_000);
      expect(conditionOf(expired, 'Ready')).toMatchObject({ status: 'False', reason: 'SessionExpired' });
      await waitFor('the resource is gone', async () => !(await namespace.get(CopilotSession, 'fleeting')), {
        withinMs: 60_000,
        everyMs: 200,
      });
      const left = await onVolume('timed');
      for (const id of ['fleeting', 'lasting']) expect(left).not.toContain(id);
      expect(await namespace.get(Secret, 'timed-token')).toBeDefined();

      const after = await scrape(metricsPort);
      expect(after.by('copilot_sessions', 'phase')).toMatchObject({ Idle: 0, Pending: 1, Expired: 1, Lost: 0 });
      expect(after.by('copilot_session_expirations_total', 'result')).toMatchObject({ Deleted: 2, Failed: 0 });
      expect(after.naming(namespace.name, 'timed', 'fleeting', 'lasting', 'unused')).toEqual([]);
    },
  );

  it('tenants and their servers are counted by state, and no metric has their names', async () => {
    await namespace.createTenant('counted', { server: { binary: 'runtime' } });
    await namespace.createTenant('resting', { suspend: true });
    await namespace.waitForIdle('counted');
    const tenants = (await namespace.kubectl.ok(['get', 'ct', '-n', namespace.name, '-o', 'name'])).trim().split('\n');
    const running = tenants.length - 1;
    const metrics = await waitFor(
      'the suspended one is counted',
      async () => {
        const scraped = await scrape(metricsPort);
        return scraped.value('copilot_tenants', { state: 'Suspended' }) === 1 ? scraped : undefined;
      },
      { everyMs: 200 },
    );
    expect(metrics.by('copilot_tenants', 'state')).toEqual({
      Deleting: 0,
      Hibernated: 0,
      Stalled: 0,
      Suspended: 1,
      Ready: running,
      Unhealthy: 0,
      Progressing: 0,
    });
    expect(metrics.by('copilot_servers', 'state')).toMatchObject({ Healthy: running, Unreachable: 0, Timeout: 0 });
    expect(metrics.value('copilot_tenant_conditions', { condition: 'Ready', status: 'True' })).toBe(running);
    expect(metrics.value('copilot_tenant_ready_seconds_count')).toBe(running);
    expect(metrics.value('copilot_tenant_ready_seconds_sum')).toBeGreaterThan(0);
    // Each is pinged at once and then every ten seconds.
    const pings = metrics.value('copilot_server_ping_seconds_count');
    expect(pings).toBeGreaterThanOrEqual(running);
    expect(metrics.value('copilot_server_ping_seconds_bucket', { le: '5' })).toBe(pings);
    expect(metrics.value('copilot_server_ping_seconds_sum')).toBeGreaterThan(0);
    expect(metrics.value('copilot_server_survey_seconds_count')).toBeGreaterThanOrEqual(running);
    expect(metrics.value('copilot_server_restarts_total')).toBe(0);
    expect(metrics.naming(namespace.name, ...tenants.map((name) => name.split('/')[1] ?? ''))).toEqual([]);
  });
});
