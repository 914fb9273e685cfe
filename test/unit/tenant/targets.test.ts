import { beforeEach, describe, expect, it } from '@jest/globals';
import type { HealthSource, HealthTarget, ServerHealth } from '../../../src/servers/health/health.ts';
import type { Pod } from '../../../src/kube/types/builtins.ts';
import { targetKey, Targets, tenantOfTarget } from '../../../src/tenant/targets.ts';
import { ToldSessions } from '../../support/told-sessions.ts';
import { sampleTenant, serverPod, TOKEN } from '../../support/tenants.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';

const tenant = sampleTenant({ health: { interval: '20s', timeout: '3s', failureThreshold: 4 } });

/** Remembers what it was asked to ping. */
class Recorder implements HealthSource {
  readonly pinged = new Map<string, HealthTarget>();
  set(target: HealthTarget): void {
    this.pinged.set(target.key, target);
  }
  remove(key: string): void {
    this.pinged.delete(key);
  }
  get(): ServerHealth {
    return { state: 'Unknown' };
  }
  onTransition(): void {}
}

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

describe('what is pinged', () => {
  let health: Recorder;
  let sessions: ToldSessions;
  let targets: Targets;
  const look = (found: Map<number, ServerWorld>, token = TOKEN): void => {
    targets.look(tenant, found);
    targets.watch(tenant, found.values(), token);
  };

  beforeEach(() => {
    health = new Recorder();
    sessions = new ToldSessions();
    targets = new Targets(health, sessions);
  });

  it('is the pod of the server, as the spec says', () => {
    look(servers(serverPod(tenant, 0)));
    expect([...health.pinged.values()]).toEqual([
      {
        key: 'team/acme-0',
        host: '10.1.0.1',
        port: 4321,
        token: TOKEN,
        intervalMs: 20_000,
        timeoutMs: 3_000,
        failureThreshold: 4,
      },
    ]);
  });

  it('is no pod whose port has not opened yet', () => {
    const pod = serverPod(tenant, 0);
    for (const container of pod.status?.containerStatuses ?? []) container.started = false;
    look(servers(pod));
    expect(health.pinged.size).toBe(0);
  });

  it('is looked at for its sessions too, which are not loaded if they were silent since before it started', () => {
    look(servers(startedPod(0)));
    expect([...sessions.targets.values()]).toEqual([
      { key: 'team/acme-0', host: '10.1.0.1', port: 4321, token: TOKEN, startedAt: Date.parse(STARTED) },
    ]);
    look(servers());
    expect(sessions.targets.size).toBe(0);
  });

  it('is looked at for its sessions when its container starts again in the same pod', () => {
    look(servers(startedPod(0)));
    look(servers(startedPod(0, '2026-01-02T04:00:00Z')));
    expect(sessions.targets.get('team/acme-0')?.startedAt).toBe(Date.parse('2026-01-02T04:00:00Z'));
  });

  describe('when the token is rotated', () => {
    const asked = () => [health.pinged.get('team/acme-0')?.token, sessions.targets.get('team/acme-0')?.token];
    const next = (): Pod => {
      const pod = startedPod(0, '2026-01-02T04:00:00Z');
      return { ...pod, metadata: { ...pod.metadata, uid: 'uid-of-the-next-pod' } };
    };

    beforeEach(() => {
      look(servers(startedPod(0)));
      look(servers(startedPod(0)), 'rotated');
    });

    it('is asked with the token that it started with', () => {
      expect(asked()).toEqual([TOKEN, TOKEN]);
    });

    it.each([
      ['its pod is replaced', next],
      ['its container starts again', () => startedPod(0, '2026-01-02T04:00:00Z')],
    ])('is asked with the new one once %s', (_, pod) => {
      look(servers(pod()), 'rotated');
      expect(asked()).toEqual(['rotated', 'rotated']);
    });
  });

  it('forgets what it knows of a pod when another takes its place', () => {
    look(servers(serverPod(tenant, 0)));
    targets.look(tenant, servers(serverPod(tenant, 0, { uid: 'uid-of-the-next-pod' })));
    expect(health.pinged.size).toBe(0);
  });

  it('keeps what it knows of a pod that stays', () => {
    look(servers(serverPod(tenant, 0)));
    targets.look(tenant, servers(serverPod(tenant, 0)));
    expect([...health.pinged.keys()]).toEqual(['team/acme-0']);
  });

  it('ends with the server', () => {
    look(servers(serverPod(tenant, 0), serverPod(tenant, 1)));
    look(servers(serverPod(tenant, 0)));
    expect([...health.pinged.keys()]).toEqual(['team/acme-0']);
  });

  it('ends with the tenant', () => {
    look(servers(serverPod(tenant, 0), serverPod(tenant, 1)));
    targets.forget({ namespace: 'team', name: 'acme' });
    expect(health.pinged.size).toBe(0);
  });
});

describe('a pod that ran before the operator started', () => {
  it('may be what the last status says', () => {
    const targets = new Targets(new Recorder(), new ToldSessions());
    targets.look(tenant, servers(serverPod(tenant, 0)));
    expect(targets.isAdopted(tenant, 0)).toBe(true);
  });

  it('is told from one that started under this operator', () => {
    const targets = new Targets(new Recorder(), new ToldSessions());
    targets.look(tenant, new Map([[0, { index: 0, pods: [] }]]));
    targets.look(tenant, servers(serverPod(tenant, 0)));
    expect(targets.isAdopted(tenant, 0)).toBe(false);
  });
});

describe('name of a target', () => {
  it.each(['acme', 'a-0', 'a-b'])('leads back to the tenant %s', (name) => {
    const key = targetKey(sampleTenant({}, { name }), 12);
    expect(tenantOfTarget(key)).toEqual({ namespace: 'team', name });
  });
});
