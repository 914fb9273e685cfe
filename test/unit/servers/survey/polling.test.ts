import { beforeEach, describe, expect, it } from '@jest/globals';
import { UnreachableError, encodeFrame } from '../../../../src/copilot/index.ts';
import { KEY, World } from './world.ts';

const LIST = 'sessions.list';
const SIZES = 'sessions.getSizes';
const JOURNAL = 'sessions.readPersistedEvents';
const LABELS = 'sessions.getClientMetadata';
let world: World;
beforeEach(() => {
  world = new World();
});

/** Calls of each poll of the next `polls`, in order. */
async function callsByPoll(polls: number, everyMs: number): Promise<Record<string, number>[]> {
  const found: Record<string, number>[] = [];
  for (let waited = 0; found.length < polls && waited < polls * 40_000; waited += everyMs) {
    await world.clock.advance(everyMs);
    const calls = world.calls();
    if (calls[LIST] !== undefined) found.push(calls);
  }
  return found;
}

describe('the bound on calls', () => {
  it('is one list a poll, every 30 s, and the sizes with every other one, while nothing changes', async () => {
    for (let n = 0; n < 50; n += 1) {
      world.sessions.turn(`s${n}`);
      world.survey.watch(KEY, `s${n}`);
    }
    await world.firstPoll();
    const before = world.survey.get(KEY);
    await world.clock.advance(3_600_000);
    const calls = world.calls();
    expect(Object.keys(calls).toSorted()).toEqual([SIZES, LIST]);
    expect(calls[LIST]).toBeGreaterThan(108);
    expect(calls[LIST]).toBeLessThan(134);
    expect(calls[SIZES]).toBeGreaterThan(54);
    expect(calls[SIZES]).toBeLessThan(67);
    expect(world.changes).toEqual([]);
    expect(world.survey.get(KEY)?.sessions).toBe(before?.sessions);
    expect(world.survey.get(KEY)?.at).toBeGreaterThan((before?.at ?? 0) + 3_500_000);
  });

  it('includes the sizes, so that a volume is seen to fill without events, at once after a hint', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    world.sessions.fileBytes = 1_000_000;
    await world.clock.advance(90_000);
    expect(world.survey.get(KEY)?.totalBytes).toBeGreaterThan(1_000_000);
    expect(world.changes).toEqual([[KEY, ['one']]]);
    world.sessions.fileBytes = 2_000_000;
    world.sessions.hint();
    await world.clock.advance(3000);
    expect(world.survey.get(KEY)?.totalBytes).toBeGreaterThan(2_000_000);
  });

  it('is four calls after a turn of one watched session of many', async () => {
    for (let n = 0; n < 50; n += 1) world.sessions.turn(`s${n}`);
    world.survey.watch(KEY, 's7');
    await world.firstPoll();
    world.sessions.turn('s7');
    expect(await callsByPoll(1, 3000)).toEqual([{ [LIST]: 1, [SIZES]: 1, [JOURNAL]: 1, [LABELS]: 1 }]);
  });

  it('is 64 journals a poll, the newest first, and there is no answer before all were read once', async () => {
    const sessions = 300;
    for (let n = 0; n < sessions; n += 1) world.sessions.turn(`s${n}`);
    world.sessions.prompt('newest');
    const read: string[] = [];
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    answers[JOURNAL] = (request) => {
      read.push(String(request.params?.['sessionId']));
      return journal?.(request);
    };
    world.servers.set(world.target());
    const polls = await callsByPoll(4, 100);
    expect(polls.map((calls) => calls[JOURNAL])).toEqual([64, 64, 64, 64]);
    expect(polls.map((calls) => calls[SIZES])).toEqual([1, undefined, undefined, undefined]);
    expect(read.slice(0, 2)).toEqual(['newest', `s${sessions - 1}`]);
    expect(world.survey.get(KEY)).toBeUndefined();
    await world.clock.advance(600);
    expect(world.survey.get(KEY)).toMatchObject({ active: 1, loaded: sessions + 1 });
    expect(world.changes).toHaveLength(1);
    // 301 once, and the one whose turn runs again in the last poll, which had room for it.
    expect(read).toHaveLength(302);
  });

  it('includes each journal in turn, however many turns are running', async () => {
    const running = Array.from({ length: 70 }, (_, n) => `running${n}`);
    for (let n = 0; n < 200; n += 1) world.sessions.turn(`idle${n}`);
    for (const id of running) world.sessions.prompt(id);
    /** All turns that run write events for `ms`. */
    const writeFor = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        for (const id of running) world.sessions.write(id, 'tool.execution_complete');
        await world.clock.advance(500);
      }
    };
    world.servers.set(world.target());
    await writeFor(5000);
    expect(world.survey.get(KEY)).toMatchObject({ active: 70, loaded: 270 });
    const ended = running.splice(0, 2);
    for (const id of ended) world.sessions.answer(id);
    world.sessions.unload('running1');
    world.sessions.unload('idle0');
    await writeFor(5000);
    expect([...ended, 'idle0'].map((id) => world.facts(id)?.activity)).toEqual(['Loaded', 'Unloaded', 'Unloaded']);
  });

  it('holds when one journal ends the connection each time: the others are read before it', async () => {
    world.sessions.turn('other');
    world.sessions.turn('bad');
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    const read: unknown[] = [];
    answers[JOURNAL] = (request) => {
      read.push(request.params?.['sessionId']);
      if (read.at(-1) !== 'bad') return journal?.(request);
      world.server.cut('ECONNRESET');
      return undefined;
    };
    world.servers.set(world.target());
    await world.clock.advance(5000);
    expect(read.slice(0, 2)).toEqual(['bad', 'other']);
  });

  it('is at most 95 calls for journals, also when the last one is too long to be read', async () => {
    world.survey.watch(KEY, 'long');
    for (let turn = 0; turn < 9000; turn += 1) world.sessions.turn('long');
    for (let n = 0; n < 63; n += 1) world.sessions.turn(`s${n}`);
    world.servers.set(world.target());
    expect((await callsByPoll(1, 100))[0]?.[JOURNAL]).toBe(95);
    expect(world.facts('long')).toMatchObject({ activity: 'Loaded', usage: undefined });
  });

  it('holds for turns that hang: each journal is read once more, and then not until it changes', async () => {
    const hanging = Array.from({ length: 50 }, (_, n) => `hangs${n}`);
    world.sessions.turn('idle');
    for (const id of hanging) world.sessions.prompt(id);
    await world.firstPoll();
    expect(await callsByPoll(3, 1000)).toEqual([
      { [LIST]: 1, [JOURNAL]: 50 },
      { [LIST]: 1, [SIZES]: 1 },
      { [LIST]: 1 },
    ]);
    expect(world.survey.get(KEY)).toMatchObject({ active: 50 });
    world.sessions.answer('hangs7');
    await world.clock.advance(3000);
    expect(world.facts('hangs7')?.activity).toBe('Loaded');
    expect(world.calls()[JOURNAL]).toBe(1);
    // The others have ended without an event in the journal.
    world.servers.set(world.target({ startedAt: world.clock.now() }));
    expect(world.survey.get(KEY)).toMatchObject({ active: 0, loaded: 0 });
  });

  it('includes what was written right after a journal was read, at the same mtime', async () => {
    world.sessions.prompt('one');
    await world.firstPoll();
    world.sessions.coarse = true;
    world.sessions.answer('one');
    await world.clock.advance(33_000);
    expect(world.facts('one')?.activity).toBe('Loaded');
  });

  it('holds for any number of hints: two polls are 2 s apart', async () => {
    await world.firstPoll();
    for (let second = 0; second < 60; second += 1) {
      world.survey.refresh(KEY);
      world.sessions.turn('one');
      await world.clock.advance(1000);
    }
    const calls = world.calls();
    expect(calls[LIST]).toBeGreaterThanOrEqual(28);
    expect(calls[LIST]).toBeLessThanOrEqual(30);
  });

  it('leaves busy servers a hundred polls a second, however many they are', async () => {
    for (let n = 0; n < 300; n += 1) world.servers.set(world.target({ key: `team/acme-${n}` }));
    await world.clock.advance(10_000);
    world.calls();
    for (let second = 0; second < 10; second += 1) {
      world.sessions.turn('one');
      await world.clock.advance(1000);
    }
    const calls = world.calls();
    // Each is polled every 3 s now, which is four times in 10 s at most; every 2 s would be five times.
    expect(calls[LIST]).toBeGreaterThanOrEqual(900);
    expect(calls[LIST]).toBeLessThanOrEqual(1200);
  });
});

describe('a hint', () => {
  it('brings the next poll forward to half a second later', async () => {
    await world.firstPoll();
    await world.clock.advance(5000);
    world.calls();
    world.sessions.turn('one');
    await world.clock.advance(450);
    expect(world.calls()).toEqual({});
    await world.clock.advance(100);
    expect(world.calls()[LIST]).toBe(1);
    expect(world.changes).toEqual([[KEY, ['one']]]);
  });

  it('is followed by one more poll five seconds later: the event may not have been on the volume yet', async () => {
    await world.firstPoll();
    await world.clock.advance(5000);
    world.calls();
    world.sessions.hint();
    await world.clock.advance(550);
    expect(world.calls()[LIST]).toBe(1);
    await world.clock.advance(4800);
    expect(world.calls()).toEqual({});
    await world.clock.advance(500);
    expect(world.calls()[LIST]).toBe(1);
    await world.clock.advance(10_000);
    expect(world.calls()).toEqual({});
  });

  it('that comes during a poll is followed by another poll', async () => {
    await world.firstPoll();
    await world.clock.advance(5000);
    const { answers } = world.server;
    const sizes = answers[SIZES];
    answers[SIZES] = (request) => {
      world.sessions.turn('second');
      if (sizes !== undefined) answers[SIZES] = sizes;
      return sizes?.(request);
    };
    world.sessions.turn('first');
    await world.clock.advance(600);
    expect(world.facts('second')).toBeUndefined();
    await world.clock.advance(2000);
    expect(world.facts('second')?.activity).toBe('Loaded');
  });
});

describe('a server whose polls fail', () => {
  it('has no answer; all its sessions are reported once, and again when it is back, and no journal is read again', async () => {
    world.sessions.turn('one');
    world.sessions.turn('two');
    await world.firstPoll();
    world.server.behaviour = 'refuses';
    world.server.cut('ECONNRESET');
    await world.clock.advance(60_000);
    expect(world.survey.get(KEY)).toBeUndefined();
    expect(world.survey.counts()).toEqual({ active: 0, loaded: 0, unloaded: 0 });
    expect(world.changes).toEqual([[KEY, ['one', 'two']]]);
    expect(world.logged).toHaveLength(1);
    world.server.behaviour = 'answers';
    world.calls();
    await world.clock.advance(33_000);
    expect(world.survey.get(KEY)).toMatchObject({ loaded: 2 });
    expect(world.changes).toHaveLength(2);
    expect(world.calls()).toMatchObject({ connect: 1, [LIST]: expect.any(Number) as unknown });
    expect(world.calls()).not.toHaveProperty(JOURNAL);
  });

  it('is dialled again within a second after a lost connection, which is not reported', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    const before = world.survey.get(KEY);
    world.server.cut();
    await world.clock.advance(1);
    // Its last answer is kept, and operations are refused.
    expect(world.survey.get(KEY)).toBe(before);
    await expect(world.survey.close(KEY, 'one')).rejects.toThrow(UnreachableError);
    await world.clock.advance(1000);
    expect(world.survey.get(KEY)?.at).toBeGreaterThan(before?.at ?? 0);
    expect(world.changes).toEqual([]);
  });

  it('because of an event of more than 16 MiB is dialled again, which is not reported', async () => {
    for (let n = 0; n < 3; n += 1) world.sessions.turn(`s${n}`);
    await world.firstPoll();
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    answers[JOURNAL] = (request) => {
      if (request.params?.['sessionId'] !== 's1') return journal?.(request);
      world.server.sendRaw(encodeFrame(' '.repeat(17 * 1024 * 1024)).slice(0, 40));
      return undefined;
    };
    const { dials } = world.server;
    world.sessions.turn('s1');
    await world.clock.advance(5000);
    expect(world.server.dials).toBeGreaterThan(dials);
    expect(world.survey.get(KEY)?.loaded).toBe(3);
    expect(world.changes).toEqual([[KEY, ['s1']]]);
  });

  it('at the same journal each time has an answer all the same', async () => {
    for (let n = 0; n < 3; n += 1) world.sessions.turn(`s${n}`);
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    answers[JOURNAL] = (request) => {
      if (request.params?.['sessionId'] !== 's1') return journal?.(request);
      world.server.cut('ECONNRESET');
      return undefined;
    };
    world.servers.set(world.target());
    await world.clock.advance(20_000);
    expect(world.survey.get(KEY)).toMatchObject({ active: 0, loaded: 3 });
  });

  it('and that was restarted meanwhile runs no turn, which needs no poll', async () => {
    world.sessions.turn('quiet');
    world.sessions.prompt('busy');
    await world.firstPoll();
    world.server.behaviour = 'refuses';
    world.server.cut();
    await world.clock.advance(5000);
    expect(world.survey.get(KEY)).toMatchObject({ active: 1, loaded: 2 });
    world.servers.set(world.target({ startedAt: world.clock.now() }));
    expect(world.survey.get(KEY)).toMatchObject({ active: 0, loaded: 0 });
    expect(world.changes.map(([, ids]) => ids.toSorted())).toEqual([['busy', 'quiet']]);
  });

  it('and that was restarted has loaded only sessions with an event since', async () => {
    world.sessions.turn('quiet');
    world.sessions.prompt('busy');
    await world.firstPoll();
    await world.clock.advance(5000);
    world.servers.set(world.target({ startedAt: world.clock.now() }));
    await world.clock.advance(3000);
    expect(['quiet', 'busy'].map((id) => world.facts(id)?.activity)).toEqual(['Unloaded', 'Unloaded']);
    world.sessions.prompt('busy');
    await world.clock.advance(3000);
    expect(world.facts('busy')?.activity).toBe('Active');
  });

  it.each([
    ['a wrong token', () => world.target({ token: 'old' })],
    ['a name that does not resolve', () => world.target({ host: 'nowhere' })],
  ])('because of %s is polled as soon as that is corrected', async (_, wrong) => {
    world.servers.set(wrong());
    await world.clock.advance(60_000);
    expect(world.survey.get(KEY)).toBeUndefined();
    expect(world.changes).toEqual([]);
    world.servers.set(world.target());
    await world.clock.advance(100);
    expect(world.survey.get(KEY)).toBeDefined();
    expect(JSON.stringify(world.logged)).not.toContain('"old"');
  });

  it.each([LIST, SIZES, LABELS])(
    'because of an invalid answer to %s is polled again an interval later',
    async (method) => {
      world.sessions.turn('one');
      world.survey.watch(KEY, 'one');
      const { answers } = world.server;
      const right = answers[method];
      answers[method] = () => ({ result: 'nonsense' });
      world.servers.set(world.target());
      await world.clock.advance(100);
      expect(world.survey.get(KEY)).toBeUndefined();
      if (right !== undefined) answers[method] = right;
      await world.clock.advance(33_000);
      expect(world.facts('one')).toMatchObject({ sizeBytes: 500, usage: { turns: 1 }, labels: {} });
    },
  );

  it('has no answer after a second message of more than 16 MiB, which is not read', async () => {
    await world.firstPoll();
    world.server.answers[LIST] = () => {
      world.server.sendRaw(encodeFrame(' '.repeat(17 * 1024 * 1024)).slice(0, 40));
      return undefined;
    };
    await world.clock.advance(33_000);
    expect(world.survey.get(KEY)).toBeDefined();
    expect(world.server.wires.size).toBe(0);
    await world.clock.advance(33_000);
    expect(world.survey.get(KEY)).toBeUndefined();
    expect(world.server.wires.size).toBe(0);
  });
});

describe('a journal that can not be read', () => {
  it.each([
    ['is damaged', () => ({ error: { code: -32603, message: 'Failed to read persisted events' } })],
    ['is an answer that is none', () => ({ result: 'nonsense' })],
    ['is never sent', () => undefined],
  ])('because it %s keeps no other from being read, and is skipped for ten minutes', async (_, answer) => {
    world.sessions.turn('good');
    world.sessions.turn('bad');
    world.survey.watch(KEY, 'bad');
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    let reads = 0;
    answers[JOURNAL] = (request) => {
      if (request.params?.['sessionId'] !== 'bad') return journal?.(request);
      reads += 1;
      return answer();
    };
    world.servers.set(world.target());
    await world.clock.advance(60_000);
    const { modifiedTime } = world.facts('bad') ?? {};
    expect(world.facts('good')?.activity).toBe('Loaded');
    expect(world.facts('bad')).toMatchObject({ activity: 'Loaded', lastActivityTime: modifiedTime, usage: undefined });
    const before = reads;
    await world.clock.advance(500_000);
    expect(reads).toBe(before);
    if (journal !== undefined) answers[JOURNAL] = journal;
    await world.clock.advance(120_000);
    expect(world.facts('bad')?.usage?.turns).toBe(1);
  });

  it('but for its last event shows an unload all the same', async () => {
    world.sessions.turn('one');
    world.sessions.unload('one');
    world.survey.watch(KEY, 'one');
    const { answers } = world.server;
    const journal = answers[JOURNAL];
    answers[JOURNAL] = (request) =>
      request.params?.['max'] === 1 ? journal?.(request) : { error: { code: -32603, message: 'Failed to read' } };
    await world.firstPoll();
    expect(world.facts('one')).toMatchObject({ activity: 'Unloaded', usage: { turns: 1 } });
  });
});

describe('the survey', () => {
  it('leaves nothing behind of a removed server', async () => {
    world.sessions.turn('one');
    await world.firstPoll();
    world.servers.remove(KEY);
    world.servers.remove(KEY);
    await world.clock.advance(60_000);
    expect([world.server.wires.size, world.clock.pendingTimers, world.calls()]).toEqual([0, 0, {}]);
    expect(world.survey.get(KEY)).toBeUndefined();
    // Listeners are notified, once, that its sessions are unknown.
    expect(world.changes).toEqual([[KEY, ['one']]]);
  });

  it.each([
    ['while it is dialled', 'blackhole'],
    ['while its answer is awaited', 'silent'],
    ['while the next try is awaited', 'refuses'],
  ] as const)('lets a server be removed %s', async (_, behaviour) => {
    world.server.behaviour = behaviour;
    world.servers.set(world.target());
    await world.clock.advance(1000);
    world.servers.remove(KEY);
    const { dials } = world.server;
    await world.clock.advance(60_000);
    expect([world.server.wires.size, world.clock.pendingTimers, world.server.dials]).toEqual([0, 0, dials]);
  });

  it('may have a server removed by the listener that it notifies', async () => {
    world.survey.onChange((key) => world.servers.remove(key));
    world.servers.set(world.target());
    await world.clock.advance(60_000);
    expect([world.server.wires.size, world.clock.pendingTimers]).toEqual([0, 0]);
  });

  it('does nothing when it is set again with equal values', async () => {
    await world.firstPoll();
    for (let again = 0; again < 10; again += 1) world.servers.set(world.target());
    await world.clock.advance(10_000);
    expect(world.calls()).toEqual({});
  });

  it('notifies all listeners, also when one of them throws, and logs that', async () => {
    const broken = new Error('broken');
    const other: string[] = [];
    world.survey.onChange(() => {
      throw broken;
    });
    world.survey.onChange((key) => other.push(key));
    world.servers.set(world.target());
    await world.clock.advance(100);
    expect(other).toEqual([KEY]);
    expect(world.errors).toMatchObject([[{ err: broken, server: KEY }, expect.any(String)]]);
  });

  it('observes each complete poll', async () => {
    await world.firstPoll();
    await world.clock.advance(33_000);
    expect(world.observed).toHaveLength(2);
    world.server.cut();
    world.server.behaviour = 'refuses';
    await world.clock.advance(60_000);
    expect(world.observed).toHaveLength(2);
  });

  it('closes everything at the end', async () => {
    for (let n = 0; n < 50; n += 1) world.servers.set(world.target({ key: `team/acme-${n}` }));
    await world.clock.advance(1000);
    expect(world.server.wires.size).toBe(50);
    world.servers.close();
    await world.clock.advance(60_000);
    expect([world.server.wires.size, world.clock.pendingTimers]).toEqual([0, 0]);
    expect(() => world.servers.set(world.target())).toThrow(`set(${KEY}) after close()`);
  });

  it('dials a thousand servers 200 a second', async () => {
    for (let n = 0; n < 1000; n += 1) world.servers.set(world.target({ key: `team/acme-${n}` }));
    const dials: number[] = [];
    for (let second = 0; second < 6; second += 1) {
      const before = world.server.dials;
      await world.clock.advance(1000);
      dials.push(world.server.dials - before);
    }
    expect(Math.max(...dials)).toBeLessThanOrEqual(221);
    expect(world.server.dials).toBe(1000);
  });
});
