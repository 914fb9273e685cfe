import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../src/kube/types/builtins.ts';
import { targetKey, Targets, tenantOfTarget } from '../../../src/tenant/targets.ts';
import { RecordedServers } from '../../support/servers.ts';
import { sampleTenant, serverPod, TOKEN } from '../../support/tenants.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';

const tenant = sampleTenant({ health: { interval: '20s', timeout: '3s', failureThreshold: 4 } });

const servers = (...pods: ReturnType<typeof serverPod>[]): Map<number, ServerWorld> =>
  new Map(pods.map((pod, index) => [index, { index, pods: [pod] }]));

const STARTED = '2026-01-02T03:04:05Z';

function startedPod(index: number, startedAt = STARTED): Pod {
  const pod = serverPod(tenant, index);
  const containerStatuses = pod.status?.containerStatuses?.map((status) => ({
    ...status,
    state: { running: { startedAt } },
  }));
  return { ...pod, status: { ...pod.status, ...(containerStatuses && { containerStatuses }) } };
}

describe('a registered server', () => {
  let registry: RecordedServers;
  let targets: Targets;
  const observe = (found: Map<number, ServerWorld>, token = TOKEN): void => {
    targets.observe(tenant, found);
    targets.register(tenant, found.values(), token);
  };

  beforeEach(() => {
    registry = new RecordedServers();
    targets = new Targets(registry);
  });

  it('is the pod of the server, as the spec says', () => {
    observe(servers(serverPod(tenant, 0)));
    expect([...registry.targets.values()]).toEqual([
      {
        key: 'team/acme-0',
        host: '10.1.0.1',
        port: 4321,
        token: TOKEN,
        podUID: serverPod(tenant, 0).metadata.uid,
        startedAt: undefined,
        health: { intervalMs: 20_000, timeoutMs: 3_000, failureThreshold: 4 },
      },
    ]);
  });

  it('is no pod whose port has not opened yet', () => {
    const pod = serverPod(tenant, 0);
    for (const container of pod.status?.containerStatuses ?? []) container.started = false;
    observe(servers(pod));
    expect(registry.targets.size).toBe(0);
  });

  it('has the time when its process started, before which no session of it was loaded', () => {
    observe(servers(startedPod(0)));
    expect([...registry.targets.values()]).toMatchObject([
      { key: 'team/acme-0', host: '10.1.0.1', port: 4321, token: TOKEN, startedAt: Date.parse(STARTED) },
    ]);
    observe(servers());
    expect(registry.targets.size).toBe(0);
  });

  it('has a new start time when its container starts again in the same pod', () => {
    observe(servers(startedPod(0)));
    observe(servers(startedPod(0, '2026-01-02T04:00:00Z')));
    expect(registry.targets.get('team/acme-0')?.startedAt).toBe(Date.parse('2026-01-02T04:00:00Z'));
  });

  describe('when the token is rotated', () => {
    const token = () => registry.targets.get('team/acme-0')?.token;
    const next = (): Pod => {
      const pod = startedPod(0, '2026-01-02T04:00:00Z');
      return { ...pod, metadata: { ...pod.metadata, uid: 'uid-of-the-next-pod' } };
    };

    beforeEach(() => {
      observe(servers(startedPod(0)));
      observe(servers(startedPod(0)), 'rotated');
    });

    it('keeps the token that it started with', () => {
      expect(token()).toBe(TOKEN);
    });

    it.each([
      ['its pod is replaced', next],
      ['its container starts again', () => startedPod(0, '2026-01-02T04:00:00Z')],
    ])('has the new one once %s', (_, pod) => {
      observe(servers(pod()), 'rotated');
      expect(token()).toBe('rotated');
    });
  });

  it('is removed when another pod takes the place of its own', () => {
    observe(servers(serverPod(tenant, 0)));
    targets.observe(tenant, servers(serverPod(tenant, 0, { uid: 'uid-of-the-next-pod' })));
    expect(registry.targets.size).toBe(0);
  });

  it('stays while its pod does', () => {
    observe(servers(serverPod(tenant, 0)));
    targets.observe(tenant, servers(serverPod(tenant, 0)));
    expect([...registry.targets.keys()]).toEqual(['team/acme-0']);
  });

  it('is removed with the server', () => {
    observe(servers(serverPod(tenant, 0), serverPod(tenant, 1)));
    observe(servers(serverPod(tenant, 0)));
    expect([...registry.targets.keys()]).toEqual(['team/acme-0']);
  });

  it('is removed with the tenant', () => {
    observe(servers(serverPod(tenant, 0), serverPod(tenant, 1)));
    targets.remove({ namespace: 'team', name: 'acme' });
    expect(registry.targets.size).toBe(0);
  });
});

describe('a pod that ran before the operator started', () => {
  it('may be what the last status says', () => {
    const targets = new Targets(new RecordedServers());
    targets.observe(tenant, servers(serverPod(tenant, 0)));
    expect(targets.wasRunning(tenant, 0)).toBe(true);
  });

  it('is not one that started under this operator', () => {
    const targets = new Targets(new RecordedServers());
    targets.observe(tenant, new Map([[0, { index: 0, pods: [] }]]));
    targets.observe(tenant, servers(serverPod(tenant, 0)));
    expect(targets.wasRunning(tenant, 0)).toBe(false);
  });
});

describe('the key of a server', () => {
  it.each(['acme', 'a-0', 'a-b'])('leads back to the tenant %s', (name) => {
    const key = targetKey(sampleTenant({}, { name }), 12);
    expect(tenantOfTarget(key)).toEqual({ namespace: 'team', name });
  });
});
