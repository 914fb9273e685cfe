import { describe, expect, it } from '@jest/globals';
import type { LastCleanup } from '../../../../src/api/tenant-status.ts';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { cleanupScope, isPaused } from '../../../../src/tenant/cleanup/cleanup-scope.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { boundClaim, pod, rolledOutDeployment } from '../fixtures.ts';
import type { ServerWorld } from '../../../../src/tenant/model.ts';

const claims = (...indexes: number[]): Map<number, ServerWorld> =>
  new Map(indexes.map((index) => [index, { index, pods: [], claim: boundClaim() }]));
const ofMode = (mode: string): Map<number, ServerWorld> => {
  const claim = boundClaim();
  return new Map([[0, { index: 0, pods: [], claim: { ...claim, spec: { ...claim.spec, accessModes: [mode] } } }]]);
};
const none = new Map<number, ServerWorld>();

describe('where sessions are cleaned up', () => {
  it.each<[string, CopilotTenantSpecInput, Map<number, ServerWorld>, number[], number[]]>([
    ['one server deletes, and its volume is swept', {}, none, [0], [0]],
    ['servers without a node delete, and no volume is swept', { replicas: 3 }, claims(0, 1, 2), [0, 1, 2], []],
    ['a volume of one pod is left to its server', { storage: { accessMode: 'ReadWriteOncePod' } }, none, [0], []],
    ['a retained volume of one pod too, whatever the spec says now', {}, ofMode('ReadWriteOncePod'), [0], []],
    ['a suspended tenant is cleaned up on its volumes', { suspend: true, replicas: 2 }, claims(1, 0), [], [0, 1]],
    ['volumes that were scaled away stay what they are', { suspend: true, replicas: 1 }, claims(0, 5), [], [0]],
    ['a tenant scaled to zero is cleaned up on what it left', { replicas: 0 }, claims(0, 5), [], [0, 5]],
    ['nowhere while there is no volume', { suspend: true }, new Map([[0, { index: 0, pods: [] }]]), [], []],
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

    it('asks all to delete, and has the volume of one swept', () => {
      for (const run of runs) {
        expect(after(run)).toMatchObject({ servers: [0, 1, 2], volumes: [expect.any(Number)] });
      }
    });

    it('takes another volume after a run, and each of them sooner or later', () => {
      expect(new Set(runs.flatMap((run) => after(run).volumes))).toEqual(new Set([0, 1, 2]));
      expect(after(7)).toEqual(after(7));
    });

    it('sweeps none when the one in turn does not run, for the run would wait for it', () => {
      const swept = (run: number) => after(run, running(0, 2)).volumes;
      expect(new Set(runs.flatMap((run) => swept(run)))).toEqual(new Set([0, 2]));
      expect(runs.map((run) => swept(run))).toContainEqual([]);
    });

    it('sweeps none after a run that failed, for it may have waited for the node of the one in turn', () => {
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
    ['is on its way out', { pods: [pod({}, { deletionTimestamp: '2026-01-01T00:00:00Z' })] }],
    ['may still be made', { deployment: { ...rolledOutDeployment({ running: false }), status: {} } }],
  ])('is nowhere while a pod of a suspended server %s', (_, found) => {
    const scope = suspendedWith(found);
    expect(scope.reason).toBe('ServersStopping');
    expect(isPaused(scope)).toBe(true);
  });

  it('is the volumes once every pod of a suspended server has ended', () => {
    const scope = suspendedWith({
      pods: [pod({ phase: 'Failed' })],
      deployment: rolledOutDeployment({ running: false }),
    });
    expect(scope.reason).toBe('OnVolumes');
    expect(isPaused(scope)).toBe(false);
  });

  it('is no volume that is going', () => {
    const going = new Map([
      [0, { index: 0, pods: [], claim: boundClaim({}, { deletionTimestamp: '2026-01-01T00:00:00Z' }) }],
    ]);
    expect(cleanupScope(sampleTenant({ suspend: true }), going)).toMatchObject({
      volumes: [],
      reason: 'NothingThere',
    });
  });
});
