import { describe, expect, it } from '@jest/globals';
import type { LastCleanup } from '../../../../src/api/tenant-status.ts';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { cleanupScope, isPaused } from '../../../../src/tenant/cleanup/cleanup-scope.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';
import { boundClaim, pod, rolledOutDeployment } from '../fixtures.ts';
import type { ServerWorld } from '../../../../src/tenant/model.ts';

const claims = (...indexes: number[]): Map<number, ServerWorld> =>
  new Map(indexes.map((index) => [index, { index, pods: [], claim: boundClaim() }]));
const ofMode = (mode: string): Map<number, ServerWorld> => {
  const claim = boundClaim();
  return new Map([[0, { index: 0, pods: [], claim: { ...claim, spec: { ...claim.spec, accessModes: [mode] } } }]]);
};
const none = new Map<number, ServerWorld>();

describe('the scope of a cleanup', () => {
  it.each<[string, CopilotTenantSpecInput, Map<number, ServerWorld>, number[], number[]]>([
    ['one server deletes, and its volume is swept', {}, none, [0], [0]],
    ['servers without a node delete, and no volume is swept', { replicas: 3 }, claims(0, 1, 2), [0, 1, 2], []],
    [
      'a ReadWriteOncePod volume is not swept beside its server',
      { storage: { accessMode: 'ReadWriteOncePod' } },
      none,
      [0],
      [],
    ],
    ['nor is a retained one, whatever the spec says now', {}, ofMode('ReadWriteOncePod'), [0], []],
    ['a suspended tenant is cleaned up on its volumes', { suspend: true, replicas: 2 }, claims(1, 0), [], [0, 1]],
    [
      'volumes of servers beyond spec.replicas are not cleaned up',
      { suspend: true, replicas: 1 },
      claims(0, 5),
      [],
      [0],
    ],
    ['a tenant scaled to zero is cleaned up on its retained volumes', { replicas: 0 }, claims(0, 5), [], [0, 5]],
    ['it is empty while there is no volume', { suspend: true }, new Map([[0, { index: 0, pods: [] }]]), [], []],
  ])('%s', (_, spec, live, servers, volumes) => {
    expect(cleanupScope(sampleTenant(spec), live)).toMatchObject({ servers, volumes });
  });

  describe('of several servers', () => {
    const running = (...indexes: number[]): Map<number, ServerWorld> =>
      new Map(indexes.map((index) => [index, { index, pods: [pod()], claim: boundClaim() }]));
    const last = (run: number, result: LastCleanup['result']): LastCleanup => ({
      time: '2026-01-01T00:00:00Z',
      job: `acme-cleanup-${run}`,
      result,
      failuresInARow: result === 'Failed' ? 1 : 0,
    });
    const after = (run: number, live = running(0, 1, 2), result: LastCleanup['result'] = 'Succeeded') =>
      cleanupScope(sampleTenant({ replicas: 3 }, {}, { lastCleanup: last(run, result) }), live);
    const runs = Array.from({ length: 30 }, (_, run) => run);

    it('has all servers delete, and sweeps the volume of one', () => {
      for (const run of runs) {
        expect(after(run)).toMatchObject({ servers: [0, 1, 2], volumes: [expect.any(Number)] });
      }
    });

    it('chooses another volume after a run, and in time each of them', () => {
      expect(new Set(runs.flatMap((run) => after(run).volumes))).toEqual(new Set([0, 1, 2]));
      expect(after(7)).toEqual(after(7));
    });

    it('sweeps none when the chosen server does not run, because the run would wait for it', () => {
      const swept = (run: number) => after(run, running(0, 2)).volumes;
      expect(new Set(runs.flatMap((run) => swept(run)))).toEqual(new Set([0, 2]));
      expect(runs.map((run) => swept(run))).toContainEqual([]);
    });

    it('sweeps none after a failed run, which may have waited for the node of the chosen server', () => {
      for (const run of runs) {
        expect(after(run, running(0, 1, 2), 'Failed')).toMatchObject({ servers: [0, 1, 2], volumes: [] });
      }
      const alone = sampleTenant({}, {}, { lastCleanup: last(1, 'Failed') });
      expect(cleanupScope(alone, running(0)).volumes).toEqual([0]);
    });
  });

  const suspendedWith = (found: Partial<ServerWorld>) =>
    cleanupScope(
      sampleTenant({ suspend: true }),
      new Map([[0, { index: 0, pods: [], claim: boundClaim(), ...found }]]),
    );

  it.each<[string, Partial<ServerWorld>]>([
    ['runs', { pods: [pod()] }],
    ['is terminating', { pods: [pod({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })] }],
    ['may still be created', { deployment: { ...rolledOutDeployment({ running: false }), status: {} } }],
  ])('is paused while a pod of a suspended server %s', (_, found) => {
    const scope = suspendedWith(found);
    expect(scope.reason).toBe('ServersStopping');
    expect(isPaused(scope)).toBe(true);
  });

  it('has the volumes once every pod of a suspended server has ended', () => {
    const scope = suspendedWith({
      pods: [pod({ phase: 'Failed' })],
      deployment: rolledOutDeployment({ running: false }),
    });
    expect(scope.reason).toBe('OnVolumes');
    expect(isPaused(scope)).toBe(false);
  });

  it('has no terminating volume', () => {
    const going = new Map([
      [0, { index: 0, pods: [], claim: boundClaim({}, { deletionTimestamp: '2026-01-01T00:00:00Z' }) }],
    ]);
    expect(cleanupScope(sampleTenant({ suspend: true }), going)).toMatchObject({
      volumes: [],
      reason: 'NoVolumes',
    });
  });
});

describe('the scope of a cleanup of a volume that servers share', () => {
  const scope = (spec: CopilotTenantSpecInput, live = none, claim = boundClaim()) =>
    cleanupScope(sampleTenant({ ...SHARED_STORAGE, replicas: 2, ...spec }), live, claim);

  it('is nothing while servers run: a run has no grant, and would delete beside them', () => {
    const found = scope({});
    expect(found).toMatchObject({ servers: [], volumes: [], reason: 'ThroughOneServer' });
    expect(isPaused(found)).toBe(true);
  });

  it.each<[string, CopilotTenantSpecInput]>([
    ['suspended', { suspend: true }],
    ['scaled to zero', { replicas: 0 }],
  ])('is the volume, once, when the tenant is %s', (_case, spec) => {
    const found = scope(spec);
    expect(found).toMatchObject({ servers: [], volumes: [0], reason: 'OnVolumes' });
    expect(isPaused(found)).toBe(false);
  });

  it('is nothing until the last server has stopped, also one that was scaled down', () => {
    const going = new Map<number, ServerWorld>([[2, { index: 2, pods: [pod()] }]]);
    expect(isPaused(scope({ replicas: 0 }, going))).toBe(true);
    expect(scope({ replicas: 0 }, going).volumes).toEqual([]);
  });

  it('is nothing without the volume, or while that is being deleted', () => {
    expect(cleanupScope(sampleTenant({ ...SHARED_STORAGE, suspend: true }), none).reason).toBe('NoVolumes');
    const deleted = boundClaim({}, { deletionTimestamp: '2026-01-02T03:04:05Z' });
    expect(scope({ suspend: true }, none, deleted).reason).toBe('NoVolumes');
  });
});
