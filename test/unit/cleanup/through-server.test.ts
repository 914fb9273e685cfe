import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { Context } from '../../../src/cleanup/context.ts';
import { StoppedError } from '../../../src/cleanup/failure.ts';
import { CleanupReport } from '../../../src/cleanup/report.ts';
import { cleanUpServer } from '../../../src/cleanup/through-server.ts';
import { Client } from '../../../src/copilot/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TTL = 7 * DAY;

let clock: FakeClock;
let server: FakeServer;
let connection: Client;
let context: Context;
/** mtimes by id, as the server knows them. */
let sessions: Map<string, number>;
/** How far the server's clock is ahead. */
let ahead: number;
let stop: AbortController;
let logged: string[];

beforeEach(async () => {
  clock = new FakeClock();
  stop = new AbortController();
  logged = [];
  const log = pino({}, { write: (line) => logged.push(line) });
  context = { clock, log, stop: stop.signal, report: new CleanupReport(false, log) };
  sessions = new Map();
  ahead = 0;
  const network = new FakeNetwork();
  server = network.add('acme-0');
  const iso = (ms: number) => new Date(ms).toISOString();
  const entry = (id: string) => ({ sessionId: id, startTime: iso(0), modifiedTime: iso(sessions.get(id) ?? 0) });
  server.answers['ping'] = () => ({ result: { timestamp: iso(clock.now() + ahead) } });
  server.answers['sessions.list'] = () => ({ result: { sessions: [...sessions.keys()].map(entry) } });
  server.answers['sessions.getSizes'] = () => ({
    result: { sizes: Object.fromEntries([...sessions.keys()].map((id) => [id, 1000])) },
  });
  server.answers['sessions.getMetadata'] = (request) => {
    const id = String(request.params?.['sessionId']);
    return { result: sessions.has(id) ? { session: entry(id) } : {} };
  };
  server.answers['session.metadata.activity'] = () => ({
    error: { code: -32603, message: 'Request session.metadata.activity failed with message: Session not found: x' },
  });
  server.answers['session.delete'] = (request) => ({
    result: { success: sessions.delete(String(request.params?.['sessionId'])) },
  });
  connection = new Client({ host: 'acme-0', port: 4321, token: 'sesame', timers: clock, dial: network.dial });
  await connection.open({ timeoutMs: 1000 });
});
afterEach(() => connection.close());

const put = (id: string, age: number) => sessions.set(id, clock.now() - age);
const cleanUp = () => cleanUpServer('acme-0', connection, { ttlMs: TTL, policies: new Map() }, context);
const deleted = () => server.calls('session.delete');

describe('a cleanup through a server', () => {
  it('checks the old sessions, and deletes them one by one', async () => {
    put('old', 8 * DAY);
    put('older', 9 * DAY);
    put('young', DAY);
    await cleanUp();
    expect([...sessions.keys()]).toEqual(['young']);
    expect(context.report.result()).toMatchObject({ result: 'Succeeded', kept: 1, deleted: 2, freedBytes: 2000 });
    expect(server.calls('session.metadata.activity')).toBe(2);
  });

  it('reads the list and no more while all are young', async () => {
    put('young', DAY);
    await cleanUp();
    expect(server.received.map(({ method }) => method)).toEqual(['connect', 'ping', 'sessions.list']);
  });

  it.each([
    ['is loaded', { result: { hasActiveWork: false } }],
    ['has a running turn', { result: { hasActiveWork: true } }],
  ])('keeps a session that %s', async (_, answer) => {
    put('old', 8 * DAY);
    server.answers['session.metadata.activity'] = () => answer;
    await cleanUp();
    expect(deleted()).toBe(0);
    expect(context.report.result()).toMatchObject({ result: 'Succeeded', kept: 1, deleted: 0 });
  });

  it('keeps a session that was used after the list was read', async () => {
    put('old', 8 * DAY);
    put('used', 8 * DAY);
    const sizes = server.answers['sessions.getSizes'];
    server.answers['sessions.getSizes'] = (request) => {
      put('used', 0);
      return sizes?.(request) ?? {};
    };
    await cleanUp();
    expect([...sessions.keys()]).toEqual(['used']);
  });

  it.each([-32_601, -32_603])('deletes all the same when the server does not report sizes (%d)', async (code) => {
    put('old', 8 * DAY);
    server.answers['sessions.getSizes'] = () => ({ error: { code, message: 'no' } });
    await cleanUp();
    expect(context.report.result()).toMatchObject({ result: 'Succeeded', deleted: 1, freedBytes: 0, errors: 0 });
    expect(logged.join()).toContain('the server does not report the sizes of its sessions');
  });

  it.each(['sessions.getMetadata', 'session.metadata.activity'])(
    'keeps a session that may be in use, and says why, without %s',
    async (method) => {
      put('old', 8 * DAY);
      server.answers[method] = () => ({ error: { code: -32_601, message: 'no' } });
      await cleanUp();
      expect(deleted()).toBe(0);
      expect(context.report.result()).toMatchObject({ deleted: 0, errors: 1 });
      expect(JSON.stringify(context.report.result())).toContain(`${method} failed with error -32601`);
    },
  );

  it('does not count one that was deleted meanwhile', async () => {
    put('old', 8 * DAY);
    const sizes = server.answers['sessions.getSizes'];
    server.answers['sessions.getSizes'] = (request) => {
      sessions.clear();
      return sizes?.(request) ?? {};
    };
    await cleanUp();
    expect(context.report.result()).toMatchObject({ result: 'Succeeded', kept: 0, deleted: 0, errors: 0 });
  });

  it.each([
    [
      'is used by another process',
      { result: { success: false, error: 'old-1 is "currently" in use' } },
      'the server did not delete session old-1: "..."',
      'in use',
    ],
    [
      'can not be deleted',
      { error: { code: -32603, message: 'the disk is broken' } },
      'session.delete failed with error -32603 "..."',
      'the disk is broken',
    ],
    [
      'is still there',
      { result: { success: true } },
      'the server reported the session as deleted, but still has it',
      'still has it',
    ],
  ])('fails for a session that %s, and continues with the next', async (_, answer, reason, said) => {
    put('old-1', 8 * DAY);
    put('old-2', 8 * DAY);
    const remove = server.answers['session.delete'];
    server.answers['session.delete'] = (request) =>
      request.params?.['sessionId'] === 'old-1' ? answer : (remove?.(request) ?? {});
    await cleanUp();
    const { result, errors, message, sessions: ids } = context.report.result();
    expect([result, errors, ids]).toEqual(['Failed', 1, ['old-2']]);
    expect(message).toMatch(/^acme-0: session old-1: /);
    expect(message).toContain(reason);
    // The server's text is in the log only: its agent may have written it.
    expect(message).not.toMatch(/currently|in use|disk/);
    expect(logged.filter((line) => line.includes(said))).toHaveLength(1);
  });

  it.each([
    ['ahead', 10 * 60_000],
    ['days ahead, as a server may claim to have sessions deleted', 30 * DAY],
    ['behind', -10 * 60_000],
  ])('keeps a session within its TTL when the clock of the server is %s', async (_, skew) => {
    ahead = skew;
    // The server's clock wrote the time.
    sessions.set('young', clock.now() + Math.min(skew, 10 * 60_000) - TTL + 1000);
    sessions.set('young-by-ours', clock.now() - TTL + 1000);
    await cleanUp();
    expect(deleted()).toBe(0);
  });

  it('stops before the next deletion on a signal', async () => {
    put('old-1', 8 * DAY);
    put('old-2', 8 * DAY);
    const remove = server.answers['session.delete'];
    server.answers['session.delete'] = (request) => {
      stop.abort();
      return remove?.(request) ?? {};
    };
    await expect(cleanUp()).rejects.toThrow(StoppedError);
    expect([...sessions.keys()]).toEqual(['old-2']);
  });
});
