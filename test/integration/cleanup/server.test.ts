// The command `cleanup` through real servers, with real chats.
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { approveAll } from '@github/copilot-sdk';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createModelServer } from '../../model/server.ts';
import { chat, withClient, type Binding } from '../../support/chat.ts';
import { age, CleanupRun, DAY, putMany, putSession, runCleanup, temporaryVolume } from '../../support/cleanup.ts';
import { CopilotServer } from '../../support/copilot-server.ts';

const token = 'f3b1c0ffee';

jest.setTimeout(120_000);

describe.each(['cli', 'runtime'] as const)('a cleanup through a real server (%s)', (binary) => {
  let server: CopilotServer;
  let model: Server;
  let binding: Binding;

  beforeAll(async () => {
    server = await CopilotServer.start(binary, token);
    model = createModelServer().listen(0, '127.0.0.1');
    await once(model, 'listening');
    const baseUrl = `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`;
    const provider = { type: 'openai', baseUrl, apiKey: 'unused' } as const;
    binding = { host: server.host, port: server.port, token, model: 'test-model', provider };
  });
  afterEach(async () => {
    for (const name of await readdir(server.sessionState)) {
      await rm(join(server.sessionState, name), { recursive: true, force: true });
    }
  });
  afterAll(async () => {
    model.closeAllConnections();
    model.close();
    await server[Symbol.asyncDispose]();
  });

  const throughServer = (...args: string[]) => ['--ttl=168h', `--server=acme-0=${server.host}:${server.port}`, ...args];
  const cleanup = (...args: string[]) => runCleanup(throughServer(...args), { token });
  const directory = (id: string) => join(server.sessionState, id);
  const names = async () => (await readdir(server.sessionState)).filter((name) => !name.startsWith('.')).toSorted();

  /** A session that has had a turn, so long ago. */
  async function chatted(ageMs: number): Promise<string> {
    const { sessionId } = await chat(binding, { prompt: 'hello' });
    age(directory(sessionId), ageMs);
    return sessionId;
  }

  it('deletes the sessions that are older than the TTL, and no others', async () => {
    const [old, young] = [await chatted(8 * DAY), await chatted(6 * DAY)];
    const { code, result, log } = await cleanup();
    expect(result).toMatchObject({ result: 'Succeeded', kept: 1, deleted: 1, errors: 0, sessions: [old] });
    expect(result?.freedBytes).toBeGreaterThan(1000);
    expect(code).toBe(0);
    expect(await names()).toEqual([young]);
    expect(log.find(({ msg }) => msg === 'deleted')).toMatchObject({ target: 'acme-0', session: old });
    // No line has the users' text.
    expect(JSON.stringify(log)).not.toContain('hello');
  });

  it('keeps a loaded session, even one without a turn since, and deletes it once it is unloaded', async () => {
    const id = await chatted(8 * DAY);
    await withClient(binding, async (client) => {
      const { model: name = '', provider } = binding;
      const config = { onPermissionRequest: approveAll, model: name, ...(provider && { provider }) };
      const session = await client.resumeSession(id, config);
      const { code, result } = await cleanup();
      expect([code, result?.kept, result?.deleted]).toEqual([0, 1, 0]);
      expect(existsSync(directory(id))).toBe(true);
      await session.disconnect();
    });
    age(directory(id), 8 * DAY);
    expect((await cleanup()).result).toMatchObject({ kept: 0, deleted: 1, sessions: [id] });
  });

  it('keeps what policies keep, and deletes nothing in a dry run', async () => {
    const [kept, old] = [await chatted(8 * DAY), await chatted(8 * DAY)];
    const file = join(server.sessionState, '.policies.json');
    await writeFile(file, JSON.stringify({ sessions: { [kept]: { keep: true } } }));
    const dry = await cleanup(`--policies=${file}`, '--dry-run');
    expect(dry.result).toMatchObject({ dryRun: true, kept: 1, deleted: 1, sessions: [old] });
    expect(await names()).toHaveLength(2);
    const real = await cleanup(`--policies=${file}`);
    expect(real.result).toEqual({ ...dry.result, dryRun: false });
    expect(await names()).toEqual([kept]);
  });

  it('deletes sessions with a truncated or a huge journal, and no foreign directories', async () => {
    await using outside = await temporaryVolume();
    const [old, cut, huge] = [await chatted(0), 'cut', 'huge'];
    const foreign = ['a.b', '.copilot-operator-deleted', 'with blank'];
    for (const name of [cut, huge, ...foreign]) await cp(directory(old), directory(name), { recursive: true });
    await cp(directory(old), join(outside.path, 'session'), { recursive: true });
    await symlink(join(outside.path, 'session'), directory('linked'));
    await truncate(join(directory(cut), 'events.jsonl'), 10);
    await truncate(join(directory(huge), 'events.jsonl'), 500e6);
    for (const name of [old, cut, huge, ...foreign]) age(directory(name), 8 * DAY);
    age(join(outside.path, 'session'), 8 * DAY);
    const { code, result } = await cleanup();
    expect(result?.message).toBeUndefined();
    expect([code, result?.deleted]).toEqual([0, 3]);
    expect(await readdir(server.sessionState)).toEqual(expect.arrayContaining([...foreign, 'linked']));
    expect(existsSync(join(outside.path, 'session/events.jsonl'))).toBe(true);
  });

  it('sweeps the volume of a running server, but no loaded session without a turn', async () => {
    const old = await chatted(8 * DAY);
    putSession(server.sessionState, 'stub', { ageMs: 8 * DAY, journal: null });
    putSession(server.sessionState, 'gone', { ageMs: 8 * DAY });
    await rm(directory('gone'), { recursive: true });
    await withClient(binding, async (client) => {
      const { model: name = '', provider } = binding;
      const config = { onPermissionRequest: approveAll, model: name, ...(provider && { provider }) };
      await client.createSession({ ...config, sessionId: 'waiting' });
      putSession(server.sessionState, 'waiting', { ageMs: 8 * DAY, journal: null });
      for (const file of await readdir(directory('waiting'))) {
        if (file.startsWith('inuse')) await rm(join(directory('waiting'), file));
      }
      putSession(server.sessionState, 'waiting', { ageMs: 8 * DAY, journal: null });
      const { code, result } = await cleanup(`--volume=acme-0=${server.sessionState}`);
      // Including the lock of the deleted one.
      expect(result).toMatchObject({ result: 'Succeeded', deleted: 1, sessions: [old], sweptFiles: 3 });
      expect(code).toBe(0);
      expect(await names()).toEqual(['waiting']);
    });
    expect(existsSync(join(server.sessionState, '.session-operation-locks/gone.lock'))).toBe(false);
  });

  it('tolerates another run at the same time', async () => {
    putMany(server.sessionState, 40, (i) => (i % 10 === 0 ? 0 : 8 * DAY));
    const outcomes = await Promise.all([cleanup(), cleanup()]);
    for (const { code, result } of outcomes) expect([code, result?.errors, result?.message]).toEqual([0, 0, undefined]);
    expect(await names()).toHaveLength(4);
  });

  it('fails when the server is killed during the run, and finishes in the next one', async () => {
    putMany(server.sessionState, 60, (i) => (i % 30 === 0 ? 0 : 8 * DAY));
    const run = new CleanupRun(throughServer(), { token });
    await run.logged('deleted');
    await server.kill();
    const { code, result } = await run.ended;
    expect([code, result?.result]).toEqual([1, 'Failed']);
    expect(result?.message).toContain('the server closed the connection');
    // While the server is down, its volume is not changed: the server may be back at any moment.
    const down = await cleanup(`--volume=acme-0=${server.sessionState}`);
    expect(down.result).toMatchObject({ result: 'Failed', deleted: 0, sweptFiles: 0 });
    expect(down.result?.message).toContain('nothing listens on the port');
    await server.start();
    const next = await cleanup();
    expect(next.result).toMatchObject({ result: 'Succeeded', kept: 2 });
    expect(await names()).toEqual(['s-0', 's-30']);
  });

  it('fails with the wrong token, and does not show it', async () => {
    await chatted(8 * DAY);
    const { code, result, log } = await runCleanup(throughServer(), { token: 'not-the-token' });
    expect([code, result?.errors]).toEqual([1, 1]);
    expect(result?.message).toContain('the server refused the connection token');
    expect(JSON.stringify(log)).not.toContain('not-the-token');
  });

  it('deletes one session of any age, and its remains on the volume', async () => {
    const [one, other] = [await chatted(0), await chatted(90 * DAY)];
    const target = [`--server=a-0=${server.host}:${server.port}`, `--volume=a-0=${server.sessionState}`];
    const first = await runCleanup([`--delete-session=${one}`, ...target], { token });
    expect(first.result).toMatchObject({ result: 'Succeeded', deleted: 1, sessions: [one] });
    expect(await names()).toEqual([other]);
    expect(existsSync(join(server.sessionState, '.session-operation-locks', `${one}.lock`))).toBe(false);
    const again = await runCleanup([`--delete-session=${one}`, ...target], { token });
    expect(again.result).toMatchObject({ result: 'Succeeded', deleted: 0, errors: 0 });
  });

  it('handles 3,000 sessions', async () => {
    putMany(server.sessionState, 3000, (i) => (i % 100 === 0 ? 8 * DAY : DAY));
    const { code, result } = await cleanup();
    expect([code, result?.kept, result?.deleted]).toEqual([0, 2970, 30]);
    expect(await names()).toHaveLength(2970);
  });
});
