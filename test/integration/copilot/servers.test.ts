// The protocol against the real Copilot CLI and the light runtime, as child processes.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import {
  AuthFailedError,
  Client,
  RpcError,
  TimeoutError,
  UnreachableError,
  WRITE_CHECK_ID,
  findWriteError,
  getSessionSizes,
  getStatus,
  listSessions,
  ping,
  type CopilotError,
} from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { createModelServer } from '../../model/server.ts';
import { chat } from '../../support/chat.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { readOnlyMount } from '../../support/small-disk.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';

const token = 'f3b1c0ffee';
const timeoutMs = 10_000;

describe.each(['cli', 'runtime'] as const)('a real server (%s)', (binary) => {
  let server: CopilotServer;
  const connections: Client[] = [];
  const socketsBefore = openSockets();

  beforeAll(async () => {
    server = await CopilotServer.start(binary, token);
  }, 90_000);
  afterEach(() => {
    for (const connection of connections.splice(0)) connection.close();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  function connection(presented: string | undefined, port = server.port): Client {
    const options = { host: server.host, port, timers: systemClock };
    const made = new Client(presented === undefined ? options : { ...options, token: presented });
    connections.push(made);
    return made;
  }

  async function opened(): Promise<Client> {
    const made = connection(token);
    await made.open({ timeoutMs });
    return made;
  }

  it('answers with its version, and pings, to the right token', async () => {
    const open = await opened();
    expect(await getStatus(open, { timeoutMs })).toEqual({ version: cliVersion(), protocolVersion: 3 });
    expect(await ping(open, { timeoutMs })).toEqual({ protocolVersion: 3 });
  });

  it('answers many pings at once, each to its own request', async () => {
    const open = await opened();
    const pongs = await Promise.all(Array.from({ length: 200 }, () => ping(open, { timeoutMs })));
    expect(pongs).toHaveLength(200);
  });

  it.each([
    ['a wrong token', 'wrong'],
    ['an empty token', ''],
    ['no token', undefined],
  ])('is AuthFailed with %s, and the connection is closed', async (_, presented) => {
    const refused = connection(presented);
    await expect(refused.open({ timeoutMs })).rejects.toThrow(AuthFailedError);
    expect(refused.closed).toBe(true);
  });

  it('answers an unknown method with an error, and the connection stays open', async () => {
    const open = await opened();
    const error = await open.request('no.such.method', {}, { timeoutMs }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: -32601 });
    await ping(open, { timeoutMs });
  });

  it('can write, which the check shows and leaves one empty file for, however often', async () => {
    const open = await opened();
    const notified: unknown[] = [];
    const other = new Client({
      host: server.host,
      port: server.port,
      token,
      timers: systemClock,
      onNotification: (method, params) => notified.push([method, params]),
    });
    connections.push(other);
    await other.open({ timeoutMs });
    expect(await findWriteError(open, { timeoutMs })).toBeUndefined();
    expect(await findWriteError(open, { timeoutMs })).toBeUndefined();
    await ping(other, { timeoutMs });
    // The CLI notifies clients that the id was deleted, the runtime does not.
    const deletion = ['session.lifecycle', { type: 'session.deleted', sessionId: WRITE_CHECK_ID }];
    expect(notified).toEqual(binary === 'cli' ? [deletion, deletion] : []);
    const files = readdirSync(server.sessionState, { recursive: true });
    expect(files).toEqual(['.session-operation-locks', '.session-operation-locks/copilot-operator-write-check.lock']);
    expect(await listSessions(open, { timeoutMs })).toEqual([]);
  });

  it('cannot write once its volume is read-only, and can again when that ends', async () => {
    const open = await opened();
    expect(await findWriteError(open, { timeoutMs })).toBeUndefined();
    {
      using _readOnly = readOnlyMount(server.sessionState);
      expect(await findWriteError(open, { timeoutMs })).toBe('EROFS');
      expect(readdirSync(server.sessionState)).toEqual(['.session-operation-locks']);
      await ping(open, { timeoutMs });
    }
    expect(await findWriteError(open, { timeoutMs })).toBeUndefined();
  });

  it('lists the session of a chat with its times and its size', async () => {
    const open = await opened();
    expect(await listSessions(open, { timeoutMs })).toEqual([]);
    const model = createModelServer().listen(0, '127.0.0.1');
    await once(model, 'listening');
    try {
      const baseUrl = `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`;
      const provider = { type: 'openai', baseUrl, apiKey: 'unused' } as const;
      const begun = Date.now();
      const binding = { host: server.host, port: server.port, token, model: 'test-model', provider };
      const { sessionId } = await chat(binding, { prompt: 'hello' });
      const [session, ...others] = await listSessions(open, { timeoutMs });
      expect(others).toEqual([]);
      expect(Object.keys(session ?? {}).toSorted()).toEqual(['modifiedTime', 'sessionId', 'startTime']);
      expect(session?.sessionId).toBe(sessionId);
      expect(Date.parse(session?.modifiedTime ?? '')).toBeGreaterThan(begun - 1000);
      const sizes = await getSessionSizes(open, { timeoutMs });
      expect([...sizes.keys()]).toEqual([sessionId]);
      expect(sizes.get(sessionId)).toBeGreaterThan(1000);
    } finally {
      model.closeAllConnections();
      model.close();
    }
  }, 60_000);

  it('is Timeout while it is paused, for an open connection and for a new one, and answers again afterwards', async () => {
    const open = await opened();
    await server.freeze();
    try {
      await expect(ping(open, { timeoutMs: 300 })).rejects.toThrow(TimeoutError);
      await expect(connection(token).open({ timeoutMs: 300 })).rejects.toThrow(TimeoutError);
    } finally {
      server.thaw();
    }
    // The late answer to the ping that timed out comes first, and is dropped.
    expect(await ping(open, { timeoutMs })).toEqual({ protocolVersion: 3 });
  });

  it('answers a process that itself was paused beyond the deadline', async () => {
    const open = await opened();
    const answer = ping(open, { timeoutMs: 200 });
    const until = performance.now() + 2000;
    while (performance.now() < until);
    expect(await answer).toEqual({ protocolVersion: 3 });
  });

  it('is Unreachable once it is killed, for open requests and for later ones', async () => {
    const victim = await CopilotServer.start(binary);
    try {
      const lost: CopilotError[] = [];
      // This one was started without a token, and accepts any client.
      const options = { host: victim.host, port: victim.port, timers: systemClock };
      const open = new Client({ ...options, onLost: (error) => lost.push(error) });
      connections.push(open);
      await open.open({ timeoutMs });
      await victim.freeze();
      const waiting = ping(open, { timeoutMs }).catch((error: unknown) => error);
      await victim.kill();
      const error = await waiting;
      expect(error).toBeInstanceOf(UnreachableError);
      expect(lost).toEqual([error]);
      await expect(ping(open, { timeoutMs })).rejects.toBe(error);
      await expect(connection(undefined, victim.port).open({ timeoutMs })).rejects.toThrow(
        'nothing listens on the port',
      );
    } finally {
      await victim[Symbol.asyncDispose]();
    }
  }, 90_000);

  it('has no socket of ours after close()', async () => {
    const [first, second] = [await opened(), await opened()];
    await socketsLeft(socketsBefore + 2);
    first.close();
    second.close();
    await socketsLeft(socketsBefore);
  });
});
