import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Client,
  ProtocolError,
  RefusedError,
  RpcError,
  closeSession,
  deleteSession,
  getActivity,
  getClientMetadata,
  getSessionSizes,
  getSessionTimes,
  listSessions,
  readJournal,
  updateClientMetadata,
} from '../../../src/copilot/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';

const options = { timeoutMs: 1000 };
let server: FakeServer;
let connection: Client;

beforeEach(async () => {
  const network = new FakeNetwork();
  server = network.add('acme-0');
  connection = new Client({
    host: 'acme-0',
    port: 4321,
    token: 'sesame',
    timers: new FakeClock(),
    dial: network.dial,
  });
  await connection.open(options);
});
afterEach(() => connection.close());

/** Makes the server answer `method` with `result`, or with an error when that is a string. */
function answer(method: string, result: unknown): void {
  server.answers[method] = () =>
    typeof result === 'string'
      ? { error: { code: -32603, message: `Request ${method} failed with message: ${result}` } }
      : { result };
}
const paramsOf = (method: string) =>
  server.received.filter((message) => message.method === method).map(({ params }) => params);

describe('listing sessions', () => {
  it.each([
    ['no list', { sessions: {} }],
    ['an id that is no text', { sessions: [{ sessionId: 7, startTime: '2026-01-01', modifiedTime: '2026-01-01' }] }],
    ['a time that is none', { sessions: [{ sessionId: 'x', startTime: '2026-01-01', modifiedTime: 'yesterday' }] }],
  ])('refuses %s', async (_, result) => {
    answer('sessions.list', result);
    await expect(listSessions(connection, options)).rejects.toThrow(ProtocolError);
  });

  it('leaves out directories that an agent made, under names that no session has', async () => {
    const times = { startTime: '2026-01-01T00:00:00Z', modifiedTime: '2026-01-02T00:00:00Z' };
    const ids = ['../x', 'a.b', '.deleted', 'with blank', '', 'x'.repeat(256), 'chat_1'];
    answer('sessions.list', { sessions: ids.map((sessionId) => ({ sessionId, ...times })) });
    expect(await listSessions(connection, options)).toEqual([{ sessionId: 'chat_1', ...times }]);
    answer('sessions.getSizes', { sizes: Object.fromEntries(ids.map((id, bytes) => [id, bytes])) });
    expect([...(await getSessionSizes(connection, options))]).toEqual([['chat_1', 6]]);
  });

  it('reads the size of every session that has a name, __proto__ included', async () => {
    answer('sessions.getSizes', { sizes: JSON.parse('{"__proto__": 5, "constructor": 6, "chat_1": 7}') as unknown });
    expect([...(await getSessionSizes(connection, options))]).toEqual([
      ['__proto__', 5],
      ['constructor', 6],
      ['chat_1', 7],
    ]);
  });
});

describe('reading a journal', () => {
  const method = 'sessions.readPersistedEvents';
  const page = (events: unknown) => ({ events, cursor: 'c1', hasMore: true, cursorStatus: 'ok' });
  const event = (type: string, data: unknown, more: object = {}) => ({
    id: 'e1',
    type,
    timestamp: '2026-01-01T00:00:01.000Z',
    parentId: null,
    data,
    ...more,
  });
  const read = () => readJournal(connection, { sessionId: 's1', max: 50 }, options);

  it('requests the end, and what is before by the cursor', async () => {
    answer(method, page([]));
    expect(await read()).toEqual({ events: [], cursor: 'c1', hasMore: true });
    await readJournal(connection, { sessionId: 's1', max: 1000, cursor: 'c1' }, options);
    expect(paramsOf(method)).toEqual([
      { sessionId: 's1', direction: 'backward', max: 50 },
      { sessionId: 's1', direction: 'backward', max: 1000, cursor: 'c1' },
    ]);
  });

  it('reads no text of the user or the model', async () => {
    answer(method, page([event('user.message', { content: 'my secret', messageId: 'm' }, { agentId: 'a1' })]));
    const { events } = await read();
    expect(events).toEqual([{ id: 'e1', type: 'user.message', at: Date.UTC(2026, 0, 1, 0, 0, 1), agent: 'a1' }]);
  });

  it('takes the usage of a call, and counts a prompt at its first one', async () => {
    const call = (usage: object) => event('session.usage_record', { usage });
    answer(
      method,
      page([
        call({ inputTokens: 19, outputTokens: 11, initiator: 'user', model: 'm' }),
        call({ inputTokens: 20, outputTokens: 12, initiator: 'agent' }),
        call({ initiator: 'sub-agent', parentToolCallId: 'call_1' }),
      ]),
    );
    expect((await read()).events.map(({ usage }) => usage)).toEqual([
      { of: 'one', turns: 1, inputTokens: 19, outputTokens: 11 },
      { of: 'one', turns: 0, inputTokens: 20, outputTokens: 12 },
      { of: 'one', turns: 0, inputTokens: 0, outputTokens: 0 },
    ]);
  });

  it.each(['session.shutdown', 'session.usage_checkpoint'])('takes the total of %s over all models', async (type) => {
    const metrics = (inputTokens: number, outputTokens: number) => ({ usage: { inputTokens, outputTokens } });
    const accountingSnapshot = {
      totalUserRequests: 3,
      modelMetrics: { 'gpt-x': metrics(10, 1), other: metrics(5, 2) },
    };
    answer(method, page([event(type, { accountingSnapshot })]));
    expect((await read()).events[0]?.usage).toEqual({ of: 'total', turns: 3, inputTokens: 15, outputTokens: 3 });
  });

  it.each([
    ['null', null],
    ['a list', []],
    ['no id', event('abort', {}, { id: 5 })],
    ['a type with spaces', event('my words', {})],
    ['no time', event('abort', {}, { timestamp: 'noon' })],
  ])('passes over %s among the events', async (_, garbage) => {
    answer(method, page([garbage, event('abort', 'no object')]));
    expect((await read()).events.map(({ type }) => type)).toEqual(['abort']);
  });

  it.each([
    ['session.usage_record', { usage: { inputTokens: -1, outputTokens: 1 } }],
    ['session.usage_record', { usage: { inputTokens: 1.5, outputTokens: 1 } }],
    ['session.usage_record', { usage: 'much' }],
    ['session.shutdown', { accountingSnapshot: { totalUserRequests: 1 } }],
    ['session.shutdown', { accountingSnapshot: { totalUserRequests: '1', modelMetrics: {} } }],
    [
      'session.shutdown',
      { accountingSnapshot: { totalUserRequests: 1, modelMetrics: { m: { usage: { inputTokens: 'x' } } } } },
    ],
    ['session.shutdown', {}],
  ])('takes no usage from a %s with %j', async (type, data) => {
    answer(method, page([event(type, data)]));
    expect((await read()).events).toHaveLength(1);
    expect((await read()).events[0]).not.toHaveProperty('usage');
  });

  it.each([
    ['no events', { ...page(undefined) }],
    ['an expired cursor', { ...page([]), cursorStatus: 'expired' }],
    ['no flag for older events', { ...page([]), hasMore: 'yes' }],
    ['an endless cursor', { ...page([]), cursor: 'c'.repeat(300) }],
  ])('refuses an answer with %s', async (_, result) => {
    answer(method, result);
    await expect(read()).rejects.toThrow(`the answer to ${method} has an unexpected`);
  });
});

describe('client metadata', () => {
  const method = 'sessions.getClientMetadata';
  const idsOf = (params: Record<string, unknown> = {}) => params['sessionIds'] as string[];

  it('is requested for a thousand sessions at a time, and only for known keys', async () => {
    server.answers[method] = ({ params }) => ({
      result: idsOf(params).map((sessionId) =>
        sessionId === 's7'
          ? { sessionId, status: 'notFound' }
          : { sessionId, status: 'ok', metadata: { owner: sessionId, theirs: 'my words', odd: 5 } },
      ),
    });
    const ids = Array.from({ length: 2001 }, (_, n) => `s${n}`);
    const found = await getClientMetadata(connection, ids, ['owner', 'odd'], options);
    expect(paramsOf(method).map((params) => idsOf(params).length)).toEqual([1000, 1000, 1]);
    expect(found.size).toBe(2000);
    expect(found.get('s8')).toEqual({ owner: 's8' });
    expect(await getClientMetadata(connection, [], ['owner'], options)).toEqual(new Map());
    expect(server.calls(method)).toBe(3);
  });

  it('is stored only for a loaded session', async () => {
    const update = 'session.metadata.updateClientMetadata';
    answer(update, { owner: 'ann' });
    expect(await updateClientMetadata(connection, 's1', { owner: 'ann' }, options)).toBe(true);
    expect(paramsOf(update)).toEqual([{ sessionId: 's1', set: { owner: 'ann' } }]);
    answer(update, 'Session not found: s1');
    expect(await updateClientMetadata(connection, 's1', { owner: 'ann' }, options)).toBe(false);
    answer(update, 'disk full');
    const failure = updateClientMetadata(connection, 's1', { owner: 'ann' }, options);
    await expect(failure).rejects.toThrow(RpcError);
    await expect(failure).rejects.toThrow(`acme-0:4321: ${update} failed with error -32603 "disk full" (session s1)`);
  });
});

describe('closing and deleting', () => {
  it('close a session, and name it if that fails', async () => {
    answer('sessions.close', {});
    await closeSession(connection, 's1', options);
    answer('sessions.close', 'busy');
    await expect(closeSession(connection, 's1', options)).rejects.toThrow('"busy" (session s1)');
  });

  it.each([
    [{ success: true }, 'Deleted'],
    [{ success: false, error: 'Session file not found for s1' }, 'NotFound'],
  ])('turn %j into %s', async (result, deletion) => {
    answer('session.delete', result);
    expect(await deleteSession(connection, 's1', options)).toBe(deletion);
  });

  it.each([
    [
      { success: false, error: 'Session s1 is currently in use' },
      RefusedError,
      'session s1: "Session s1 is currently in use"',
    ],
    [{ success: false }, RefusedError, 'acme-0:4321: the server did not delete session s1: no reason given'],
    [{ success: 'yes' }, ProtocolError, 'unexpected "success": "\\"yes\\""'],
    ['no such method', RpcError, '(session s1)'],
  ])('reject with the server’s own text: %j', async (result, type, words) => {
    answer('session.delete', result);
    const failure = deleteSession(connection, 's1', options);
    await expect(failure).rejects.toThrow(type);
    await expect(failure).rejects.toThrow(words);
  });
});

describe('the times of one session', () => {
  const method = 'sessions.getMetadata';
  const times = { sessionId: 's1', startTime: '2026-01-01T00:00:00Z', modifiedTime: '2026-01-02T00:00:00.5Z' };

  it("are read without its name, which is the user's own text", async () => {
    answer(method, { session: { ...times, name: 'my words', summary: 'my words', isRemote: false } });
    expect(await getSessionTimes(connection, 's1', options)).toEqual(times);
    expect(server.received.at(-1)?.params).toEqual({ sessionId: 's1' });
  });

  it.each([[{}], [{ session: null }]])('are undefined if it does not exist: %j', async (result) => {
    answer(method, result);
    expect(await getSessionTimes(connection, 's1', options)).toBeUndefined();
  });

  it.each([
    [{ session: 's1' }],
    [{ session: { ...times, sessionId: 's2' } }],
    [{ session: { ...times, modifiedTime: 'yesterday' } }],
  ])('are not read from %j', async (result) => {
    answer(method, result);
    await expect(getSessionTimes(connection, 's1', options)).rejects.toThrow(ProtocolError);
  });
});

describe('the activity of a session', () => {
  const method = 'session.metadata.activity';

  it.each([
    [{ abortable: true, hasActiveWork: true }, 'Active'],
    [{ abortable: false, hasActiveWork: false }, 'Loaded'],
    ['Session not found: s1', 'Unloaded'],
  ])('by %j is %s', async (result, activity) => {
    answer(method, result);
    expect(await getActivity(connection, 's1', options)).toBe(activity);
  });

  it.each([
    [{}, ProtocolError],
    [{ hasActiveWork: 'no' }, ProtocolError],
    ['the disk is full', RpcError],
  ])('is not guessed from %j', async (result, type) => {
    answer(method, result);
    await expect(getActivity(connection, 's1', options)).rejects.toThrow(type);
  });
});
