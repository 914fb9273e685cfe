// The survey against the real Copilot CLI and the light runtime: what it finds of their sessions, and by how many calls.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { approveAll, type CopilotSession, type SessionConfig } from '@github/copilot-sdk';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { RpcError, dialTcp, type Dial, type SessionActivity } from '../../../src/copilot/index.ts';
import type { SessionFacts } from '../../../src/servers/survey/sessions.ts';
import { systemClock, type Clock } from '../../../src/kube/clock/clock.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { chat, withClient, type Binding } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { TestModel } from '../../support/model.ts';
import { serverTarget } from '../../support/servers.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const token = 'f3b1c0ffee';
const KEY = 'team/acme-0';
const SWEEPER = join(import.meta.dirname, '../../support/sweeper-process.ts');
const socketsBefore = openSockets();

/** A clock that runs `times` as fast for the survey, whose polls are 2 s apart. */
function hurried(times: number): Clock {
  return {
    ...systemClock,
    monotonic: () => systemClock.monotonic() * times,
    setTimer: (ms, fn) => systemClock.setTimer(ms / times, fn),
  };
}

function sessionConfig({ model = '', provider }: Binding): SessionConfig {
  return { onPermissionRequest: approveAll, model, ...(provider !== undefined && { provider }) };
}

describe.each(['cli', 'runtime'] as const)('the sessions of a real server (%s)', (binary) => {
  let server: CopilotServer;
  let model: TestModel;
  let binding: Binding;
  let startedAt: number;
  const registries: ServerRegistry[] = [];
  /** Calls by method, of all surveys of a test. */
  let calls: Record<string, number> = {};

  beforeAll(async () => {
    model = await TestModel.start();
    startedAt = Date.now();
    server = await CopilotServer.start(binary, token);
    binding = model.bind(server, token);
  }, 90_000);
  afterEach(() => {
    for (const registry of registries.splice(0)) registry.close();
    calls = {};
  });
  afterAll(async () => {
    model[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });

  const dial: Dial = (address, events) => {
    const wire = dialTcp(address, events);
    return {
      ...wire,
      write: (frame) => {
        const method = /"method":"([^"]+)"/.exec(frame)?.[1] ?? '';
        calls[method] = (calls[method] ?? 0) + 1;
        return wire.write(frame);
      },
    };
  };

  const target = () => serverTarget({ host: server.host, port: server.port, token, startedAt });

  function survey(times = 3): Survey {
    const servers = new ServerRegistry({ clock: hurried(times), random: Math.random, dial });
    const made = new Survey({
      servers,
      labelKeys: ['example.com/owner'],
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
    });
    registries.push(servers);
    servers.set(target());
    return made;
  }

  function until(from: Survey, id: string, what: string, is: (facts: SessionFacts) => boolean): Promise<SessionFacts> {
    const check = () => {
      const facts = from.get(KEY)?.sessions.get(id);
      if (facts === undefined || !is(facts)) throw new Error(`it is ${JSON.stringify(facts)}`);
      return facts;
    };
    return waitFor(`session ${id} ${what}`, check, { withinMs: 20_000 });
  }
  const becomes = (from: Survey, id: string, activity: SessionActivity) =>
    until(from, id, `becomes ${activity}`, (facts) => facts.activity === activity);

  /** Runs `use` while a client is attached to the session, or to a new one. */
  async function attached(id: string | undefined, use: (session: CopilotSession) => Promise<void>): Promise<void> {
    await withClient(binding, async (client) => {
      const config = sessionConfig(binding);
      const session = await (id === undefined ? client.createSession(config) : client.resumeSession(id, config));
      await use(session);
    });
  }

  /** A prompt whose answer is slow; the turn runs until it is complete. */
  async function slowPrompt(): Promise<string> {
    const word = randomUUID();
    await model.say({ match: word, steps: [{ text: 'one two three', delayMs: 20_000, chunks: 3 }] });
    return `Take your time: ${word}`;
  }

  it('appear after a turn with size, turns and tokens, Loaded while attached and Unloaded after', async () => {
    const seen = survey();
    const begun = Date.now() - 1000;
    let id = '';
    await attached(undefined, async (session) => {
      id = session.sessionId;
      seen.watch(KEY, id);
      await session.sendAndWait({ prompt: 'hello' });
      const facts = await until(seen, id, 'has a turn', ({ usage }) => usage?.turns === 1);
      expect(facts).toMatchObject({ activity: 'Loaded', labels: {} });
      expect(facts.usage?.inputTokens).toBeGreaterThan(0);
      expect(facts.startTime).toBeGreaterThan(begun);
      await session.sendAndWait({ prompt: 'and again' });
      await until(seen, id, 'has two turns', ({ usage }) => usage?.turns === 2);
    });
    const facts = await becomes(seen, id, 'Unloaded');
    expect(facts.usage?.turns).toBe(2);
    expect(facts.sizeBytes).toBeGreaterThan(1000);
    expect(facts.lastActivityTime).toBeGreaterThan(begun);
    expect(facts.lastActivityTime).toBeLessThanOrEqual(facts.modifiedTime);
    // The server's own total, which the unload wrote, agrees with what was added up before it.
    await chat(binding, { prompt: 'a third', resume: id });
    await until(seen, id, 'has three turns', ({ usage, activity }) => usage?.turns === 3 && activity === 'Unloaded');
  }, 60_000);

  it('are Active while the model answers, and closed in the middle of it', async () => {
    const seen = survey();
    const prompt = await slowPrompt();
    await attached(undefined, async (session) => {
      const id = session.sessionId;
      seen.watch(KEY, id);
      await session.send({ prompt });
      await becomes(seen, id, 'Active');
      expect(await seen.activity(KEY, id)).toBe('Active');
      await seen.close(KEY, id);
      expect(await seen.activity(KEY, id)).toBe('Unloaded');
      const facts = await becomes(seen, id, 'Unloaded');
      // An interrupted prompt was never answered, and the server does not count it.
      expect(facts.usage).toEqual({ turns: 0, inputTokens: 0, outputTokens: 0 });
      await seen.close(KEY, id);
    });
    await seen.close(KEY, 'never-was');
  }, 60_000);

  it('have the tokens of their tool calls and sub-agents counted, and one turn', async () => {
    const seen = survey();
    const [main, sub] = [randomUUID(), randomUUID()];
    const task = {
      description: 'look',
      prompt: `${sub} look`,
      agent_type: 'general-purpose',
      name: 'sub',
      mode: 'sync',
    };
    await model.say({ match: sub, steps: [{ text: 'looked' }] });
    await model.say({ match: main, steps: [{ toolCall: { name: 'task', arguments: task } }, { text: 'done' }] });
    await attached(undefined, async (session) => {
      const id = session.sessionId;
      seen.watch(KEY, id);
      await session.sendAndWait({ prompt: main });
      const summed = await until(
        seen,
        id,
        'is Loaded',
        ({ activity, usage }) => activity === 'Loaded' && usage?.turns === 1,
      );
      await seen.close(KEY, id);
      const total = await becomes(seen, id, 'Unloaded');
      expect(summed.usage).toEqual(total.usage);
    });
  }, 60_000);

  it('are labelled while they are loaded, and the label is read afterwards', async () => {
    const seen = survey();
    let id = '';
    await attached(undefined, async (session) => {
      id = session.sessionId;
      seen.watch(KEY, id);
      await session.sendAndWait({ prompt: 'hello' });
      await becomes(seen, id, 'Loaded');
      expect(await seen.label(KEY, id, { 'example.com/owner': 'ann' })).toBe(true);
    });
    const facts = await becomes(seen, id, 'Unloaded');
    expect(facts.labels).toEqual({ 'example.com/owner': 'ann' });
    expect(await seen.label(KEY, id, { 'example.com/owner': 'eve' })).toBe(false);
    expect(await seen.label(KEY, 'never-was', { 'example.com/owner': 'eve' })).toBe(false);
  }, 60_000);

  it('take the longest list of participants that a CopilotSession may have', async () => {
    const longest = Array.from({ length: 60 }, (_, n) => `${n}`.padStart(256, 'x')).join(',');
    const seen = survey();
    await attached(undefined, async (session) => {
      seen.watch(KEY, session.sessionId);
      await session.sendAndWait({ prompt: 'hello' });
      expect(await seen.label(KEY, session.sessionId, { 'example.com/owner': longest })).toBe(true);
      const facts = await until(
        seen,
        session.sessionId,
        'has it',
        ({ labels }) => labels?.['example.com/owner'] !== undefined,
      );
      expect(facts.labels?.['example.com/owner']).toBe(longest);
      const tooLong = { 'example.com/owner': 'x'.repeat(16 * 1024 + 1) };
      await expect(seen.label(KEY, session.sessionId, tooLong)).rejects.toThrow(RpcError);
    });
  }, 60_000);

  it('are not deleted as unused after a later turn or before they expire, and are afterwards', async () => {
    const seen = survey();
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    const { modifiedTime, lastActivityTime } = await becomes(seen, sessionId, 'Unloaded');
    const minute = 60_000;
    const young = { modifiedTime, expiresAt: lastActivityTime + minute };
    expect(await seen.deleteUnused(KEY, sessionId, young)).toBe('InUse');
    const former = { modifiedTime: modifiedTime - 1, expiresAt: lastActivityTime };
    expect(await seen.deleteUnused(KEY, sessionId, former)).toBe('InUse');
    expect(await seen.deleteUnused(KEY, sessionId, { modifiedTime, expiresAt: lastActivityTime })).toBe('Deleted');
  }, 60_000);

  it('do not show as loaded again before they are used, but can be labelled', async () => {
    const seen = survey();
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    await becomes(seen, sessionId, 'Unloaded');
    await attached(sessionId, async () => {
      const at = seen.get(KEY)?.at ?? 0;
      seen.refresh(KEY);
      await waitFor('another poll', () => (seen.get(KEY)?.at ?? 0) > at);
      expect(seen.get(KEY)?.sessions.get(sessionId)?.activity).toBe('Unloaded');
      expect(await seen.label(KEY, sessionId, { 'example.com/owner': 'ann' })).toBe(true);
    });
  }, 60_000);

  it('are deleted once, also when loaded', async () => {
    const seen = survey();
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    await becomes(seen, sessionId, 'Unloaded');
    expect(await seen.delete(KEY, sessionId)).toBe('Deleted');
    expect(await seen.delete(KEY, sessionId)).toBe('NotFound');
    await waitFor('the deleted session is gone', () => seen.get(KEY)?.sessions.has(sessionId) === false);
    await attached(undefined, async (session) => {
      await session.sendAndWait({ prompt: 'hello' });
      expect(await seen.delete(KEY, session.sessionId)).toBe('Deleted');
    });
  }, 60_000);

  it('that had no turn leave an empty lock file when they are deleted, and nothing else', async () => {
    const seen = survey();
    const left = (id: string) =>
      readdirSync(server.sessionState, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes(id));
    await waitFor('the server was polled', () => seen.get(KEY) !== undefined);
    let detached = '';
    await attached(undefined, async ({ sessionId }) => {
      expect(left(sessionId)).toContain(`${sessionId}/workspace.yaml`);
      expect(await seen.delete(KEY, sessionId)).toBe('Deleted');
      expect(left(sessionId)).toEqual([`.session-operation-locks/${sessionId}.lock`]);
    });
    await attached(undefined, async ({ sessionId }) => {
      detached = sessionId;
    });
    expect(left(detached)).toContain(`${detached}/workspace.yaml`);
    expect(await seen.delete(KEY, detached)).toBe('Deleted');
    expect(left(detached)).toEqual([`.session-operation-locks/${detached}.lock`]);
  }, 60_000);

  it('are created, used and deleted as ever while what deletions leave is swept all the time', async () => {
    const seen = survey();
    await waitFor('the server was polled', () => seen.get(KEY) !== undefined);
    const sweeper = spawn(process.execPath, [SWEEPER, server.sessionState], { stdio: ['ignore', 'pipe', 'inherit'] });
    const swept = text(sweeper.stdout);
    // Each id is created again at once, when the lock of the one before may just be removed.
    const ids = ['swept-a', 'swept-b', 'swept-c'];
    const left = () => readdirSync(server.sessionState, { recursive: true }).filter((path) => path.includes('swept-'));
    try {
      const lives = ids.map(async (id) => {
        for (let round = 0; round < 8; round += 1) {
          const { answer } = await chat(binding, { prompt: 'hello', sessionId: id });
          expect(answer).not.toBe('');
          expect(await seen.delete(KEY, id)).toBe('Deleted');
        }
      });
      await Promise.all(lives);
      await waitFor('all locks are swept', () => left().length === 0);
    } finally {
      sweeper.kill('SIGTERM');
    }
    // After the last deletions at most one each: the others were removed while their ids were in use.
    expect(Number(await swept)).toBeGreaterThan(3 * ids.length);
  }, 120_000);

  it('with a damaged journal are read as far as possible, and keep no other from being read', async () => {
    const { sessionId: good } = await chat(binding, { prompt: 'hello' });
    const { sessionId: cut } = await chat(binding, { prompt: 'hello' });
    const { sessionId: torn } = await chat(binding, { prompt: 'hello' });
    const { sessionId: sparse } = await chat(binding, { prompt: 'hello' });
    const journal = (id: string) => join(server.sessionState, id, 'events.jsonl');
    const lines = readFileSync(journal(cut), 'utf8').trimEnd().split('\n');
    // As after a full volume or a kill: the last line is incomplete.
    writeFileSync(journal(cut), `${lines.slice(0, -1).join('\n')}\n${lines.at(-1)?.slice(0, 100)}`);
    writeFileSync(journal(torn), [lines[0], lines[1]?.slice(0, 100), ...lines.slice(2), ''].join('\n'));
    truncateSync(journal(sparse), 100_000_000);
    const seen = survey();
    for (const id of [good, cut, torn, sparse]) seen.watch(KEY, id);
    await until(seen, sparse, 'is read', ({ usage }) => usage?.turns === 1);
    const turns = [good, cut, torn, sparse].map((id) => seen.get(KEY)?.sessions.get(id));
    expect(turns.map((facts) => facts?.usage?.turns)).toEqual([1, 1, 1, 1]);
    expect(turns.map((facts) => facts?.activity)).toEqual(['Unloaded', 'Loaded', 'Unloaded', 'Unloaded']);
    expect(seen.get(KEY)?.sessions.get(sparse)?.sizeBytes).toBeGreaterThan(100_000_000);
  }, 60_000);

  it('with a journal of 500 MB, or an event over the limit, cost a few calls', async () => {
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    const journal = join(server.sessionState, sessionId, 'events.jsonl');
    const event = (characters: number) => {
      const id = randomUUID();
      const data = { messageId: id, content: 'x'.repeat(characters), toolRequests: [] };
      const timestamp = new Date().toISOString();
      return `${JSON.stringify({ type: 'assistant.message', data, id, timestamp, parentId: null })}\n`;
    };
    const megabyte = event(100_000).repeat(10);
    for (let megabytes = 0; megabytes < 500; megabytes += 25) appendFileSync(journal, megabyte.repeat(25));
    const seen = survey();
    seen.watch(KEY, sessionId);
    const facts = await until(seen, sessionId, 'is read', ({ sizeBytes }) => sizeBytes > 500_000_000);
    // The last total is 500 MB back: no usage rather than a wrong one.
    expect(facts).toMatchObject({ activity: 'Active', usage: undefined });
    expect(calls['sessions.readPersistedEvents']).toBeLessThan(120);

    const { at } = seen.get(KEY) ?? { at: 0 };
    const { connect = 0 } = calls;
    appendFileSync(journal, event(20_000_000));
    seen.refresh(KEY);
    await waitFor('the server is dialled again', () => (calls['connect'] ?? 0) > connect, {
      withinMs: 20_000,
    });
    await waitFor('it answers again', () => (seen.get(KEY)?.at ?? 0) > at, { withinMs: 20_000 });
    const again = survey();
    expect((await until(again, sessionId, 'is skipped', () => true)).activity).toBe('Loaded');
    expect(await again.delete(KEY, sessionId)).toBe('Deleted');
  }, 120_000);

  it('are not loaded after the server was killed during a turn', async () => {
    const seen = survey();
    const prompt = await slowPrompt();
    await attached(undefined, async (session) => {
      const id = session.sessionId;
      await session.sendAndWait({ prompt: 'hello' });
      await session.send({ prompt });
      await becomes(seen, id, 'Active');
      await server.kill();
      await waitFor('the polls have failed', () => seen.get(KEY) === undefined, { withinMs: 30_000 });
      startedAt = Date.now();
      await server.start();
      registries[0]?.set(target());
      await becomes(seen, id, 'Unloaded');
    });
  }, 90_000);

  it('are 3,000 on one server, and known within the bound on calls', async () => {
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    const from = join(server.sessionState, sessionId);
    // Without the system prompt, which is most of it.
    const journal = readFileSync(join(from, 'events.jsonl'), 'utf8').replace(/^\{"type":"system\.message".*\n/m, '');
    const workspace = readFileSync(join(from, 'workspace.yaml'), 'utf8');
    const ids = Array.from({ length: 3000 }, () => randomUUID());
    ids.forEach((id, index) => {
      const to = join(server.sessionState, id);
      mkdirSync(to);
      writeFileSync(join(to, 'events.jsonl'), journal.replaceAll(sessionId, id));
      writeFileSync(join(to, 'workspace.yaml'), workspace.replaceAll(sessionId, id));
      utimesSync(join(to, 'events.jsonl'), Date.now() / 1000, Date.now() / 1000 - index);
    });
    // 64 journals every half a second are some 25 s for all.
    const startedAt = performance.now();
    const seen = survey(5);
    for (const id of ids) seen.watch(KEY, id);
    await waitFor('all are known', () => ids.every((id) => seen.get(KEY)?.sessions.get(id)?.usage?.turns === 1), {
      withinMs: 150_000,
      everyMs: 200,
    });
    const polls = calls['sessions.list'] ?? 0;
    expect(polls).toBeGreaterThanOrEqual(47);
    // Every 50 s of a clock that is five times as fast, and once after a hint.
    expect(calls['sessions.getSizes']).toBeLessThanOrEqual(2 + (performance.now() - startedAt) / 10_000);
    expect(calls['sessions.readPersistedEvents']).toBeLessThan(3100);
    expect(calls['sessions.getClientMetadata']).toBeLessThanOrEqual(3 * 5);
    // Without changes it is the list, and the sizes now and then.
    calls = {};
    await waitFor('two more polls', () => (calls['sessions.list'] ?? 0) >= 2, { withinMs: 30_000 });
    const { 'sessions.list': _lists, 'sessions.getSizes': sizes = 0, ...others } = calls;
    expect(others).toEqual({});
    expect(sizes).toBeLessThanOrEqual(1);
  }, 240_000);
});

describe('a session of a real server with an idle timeout', () => {
  it('is unloaded although the server is polled all the time', async () => {
    using model = await TestModel.start();
    await using server = await CopilotServer.start('runtime', token, ['--session-idle-timeout', '6']);
    const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
    const seen = new Survey({
      servers,
      labelKeys: ['example.com/owner'],
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
    });
    try {
      servers.set(serverTarget({ host: server.host, port: server.port, token, startedAt: Date.now() - 60_000 }));
      const binding = model.bind(server, token);
      await withClient(binding, async (client) => {
        const session = await client.createSession(sessionConfig(binding));
        seen.watch(KEY, session.sessionId);
        await session.sendAndWait({ prompt: 'hello' });
        await waitFor(
          'the session is unloaded',
          () => {
            seen.refresh(KEY);
            return seen.get(KEY)?.sessions.get(session.sessionId)?.activity === 'Unloaded';
          },
          { withinMs: 40_000, everyMs: 500 },
        );
      });
    } finally {
      servers.close();
    }
  }, 90_000);
});
