import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { Disuse, SessionFacts, SessionSource } from '../../../../src/servers/survey/sessions.ts';
import { summaryOf } from '../../../../src/servers/survey/facts.ts';
import { cleanUpServers, cleanUpSharedVolume } from '../../../../src/tenant/cleanup/server-cleanup.ts';
import { UnreachableError } from '../../../../src/copilot/index.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';
import { HOUR, NOW } from '../fixtures.ts';

const session = (sessionId: string, ageMs: number, activity: SessionFacts['activity'] = 'Unloaded'): SessionFacts => ({
  sessionId,
  startTime: NOW - ageMs,
  modifiedTime: NOW - ageMs,
  lastActivityTime: NOW - ageMs,
  sizeBytes: 100,
  activity,
});

/** Servers with these sessions, which record what is deleted. */
function servers(sessions: readonly SessionFacts[], answers: Partial<SessionSource> = {}) {
  const deleted: string[] = [];
  const source = {
    get: () => summaryOf(sessions, NOW),
    activity: () => Promise.resolve('Unloaded' as const),
    deleteUnused: (_key: string, id: string) => {
      deleted.push(id);
      return Promise.resolve('Deleted' as const);
    },
    ...answers,
  };
  const clean = (spec: object = {}, copilotSessions: Parameters<typeof cleanUpServers>[2] = []) =>
    cleanUpServers(
      { source, clock: new FakeClock(NOW) },
      sampleTenant({ sessions: { ttl: '2h', ...spec } }),
      copilotSessions,
      { signal: new AbortController().signal, log: pino({ level: 'silent' }) },
    );
  return { clean, deleted };
}

describe('servers of a tenant whose cleanup run waits', () => {
  it('delete their expired sessions, oldest first, and nothing else', async () => {
    const { clean, deleted } = servers([
      session('old', 5 * HOUR),
      session('older', 9 * HOUR),
      session('young', HOUR),
      session('loaded', 9 * HOUR, 'Loaded'),
      session('in-margin', 2 * HOUR + 1000),
    ]);
    expect(await clean()).toEqual({ deleted: 2, freedBytes: 200, more: false });
    expect(deleted).toEqual(['older', 'old']);
  });

  it('delete a few at a time', async () => {
    const many = Array.from({ length: 12 }, (_, index) => session(`s${index}`, (5 + index) * HOUR));
    expect(await servers(many).clean()).toEqual({ deleted: 10, freedBytes: 1000, more: true });
  });

  it('keep what a client has loaded or used since', async () => {
    const old = [session('old', 5 * HOUR)];
    expect((await servers(old, { activity: () => Promise.resolve('Loaded') }).clean()).deleted).toBe(0);
    expect((await servers(old, { deleteUnused: () => Promise.resolve('InUse') }).clean()).deleted).toBe(0);
  });

  it('delete nothing in a dry run', async () => {
    const { clean, deleted } = servers([session('old', 5 * HOUR)]);
    expect((await clean({ cleanupDryRun: true })).deleted).toBe(0);
    expect(deleted).toEqual([]);
  });

  it('stop at the first failure, without failing the reconcile', async () => {
    const { clean } = servers([session('a', 9 * HOUR), session('b', 5 * HOUR)], {
      deleteUnused: () => Promise.reject(new Error('not connected')),
    });
    expect(await clean()).toEqual({ deleted: 0, freedBytes: 0, more: false });
  });
});

describe('the server that works on a volume which all share', () => {
  /** All servers list the same sessions; `loadedOn`: where each is in memory. */
  function shared(sessions: readonly SessionFacts[], loadedOn: Record<string, string> = {}, silent: string[] = []) {
    const calls: string[] = [];
    const source = {
      get: () => summaryOf(sessions, NOW),
      activity: (key: string, id: string) => {
        calls.push(`activity ${key} ${id}`);
        if (silent.includes(key)) return Promise.reject(new UnreachableError(`${key}: not connected`));
        return Promise.resolve(loadedOn[id] === key ? ('Loaded' as const) : ('Unloaded' as const));
      },
      deleteUnused: (key: string, id: string, { isUnloaded }: Disuse) => {
        // Its server may load it after it was asked.
        if (isUnloaded === true) calls.push(`delete ${key} ${id}`);
        return Promise.resolve('Deleted' as const);
      },
    };
    const tenant = sampleTenant({ ...SHARED_STORAGE, replicas: 2, sessions: { ttl: '2h' } }, {}, { servers: DRAINING });
    const signal = new AbortController().signal;
    const clean = () =>
      cleanUpSharedVolume({ source, clock: new FakeClock(NOW) }, tenant, [], 1, {
        signal,
        log: pino({ level: 'silent' }),
      });
    return { clean, deleted: () => calls.filter((call) => call.startsWith('delete')), calls };
  }
  const DRAINING = [{ name: 'acme-2', state: 'Draining', restarts: 0 } as const];

  it('deletes each expired session once, though every server lists it', async () => {
    const { clean, deleted } = shared([session('old', 5 * HOUR), session('young', HOUR)]);
    expect(await clean()).toEqual({ deleted: 1, freedBytes: 100, more: false });
    expect(deleted()).toEqual(['delete team/acme-1 old']);
  });

  it('keeps what another server has in memory, also one that drains because it was scaled down', async () => {
    const old = [session('a', 5 * HOUR), session('b', 5 * HOUR), session('c', 5 * HOUR)];
    const { clean, deleted } = shared(old, { a: 'team/acme-0', b: 'team/acme-2' });
    expect(await clean()).toMatchObject({ deleted: 1 });
    expect(deleted()).toEqual(['delete team/acme-1 c']);
  });

  it('deletes nothing while another server can’t say what it has in memory', async () => {
    const { clean, deleted } = shared([session('old', 5 * HOUR)], {}, ['team/acme-0']);
    expect(await clean()).toMatchObject({ deleted: 0 });
    expect(deleted()).toEqual([]);
  });

  it('deletes what is loaded by its journal only, because the server that had it crashed', async () => {
    const { clean, deleted } = shared([session('crashed', 5 * HOUR, 'Active')]);
    expect(await clean()).toMatchObject({ deleted: 1 });
    expect(deleted()).toEqual(['delete team/acme-1 crashed']);
  });
});
