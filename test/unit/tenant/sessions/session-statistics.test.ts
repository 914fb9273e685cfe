import { beforeEach, describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput, CopilotTenantStatus } from '../../../../src/api/tenant.ts';
import type { LastCleanup, VolumeUsage } from '../../../../src/api/tenant-status.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import type { NamespacedName } from '../../../../src/kube/types/types.ts';
import type { ClientCounts } from '../../../../src/tenant/gateway-clients.ts';
import { SessionStatistics } from '../../../../src/tenant/sessions/session-statistics.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { CountedSessions } from '../../../support/counted-sessions.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';
import { boundClaim, MINUTE, NOW, pod, SECOND } from '../fixtures.ts';
import type { ServerWorld } from '../../../../src/tenant/model.ts';
import {
  pressureChanged,
  reportedSessions,
  type SessionsStatus,
} from '../../../../src/tenant/sessions/sessions-status.ts';

const MI = 2 ** 20;
const KEY = { namespace: 'team', name: 'acme' };

let clock: FakeClock;
let source: CountedSessions;
let statistics: SessionStatistics;
beforeEach(() => {
  clock = new FakeClock(NOW);
  source = new CountedSessions();
  statistics = new SessionStatistics(source, clock);
});

/** Servers whose volumes have 100Mi. */
const servers = (count: number, pods = [pod()]): Map<number, ServerWorld> =>
  new Map(
    Array.from({ length: count }, (_, index) => [
      index,
      { index, pods, claim: boundClaim({ capacity: { storage: '100Mi' } }) },
    ]),
  );
const observe = (
  spec: CopilotTenantSpecInput = {},
  status: CopilotTenantStatus = {},
  lastCleanup = status.lastCleanup,
  usages = new Map<number, VolumeUsage>(),
): SessionsStatus =>
  statistics.observe(sampleTenant(spec, {}, status), servers(spec.replicas ?? 1), usages, lastCleanup);
/** A measurement of a volume of 100Mi. */
const measured = (usage: Partial<VolumeUsage>): Map<number, VolumeUsage> =>
  new Map([[0, { time: timestamp(NOW), space: 10, capacity: '100Mi', ...usage }]]);

describe('the session statistics of a tenant', () => {
  it('are empty before a server has reported', () => {
    expect(observe()).toMatchObject({ fields: {}, pressure: { status: 'Unknown', reason: 'NotMeasured' } });
  });

  it('are the sum of all its servers', () => {
    observe({ replicas: 2 });
    source.set('team/acme-0', { active: 1, loaded: 1, unloaded: 2 });
    source.set('team/acme-1', { active: 2, unloaded: 1 });
    expect(observe({ replicas: 2 }).fields.sessions).toEqual({ active: 3, loaded: 4, total: 7 });
  });

  it('have the last activity, to the minute', () => {
    source.set('team/acme-0', { unloaded: 1, lastActivityTime: NOW + 10 * SECOND });
    expect(observe().fields.lastActivityTime).toBe('2026-01-02T03:04:00Z');
    // Deleting the session that was used last does not change that.
    source.set('team/acme-0', { unloaded: 1, lastActivityTime: NOW - 60 * MINUTE });
    expect(observe({}, { lastActivityTime: timestamp(NOW) }).fields.lastActivityTime).toBe(timestamp(NOW));
  });

  it('have the fullest volume', () => {
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 10 * MI });
    source.set('team/acme-1', { unloaded: 1, sizeBytes: 90 * MI });
    const { fields, pressure } = observe({ replicas: 2 });
    expect(fields.storage).toEqual({ capacity: '100Mi', used: '91Mi' });
    expect(pressure).toMatchObject({ status: 'True', reason: 'VolumeNearlyFull' });
    expect(pressure?.message).toContain('acme-1');
  });
});

describe('the measurement of a volume', () => {
  const usages = measured({ files: 97 });

  it('counts when it is worse than the estimate from the sessions', () => {
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 10 * MI });
    const { fields, pressure } = observe({}, {}, undefined, usages);
    expect(fields.storage).toEqual({ capacity: '100Mi', used: '11Mi' });
    expect(pressure).toMatchObject({
      status: 'True',
      reason: 'VolumeFull',
      message: expect.stringContaining('inodes'),
    });
    expect(observe({}, {}, undefined, measured({})).pressure).toMatchObject({ status: 'False' });
  });

  it('counts without a report of the server only if it is worse', () => {
    const condition = { type: 'StoragePressure', message: '', lastTransitionTime: timestamp(NOW) };
    const full = { conditions: [{ ...condition, status: 'True' as const, reason: 'VolumeFull' }] };
    expect(observe({}, {}, undefined, usages).pressure).toMatchObject({ reason: 'VolumeFull' });
    expect(observe({}, full, undefined, measured({})).pressure).toBeUndefined();
  });

  it('is reported once for a suspended tenant', () => {
    const condition = { type: 'StoragePressure', message: '', lastTransitionTime: timestamp(NOW) };
    const status: CopilotTenantStatus = { conditions: [{ ...condition, status: 'Unknown', reason: 'NotMeasured' }] };
    expect(observe({ suspend: true }, status, undefined, usages).pressure).toMatchObject({ reason: 'VolumeFull' });
    const [volumeUsage] = usages.values();
    if (volumeUsage === undefined) throw new Error('nothing was seen');
    const servers = [{ name: 'acme-0', state: 'Stopped' as const, restarts: 0, volumeUsage }];
    expect(observe({ suspend: true }, { ...status, servers }, undefined, usages).pressure).toBeUndefined();
  });
});

describe('the statistics of an unreachable server', () => {
  it('are unchanged', () => {
    source.set('team/acme-0', { active: 1, sizeBytes: 90 * MI });
    const before = observe();
    source.set('team/acme-0', undefined);
    expect(observe()).toEqual(before);
  });

  it('have no loaded session once its pod is gone, and the same total', () => {
    source.set('team/acme-0', { active: 1, loaded: 2, sizeBytes: 90 * MI });
    const { fields } = observe();
    source.set('team/acme-0', undefined);
    const gone = statistics.observe(sampleTenant(), servers(1, []), new Map(), undefined);
    expect(gone.fields).toEqual({ ...fields, sessions: { ...fields.sessions, active: 0, loaded: 0 } });
  });

  it('are those of the status while no server has reported to this process', () => {
    const status = { sessions: { active: 1, loaded: 1, total: 5 }, storage: { capacity: '100Mi', used: '90Mi' } };
    expect(observe({}, status).fields).toEqual(status);
  });

  it('delay the others for a minute: a total without them would be wrong', async () => {
    const status = { sessions: { active: 0, loaded: 0, total: 5 } };
    const spec = { replicas: 2 };
    observe(spec, status);
    source.set('team/acme-0', { unloaded: 1 });
    expect(observe(spec, status).fields.sessions?.total).toBe(5);
    await clock.advance(MINUTE);
    expect(observe(spec, status).fields.sessions?.total).toBe(1);
  });

  it('do not hide a full volume behind an emptier one', async () => {
    const status = { storage: { capacity: '100Mi', used: '90Mi' } };
    const spec = { replicas: 2 };
    observe(spec, status);
    await clock.advance(MINUTE);
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 10 * MI });
    expect(observe(spec, status).fields.storage).toEqual(status.storage);
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 96 * MI });
    expect(observe(spec, status)).toMatchObject({
      fields: { storage: { used: '97Mi' } },
      pressure: { reason: 'VolumeFull' },
    });
  });

  it.each<[string, CopilotTenantSpecInput]>([
    ['suspended', { suspend: true }],
    ['scaled to zero', { replicas: 0 }],
  ])('of a tenant that is %s keep the total', (_, spec) => {
    const status = { sessions: { active: 1, loaded: 2, total: 5 }, storage: { capacity: '100Mi', used: '90Mi' } };
    const { fields } = observe(spec, status);
    expect(fields).toEqual({ ...status, sessions: { active: 0, loaded: 0, total: 5 } });
  });
});

describe('a cleanup of a tenant that does not run', () => {
  const RUN = { time: timestamp(NOW), job: 'acme-cleanup-1', result: 'Succeeded', kept: 3, deleted: 2 } as const;
  const last = (run: Partial<LastCleanup> = {}): LastCleanup => ({ ...RUN, failuresInARow: 0, ...run });
  const status: CopilotTenantStatus = {
    sessions: { active: 0, loaded: 0, total: 5 },
    lastActivityTime: timestamp(NOW),
    storage: { capacity: '100Mi', used: '90Mi' },
  };

  it.each<[string, CopilotTenantSpecInput]>([
    ['suspended', { suspend: true }],
    ['scaled to zero', { replicas: 0 }],
  ])('sets the number of sessions, and the space in use to unknown: %s', (_, spec) => {
    const { fields, pressure } = observe(spec, status, last());
    expect(fields).toEqual({ sessions: { active: 0, loaded: 0, total: 3 }, lastActivityTime: timestamp(NOW) });
    expect(pressure).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
    // Reported once: then it is unchanged.
    expect(observe(spec, { ...fields, lastCleanup: last() }).fields).toEqual(fields);
  });

  it('sets how full the volume is, if it has measured that', () => {
    const { fields, pressure } = observe({ suspend: true }, status, last(), measured({ space: 70 }));
    expect(fields.storage).toBeUndefined();
    expect(pressure).toMatchObject({ status: 'False', reason: 'EnoughSpace' });
  });

  it.each<[string, CopilotTenantSpecInput, Partial<LastCleanup>]>([
    ['deleted nothing', { suspend: true }, { deleted: 0 }],
    ['was a dry run', { suspend: true }, { dryRun: true }],
    ['failed', { suspend: true }, { result: 'Failed' }],
    ['left no result', { suspend: true }, { kept: undefined, deleted: undefined } as never],
    ['ran while servers were running', {}, {}],
  ])('changes no statistics when it %s', (_, spec, run) => {
    expect(observe(spec, status, last(run)).fields).toEqual(status);
  });

  it('discards earlier reports of servers', () => {
    source.set('team/acme-0', { unloaded: 5, sizeBytes: 18 * MI });
    observe();
    source.set('team/acme-0', undefined);
    const { fields } = observe({ suspend: true }, status, last());
    const resumed = { ...fields, lastCleanup: last() };
    expect(observe({}, resumed).fields).toEqual(fields);
    source.set('team/acme-0', { unloaded: 3, sizeBytes: 10 * MI });
    expect(observe({}, resumed)).toMatchObject({
      fields: { sessions: { total: 3 }, storage: { used: '31Mi' } },
      pressure: { reason: 'EnoughSpace' },
    });
  });
});

describe('a change on a server', () => {
  let woken: number[];
  beforeEach(() => {
    woken = [];
    statistics.onChange(({ namespace, name }, afterMs) => {
      expect({ namespace, name }).toEqual(KEY);
      woken.push(afterMs);
    });
    observe();
    source.set('team/acme-0', { loaded: 1, sizeBytes: MI });
    observe();
    woken.length = 0;
  });

  it('requeues its tenant when statistics change, at most three times a minute', async () => {
    await clock.advance(15 * SECOND);
    source.set('team/acme-0', { active: 1, sizeBytes: MI });
    expect(woken).toEqual([5 * SECOND]);
    await clock.advance(5 * SECOND);
    source.set('team/acme-0', { active: 1, unloaded: 1, sizeBytes: MI });
    expect(woken).toEqual([5 * SECOND, 0]);
    expect(statistics.writeDelayMs(KEY)).toBe(0);
    statistics.statusWritten(sampleTenant());
    expect(statistics.writeDelayMs(KEY)).toBe(20 * SECOND);
  });

  it('requeues its tenant at once when the volume fills up', () => {
    source.set('team/acme-0', { loaded: 1, sizeBytes: 86 * MI });
    expect(woken).toEqual([0]);
  });

  it.each([
    ['the same is reported again', { loaded: 1, sizeBytes: MI }],
    ['a session grows by less than a percent of the volume', { loaded: 1, sizeBytes: MI - 1 }],
    ['the server is unreachable', undefined],
  ])('requeues nothing when %s', (_, report) => {
    source.set('team/acme-0', report);
    expect(woken).toEqual([]);
  });

  it('requeues nothing for a server that was not observed', () => {
    source.set('team/other-0', { active: 1 });
    statistics.forget(KEY);
    source.set('team/acme-0', { active: 3 });
    expect(woken).toEqual([]);
  });
});

describe('statistics that are held back', () => {
  it('are those of the status', () => {
    const status = { sessions: { active: 1, loaded: 1, total: 5 }, lastActivityTime: timestamp(NOW) };
    expect(reportedSessions(sampleTenant({}, {}, status)).fields).toEqual(status);
  });

  it('never hold back that a volume fills up', () => {
    const condition = { type: 'StoragePressure', message: '', lastTransitionTime: timestamp(NOW) };
    const status = { conditions: [{ ...condition, status: 'False' as const, reason: 'EnoughSpace' }] };
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 90 * MI });
    const full = observe({}, status);
    expect(pressureChanged(sampleTenant({}, {}, status), full)).toBe(true);
    source.set('team/acme-0', { unloaded: 1, sizeBytes: 10 * MI });
    expect(pressureChanged(sampleTenant({}, {}, status), observe({}, status))).toBe(false);
  });
});

describe('the clients of a tenant', () => {
  let known: number | undefined;
  let changed: (tenant: NamespacedName) => void;
  const counts: ClientCounts = { get: () => known, idleMs: () => undefined, onChange: (fn) => (changed = fn) };
  beforeEach(() => {
    known = undefined;
    statistics = new SessionStatistics(source, clock, counts);
  });
  const clientsOf = (status: CopilotTenantStatus) => observe({}, status).fields.clients;

  it('are those that the gateway reports, and before that as they were', () => {
    expect(clientsOf({ access: 'Gateway' })).toBeUndefined();
    expect(clientsOf({ access: 'Gateway', clients: 3 })).toBe(3);
    known = 0;
    expect(clientsOf({ access: 'Gateway', clients: 3 })).toBe(0);
  });

  it('are not counted with access Direct, nor without a gateway', () => {
    known = 2;
    expect(clientsOf({ access: 'Direct', clients: 3 })).toBeUndefined();
    statistics = new SessionStatistics(source, clock);
    expect(clientsOf({ access: 'Gateway', clients: 3 })).toBeUndefined();
  });

  it('requeue it when they change, as other statistics do', async () => {
    const woken: number[] = [];
    statistics.onChange((_tenant, afterMs) => woken.push(afterMs));
    observe();
    await clock.advance(15 * SECOND);
    changed(KEY);
    expect(woken).toEqual([5 * SECOND]);
  });
});

describe('the session statistics of servers that share a volume', () => {
  const SHARED = { ...SHARED_STORAGE, replicas: 2 };

  it('count each session once, with what the server says that has most of it', () => {
    observe(SHARED);
    source.set('team/acme-0', { active: 1, loaded: 1, unloaded: 2 });
    source.set('team/acme-1', { active: 1, loaded: 1, unloaded: 2 });
    expect(observe(SHARED).fields.sessions).toEqual({ active: 1, loaded: 2, total: 4 });
  });

  it('are known when one server answers: it lists all', () => {
    observe(SHARED);
    source.set('team/acme-1', { unloaded: 3 });
    expect(observe(SHARED).fields.sessions).toEqual({ active: 0, loaded: 0, total: 3 });
  });

  it('keep the last report while no server answers', () => {
    source.set('team/acme-0', { unloaded: 3 });
    observe(SHARED);
    source.remove('team/acme-0');
    expect(observe(SHARED).fields.sessions).toMatchObject({ total: 3 });
  });

  it('name the volume and no server when that is nearly full', () => {
    const { pressure } = statistics.observe(
      sampleTenant(SHARED),
      servers(2),
      new Map([0, 1].map((index) => [index, { time: timestamp(NOW), space: 90, capacity: '100Mi' }])),
      undefined,
    );
    expect(pressure?.message).toContain('The file system of the volume acme-shared (100Mi) was 90 % full');
  });
});
