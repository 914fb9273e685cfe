import { beforeEach, describe, expect, it } from '@jest/globals';
import type { SurveyTarget } from '../../../src/copilot/index.ts';
import { Survey } from '../../../src/survey/survey.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';
import { FakeSessions } from '../../support/fake-sessions.ts';

const KEY = 'team/acme-0';
let clock: FakeClock;
let network: FakeNetwork;
let server: FakeServer;
let sessions: FakeSessions;
let survey: Survey;
let told: [string, readonly string[]][];
let errors: unknown[];
let observed: number[];

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  server = network.add('acme-0');
  sessions = new FakeSessions(server, clock);
  errors = [];
  observed = [];
  // The same sequence in every run; any will do.
  let seed = 1;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  survey = new Survey({
    clock,
    random,
    dial: network.dial,
    labelKeys: ['owner'],
    log: { info: () => undefined, error: (...args: unknown[]) => errors.push(args) },
    observePoll: (ms) => observed.push(ms),
  });
  told = [];
  survey.onChange((key, ids) => told.push([key, ids]));
});

const target = (changes: Partial<SurveyTarget> = {}): SurveyTarget => ({
  key: KEY,
  host: 'acme-0',
  port: 4321,
  token: 'sesame',
  startedAt: Date.UTC(2025, 11, 31),
  ...changes,
});
const facts = (id: string) => survey.get(KEY)?.sessions.get(id);
/** Calls since the last time it was asked, by method. */
function calls(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method = '' } of server.received.splice(0)) counts[method] = (counts[method] ?? 0) + 1;
  return counts;
}

async function look(): Promise<void> {
  survey.set(target());
  await clock.advance(100);
  expect(survey.get(KEY)).toBeDefined();
  calls();
  told = [];
}

describe('what is known of sessions', () => {
  it('is nothing until the first answer, and then who, when, how big and what they do', async () => {
    sessions.turn('idle');
    sessions.unload('idle');
    sessions.turn('loaded');
    sessions.prompt('busy');
    expect(survey.get(KEY)).toBeUndefined();
    survey.set(target());
    expect(survey.get(KEY)).toBeUndefined();
    await clock.advance(100);
    expect(survey.get(KEY)).toMatchObject({ active: 1, loaded: 2, totalBytes: 1400, at: expect.any(Number) as number });
    expect(['idle', 'loaded', 'busy'].map((id) => facts(id)?.activity)).toEqual(['Unloaded', 'Loaded', 'Active']);
    expect(facts('idle')).toMatchObject({ sessionId: 'idle', sizeBytes: 600, usage: undefined, labels: undefined });
    expect(told.map(([key, ids]) => [key, ids.toSorted()])).toEqual([[KEY, ['busy', 'idle', 'loaded']]]);
    expect(JSON.stringify([...(survey.get(KEY)?.sessions.values() ?? [])])).not.toContain('words');
  });

  it('is told of a server without sessions too', async () => {
    survey.set(target());
    await clock.advance(100);
    expect(survey.get(KEY)).toMatchObject({ active: 0, loaded: 0, totalBytes: 0 });
    expect(told).toEqual([[KEY, []]]);
  });

  it('takes the last turn for the last activity, and not the unload', async () => {
    sessions.turn('one');
    const turnEnded = clock.now();
    await clock.advance(60_000);
    sessions.unload('one');
    await look();
    expect(facts('one')).toMatchObject({ lastActivityTime: turnEnded, modifiedTime: clock.now() - 100 });
  });

  it('goes back beyond fifty loads and unloads for the last turn', async () => {
    sessions.turn('one');
    const turnEnded = clock.now();
    for (let n = 0; n < 60; n += 1) {
      sessions.write('one', 'session.resume');
      sessions.unload('one');
    }
    await look();
    expect(facts('one')).toMatchObject({ lastActivityTime: turnEnded, activity: 'Unloaded' });
  });

  it('never dates an activity later than the file', async () => {
    sessions.turn('one');
    server.answers['sessions.readPersistedEvents'] = () => ({
      result: {
        events: [{ id: 'e', type: 'user.message', timestamp: '2199-01-01T00:00:00Z', data: {} }],
        cursor: 'c',
        hasMore: false,
        cursorStatus: 'ok',
      },
    });
    await look();
    expect(facts('one')?.lastActivityTime).toBe(facts('one')?.modifiedTime);
  });

  it('is told as it changes, and only what changes', async () => {
    sessions.turn('other');
    sessions.turn('one');
    await look();
    const before = facts('other');
    sessions.prompt('one');
    await clock.advance(3000);
    expect(facts('one')?.activity).toBe('Active');
    sessions.answer('one');
    await clock.advance(3000);
    expect(facts('one')?.activity).toBe('Loaded');
    sessions.unload('one');
    await clock.advance(3000);
    expect(facts('one')?.activity).toBe('Unloaded');
    sessions.lose('one');
    await clock.advance(33_000);
    expect(survey.get(KEY)?.sessions.size).toBe(1);
    expect(told).toEqual([1, 2, 3, 4].map(() => [KEY, ['one']]));
    expect(facts('other')).toBe(before);
  });

  it('counts each session once, over all servers that answer', async () => {
    sessions.turn('loaded');
    sessions.prompt('busy');
    sessions.turn('idle');
    sessions.unload('idle');
    await look();
    survey.set(target({ key: 'team/gone', host: 'nowhere' }));
    survey.set(target({ key: 'team/too' }));
    await clock.advance(100);
    expect(survey.counts()).toEqual({ active: 2, loaded: 2, unloaded: 2 });
  });
});

describe('usage and labels', () => {
  it('are read for watched sessions only, also when watched before either is there', async () => {
    survey.watch(KEY, 'one');
    survey.watch(KEY, 'later');
    sessions.turn('one');
    sessions.turn('other');
    await look();
    expect(facts('one')).toMatchObject({ usage: { turns: 1, inputTokens: 10, outputTokens: 5 }, labels: {} });
    expect(facts('other')).toMatchObject({ usage: undefined, labels: undefined });
    sessions.turn('later');
    await clock.advance(3000);
    expect(facts('later')?.usage?.turns).toBe(1);
  });

  it('are read when a known session is watched, and no longer given when it is unwatched', async () => {
    sessions.turn('one');
    sessions.unload('one');
    await look();
    survey.watch(KEY, 'one');
    await clock.advance(3000);
    expect(facts('one')?.usage?.turns).toBe(1);
    expect(told).toEqual([[KEY, ['one']]]);
    survey.unwatch(KEY, 'one');
    sessions.turn('one');
    await clock.advance(3000);
    expect(facts('one')?.usage).toBeUndefined();
    survey.watch(KEY, 'one');
    await clock.advance(3000);
    expect(facts('one')?.usage?.turns).toBe(2);
  });

  it('grow with each turn, over unloads, and only the new events are read', async () => {
    survey.watch(KEY, 'one');
    // Some 8,000 events without a total of the server's own.
    for (let n = 0; n < 2000; n += 1) sessions.turn('one');
    survey.set(target());
    await clock.advance(100);
    expect(facts('one')?.usage).toEqual({ turns: 2000, inputTokens: 20_000, outputTokens: 10_000 });
    expect(calls()['sessions.readPersistedEvents']).toBe(9);
    for (const turns of [2001, 2002, 2003]) {
      sessions.turn('one');
      if (turns === 2002) sessions.unload('one');
      await clock.advance(3000);
      expect(facts('one')?.usage).toEqual({ turns, inputTokens: turns * 10, outputTokens: turns * 5 });
      expect(calls()['sessions.readPersistedEvents']).toBe(1);
    }
  });

  it('are unknown for a journal that is too long to be read, which is tried once, until the server writes a total', async () => {
    survey.watch(KEY, 'one');
    for (let n = 0; n < 9000; n += 1) sessions.turn('one');
    survey.set(target());
    await clock.advance(100);
    expect(facts('one')).toMatchObject({ activity: 'Loaded', usage: undefined });
    expect(calls()['sessions.readPersistedEvents']).toBe(32);
    sessions.turn('one');
    await clock.advance(3000);
    expect(facts('one')?.usage).toBeUndefined();
    expect(calls()['sessions.readPersistedEvents']).toBe(1);
    sessions.unload('one');
    await clock.advance(3000);
    expect(facts('one')?.usage?.turns).toBe(9001);
  });

  it('are stored while the session is loaded, and read back', async () => {
    survey.watch(KEY, 'one');
    sessions.turn('one');
    await look();
    expect(await survey.label(KEY, 'one', { owner: 'ann' })).toBe(true);
    await clock.advance(3000);
    expect(facts('one')?.labels).toEqual({ owner: 'ann' });
    sessions.unload('one');
    expect(await survey.label(KEY, 'one', { owner: 'eve' })).toBe(false);
    await clock.advance(3000);
    expect(facts('one')?.labels).toEqual({ owner: 'ann' });
  });
});
