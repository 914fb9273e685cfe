import { describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import type { ServerSummary, SessionState, SessionSummary } from '../../../../src/gateway/model.ts';
import { RelayMetrics } from '../../../../src/gateway/report/relay-metrics.ts';
import { loadOfServers } from '../../../../src/gateway/report/server-load.ts';

const acme = { namespace: 'team', name: 'acme' };
const server = (name: string, tenant = acme): ServerSummary => ({
  tenant,
  server: name === '' ? '' : `${tenant.namespace}/${name}`,
  state: 'Connected',
  calls: 0,
});
const session = (state: SessionState, name: string, tenant = acme): SessionSummary => ({
  ...server(name, tenant),
  id: 's',
  since: 0,
  state,
  clients: [],
  heldPrompts: 0,
  openQuestions: 0,
  eventBytes: 0,
});
const loads = (servers: ServerSummary[], sessions: SessionSummary[]) =>
  loadOfServers(servers, sessions).map(({ labels, turns, sessions: count }) => [labels.server, turns, count]);

describe('the load of servers', () => {
  it('is how many turns run or wait for one, and how many sessions are in memory', () => {
    const sessions = (['Running', 'Waiting', 'Idle', 'Unloaded'] as const).map((state) => session(state, 'acme-0'));
    expect(loads([server('acme-0')], [...sessions, session('Idle', 'acme-1')])).toEqual([
      ['acme-0', 2, 3],
      ['acme-1', 0, 1],
    ]);
  });

  it('is 0 of one that nobody uses, and nothing of a tenant without a server', () => {
    expect(loads([server('acme-0'), server('')], [session('Idle', '')])).toEqual([['acme-0', 0, 0]]);
  });

  it('has series as long as there is the server', async () => {
    const registry = new Registry();
    let servers = [server('acme-0'), server('beta-0', { namespace: 'other', name: 'beta' })];
    new RelayMetrics(registry).watchServers({ servers: () => servers, sessions: () => [session('Running', 'acme-0')] });
    const series = async () =>
      (await registry.metrics()).split('\n').filter((line) => line.startsWith('copilot_gateway_server_turns{'));
    expect(await series()).toEqual([
      'copilot_gateway_server_turns{tenant_namespace="team",tenant="acme",server="acme-0"} 1',
      'copilot_gateway_server_turns{tenant_namespace="other",tenant="beta",server="beta-0"} 0',
    ]);
    servers = [];
    expect(await series()).toEqual([
      'copilot_gateway_server_turns{tenant_namespace="team",tenant="acme",server="acme-0"} 1',
    ]);
  });

  it('is worked out once for a scrape, and anew for the next one', async () => {
    const registry = new Registry();
    const asked: string[] = [];
    let state: SessionState = 'Running';
    const relay = {
      servers: () => {
        asked.push('servers');
        return [server('acme-0')];
      },
      sessions: () => {
        asked.push('sessions');
        return [session(state, 'acme-0')];
      },
    };
    const metrics = new RelayMetrics(registry);
    metrics.watch(relay);
    metrics.watchServers(relay);
    const turns = async () => /server_turns{.*} (\d)/.exec(await registry.metrics())?.[1];
    expect(await turns()).toBe('1');
    expect(asked.toSorted()).toEqual(['servers', 'sessions']);
    state = 'Idle';
    expect(await turns()).toBe('0');
    expect(asked).toHaveLength(4);
  });
});
