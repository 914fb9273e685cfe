// What `sessions.fork` does on real servers, by which it is relayed where all clients are one trust domain: it takes nothing but a session of the
// server, and makes one that is nobody's and not in memory. Where users are kept apart it is denied (methods/table).
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { rulesByIsolation } from '../../../src/gateway/methods/rules.ts';
import { STAMP_KEY, makeStamp, readStamp } from '../../../src/gateway/ownership/stamp.ts';
import { OWNER_LABEL } from '../../../src/resources/session-removal.ts';
import { chat } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { TestModel } from '../../support/model.ts';
import { RawCalls } from '../../support/raw-calls.ts';

const TOKEN = 'token of the server';
const SOURCE = 'source';
const key = { id: 'key', key: randomBytes(32) };
const subject = (sessionId: string) => ({ namespace: 'team', tenant: 'acme', sessionId });

it.each(['Shared', 'SharedTrusted'] as const)('sessions.fork is denied in a tenant with isolation %s', (isolation) => {
  expect(rulesByIsolation()[isolation].ruleOf('sessions.fork')).toMatchObject({ action: 'deny' });
});

describe.each(['cli', 'runtime'] as const)('sessions.fork of the program %s', (binary) => {
  let server: CopilotServer;
  let model: TestModel;
  let calls: RawCalls;
  beforeAll(async () => {
    server = await CopilotServer.start(binary, TOKEN);
    model = await TestModel.start();
    const binding = model.bind(server, TOKEN);
    await chat(binding, { sessionId: SOURCE, prompt: 'hello' });
    calls = await RawCalls.open({ host: server.host, port: server.port, token: TOKEN });
    const { message } = await calls.call('session.resume', { sessionId: SOURCE, provider: binding.provider });
    expect(message.error).toBeUndefined();
    const set = { [STAMP_KEY]: makeStamp(subject(SOURCE), 'alice', key, randomBytes), [OWNER_LABEL]: 'alice' };
    const stamped = await calls.call('session.metadata.updateClientMetadata', { sessionId: SOURCE, set });
    expect(stamped.message.error).toBeUndefined();
  }, 120_000);
  afterAll(async () => {
    calls[Symbol.dispose]();
    model[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  it('makes a session of an id of its own, whatever is stated', async () => {
    const chosen = 'chosen';
    const ids = { newSessionId: chosen, forkSessionId: chosen, id: chosen };
    const { message } = await calls.call('sessions.fork', { sessionId: SOURCE, ...ids });
    const made = (message.result as { sessionId: string }).sessionId;
    expect([made === SOURCE, made === chosen, existsSync(join(server.sessionState, made))]).toEqual([
      false,
      false,
      true,
    ]);
    expect(existsSync(join(server.sessionState, chosen))).toBe(false);
  }, 60_000);

  it('does not load that session, and copies a stamp, which is none of the new session', async () => {
    const { message } = await calls.call('sessions.fork', { sessionId: SOURCE });
    const sessionId = (message.result as { sessionId: string }).sessionId;
    const sent = await calls.call('session.send', { sessionId, prompt: 'to nobody' });
    expect(sent.message.error?.message).toContain('Session not found');
    const stampOf = async (id: string): Promise<unknown> => {
      const found = await calls.call('sessions.getClientMetadata', { sessionIds: [id], keys: [STAMP_KEY] });
      const [entry] = found.message.result as unknown as { metadata: Record<string, unknown> }[];
      return entry?.metadata[STAMP_KEY];
    };
    const stamp = await stampOf(SOURCE);
    expect(readStamp(subject(SOURCE), stamp, [key])).toMatchObject({ owner: 'alice' });
    expect(await stampOf(sessionId)).toBe(stamp);
    // With a stamp that is not valid its label counts for nothing, either: it is nobody's.
    expect(readStamp(subject(sessionId), stamp, [key])).toBeUndefined();
  }, 60_000);

  it('takes no session that is outside of those of the server', async () => {
    cpSync(join(server.sessionState, SOURCE), join(server.sessionState, '../outside'), { recursive: true });
    const outside = ['../outside', `../session-state/${SOURCE}`, join(server.sessionState, '../outside'), '.', '..'];
    for (const sessionId of [...outside, '', 'unknown']) {
      const { message } = await calls.call('sessions.fork', { sessionId });
      expect([sessionId, message.error?.message]).toEqual([
        sessionId,
        expect.stringMatching(/Invalid sessionId|no persisted or in-memory events found/),
      ]);
    }
  }, 60_000);
});
