import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { SessionFacts, SessionSource } from '../../../../src/servers/survey/sessions.ts';
import { summaryOf } from '../../../../src/servers/survey/facts.ts';
import { cleanUpServers } from '../../../../src/tenant/cleanup/server-cleanup.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { sampleTenant } from '../../../support/tenants.ts';
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
